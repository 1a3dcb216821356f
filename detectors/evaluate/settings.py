"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.errors import SynthError
from assets.options import Device, Option
from dataset.shards.cache import DEFAULT_BYTES
from dataset.storage.path import StoragePath
from detectors.data.settings import Boxes, ImageFolder, OnlyListed, SkipBad


@dataclass(frozen=True)
class EvaluateSettings:
    """What is evaluated on what. predictions: COCO results to judge instead of running the detector.

    data: sharded sets among them are evaluated in a stream. cache_bytes: of disk for shards that lie elsewhere.
    """

    runs: Annotated[tuple[Path, ...], Option("Runs to evaluate.", exists="any", argument=True, metavar="RUN...")]
    data: Annotated[
        tuple[Path | StoragePath, ...],
        Option("Labelled photos: folder, COCO JSON or shards. Repeatable.", "Data", parse="data_sets"),
    ]
    split: Annotated[str | None, Option("Split of a data set folder.", "Data", shown="test, else val, else train")] = (
        None
    )
    images: ImageFolder = None
    group_key: Annotated[str | None, Option("Image field that names its group.", "Data")] = None
    out: Annotated[Path | None, Option("Folder of the report.", "Output", shown="evaluation in RUN")] = None
    threshold: Annotated[
        float | None,
        Option("Score threshold of detections.", "Evaluation", minimum=0, maximum=1, shown="chosen on validation"),
    ] = None
    predictions: Annotated[
        Path | None,
        Option("COCO results to evaluate instead of running RUN; a folder of them for shards.", "Data", exists="any"),
    ] = None
    only: OnlyListed = None
    boxes: Boxes = "visible"
    skip_bad: SkipBad = False
    workers: Annotated[
        int | None, Option("Processes that read images.", "Compute", minimum=0, maximum=128, shown="by cores")
    ] = None
    device: Device = "auto"
    seed: Annotated[int, Option("Random seed of the bootstrap intervals.", "Evaluation", minimum=0)] = 0
    cache_bytes: int = DEFAULT_BYTES

    def __post_init__(self) -> None:
        if self.predictions is not None and (len(self.runs) > 1 or len(self.data) > 1):
            raise SynthError(
                "--predictions takes the results of one detector on one data set",
                code="options-conflict",
                hint="give one RUN and one --data",
            )
