"""Settings of the gap meter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.errors import SynthError
from assets.options import MAX_SEED, Device, Option
from dataset.storage.path import StoragePath


@dataclass(frozen=True)
class GapSettings:
    """A comparison of a rendered set with photographs. name: of the row in the calibration table.

    run: a detector trained on the rendered set, whose AP on the photographs is the row's. pictures: of each side at
    most. resamples: for each interval.
    """

    synth: Annotated[Path | StoragePath, Option("", argument=True, parse="data", metavar="SYNTH")]
    real: Annotated[Path | StoragePath, Option("", argument=True, parse="data", metavar="REAL")]
    out: Annotated[Path, Option("Page with all distances and the keys to change.", "Output")] = Path("gap.html")
    detector: Annotated[
        Path | None,
        Option(
            "Run whose detector finds objects on both sides, where photographs have no boxes.", "Data", exists="any"
        ),
    ] = None
    group_key: Annotated[str | None, Option("Image field that names its group.", "Data", shown="group, if present")] = (
        None
    )
    pictures: Annotated[
        int, Option("Number of pictures of each side at most.", "Data", "--max-pictures", minimum=4, maximum=2000)
    ] = 200
    weights: Annotated[
        str, Option("Weights of the feature space of the kernel distance.", "Model", parse="feature_weights")
    ] = "packaged"
    proxy_steps: Annotated[
        int,
        Option("Steps of a detector trained on SYNTH and evaluated on REAL; 0 trains none.", "Evaluation", minimum=0),
    ] = 0
    run: Annotated[
        Path | None,
        Option("Run trained on SYNTH: its AP on REAL joins the calibration table.", "Evaluation", exists="any"),
    ] = None
    calibration: Annotated[
        Path | None, Option("Table of earlier gaps with APs (JSON Lines), shown on the page.", "Evaluation")
    ] = None
    name: Annotated[
        str | None, Option("Name of the row in the calibration table.", "Evaluation", shown="the folder of SYNTH")
    ] = None
    resamples: Annotated[int, Option("Resamples for each interval.", "Evaluation", minimum=20, maximum=10_000)] = 200
    seed: Annotated[int, Option("Random seed.", "Evaluation", minimum=0, maximum=MAX_SEED)] = 0
    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.run is not None and self.calibration is None:
            hint = "give --calibration gaps.jsonl, which is made if it does not exist"
            raise SynthError("--run needs a table to add its AP to", code="option-missing", hint=hint)


@dataclass(frozen=True)
class CalibrationSettings:
    """A check of how well gaps foretell AP."""

    tables: Annotated[
        tuple[Path, ...],
        Option("", argument=True, exists="file", metavar="TABLE..."),
    ]
    out: Annotated[Path | None, Option("Also write the result as a page.", "Output")] = None
