"""Settings of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.errors import SynthError
from assets.options import Device, Option

Every = Annotated[int, Option("Process every Nth frame of a video.", "Detection", minimum=1, metavar="N")]


@dataclass(frozen=True)
class PredictSettings:
    """Settings of a prediction. run: its best detector is used. paths: see find_inputs.

    threshold: score from which detections are drawn and counted; None for the checkpoint's own, else 0.5. every: every
    n-th frame of videos is processed. workers: threads that read ahead.
    """

    run: Annotated[Path, Option("Run whose detector is used.", exists="any", argument=True)]
    paths: Annotated[tuple[str, ...], Option("Images and videos.", argument=True, metavar="PATH...")]
    out: Annotated[Path, Option("Folder for predictions.json and images with boxes.", "Output")]
    threshold: Annotated[
        float | None,
        Option("Score threshold of drawn detections.", "Detection", minimum=0, maximum=1, shown="chosen on validation"),
    ] = None
    every: Every = 1
    draw: Annotated[bool, Option("Save images with boxes.", "Output")] = True
    batch: int = 4
    workers: Annotated[int, Option("Threads that read images.", "Compute", minimum=0, maximum=128)] = 0
    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SynthError(
                "the threshold is out of range",
                code="setting-invalid",
                found=f"{self.threshold:g}",
                expected="a number from 0 to 1",
            )
        for name, least in (("batch", 1), ("every", 1), ("workers", 0)):
            number = getattr(self, name)
            if number < least:
                raise SynthError(
                    f"--{name} is too small", code="setting-invalid", found=str(number), expected=f"at least {least}"
                )
