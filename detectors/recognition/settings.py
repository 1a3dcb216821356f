"""Settings of recognition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from assets.errors import SynthError
from assets.options import Device, Option
from detectors.data.settings import ImageFolder, SkipBad
from detectors.predict.settings import Every

DetectionThreshold = Annotated[
    float | None,
    Option(
        "Score threshold of the detector's boxes.",
        "Detection",
        "--detection-threshold",
        minimum=0,
        maximum=1,
        shown="chosen on validation",
        old=("--detection",),
    ),
]


@dataclass(frozen=True)
class RecognizeSettings:
    """Settings of a recognition. run: a detector, or None if `boxes`, a COCO file, is given.

    version, index: None for those in use. threshold, margin: None for the gallery's own. best: number of views whose
    mean is the score of a SKU. every: every n-th frame of videos is processed.
    """

    gallery: Annotated[Path, Option("Gallery made by 'synth gallery build'.", "Gallery", exists="folder")]
    paths: tuple[str, ...]
    out: Annotated[Path, Option("Folder for predictions.json and images with boxes.", "Output")]
    run: Path | None = None
    boxes: Annotated[
        Path | None, Option("COCO labels or results with the boxes, instead of RUN.", "Detection", exists="file")
    ] = None
    embedder: Annotated[
        Path | None,
        Option("Embedder; must be the gallery's.", "Gallery", exists="any", shown="the gallery's own"),
    ] = None
    version: Annotated[str | None, Option("Version of the gallery.", "Gallery", shown="the one in use")] = None
    index: Annotated[Literal["exact"] | None, Option("Ignore the index and search exhaustively.", "Gallery")] = None
    threshold: Annotated[
        float | None,
        Option("Minimum similarity of known products.", "Decision", minimum=-1, maximum=1, shown="the gallery's own"),
    ] = None
    margin: Annotated[
        float | None,
        Option(
            "Lead below which a product is marked for review.",
            "Decision",
            minimum=0,
            maximum=2,
            shown="the gallery's own",
        ),
    ] = None
    detection: DetectionThreshold = None
    best: Annotated[
        int,
        Option(
            "Average the N best views of a SKU.",
            "Decision",
            "--top-views",
            minimum=1,
            maximum=24,
            metavar="N",
            old=("--best",),
        ),
    ] = 1
    every: Every = 1
    batch: int = 4
    workers: Annotated[int, Option("Threads that read images.", "Compute", minimum=0, maximum=128)] = 0
    draw: Annotated[bool, Option("Save images with boxes and names.", "Output")] = True
    device: Device = "auto"

    def __post_init__(self) -> None:
        if (self.run is None) == (self.boxes is None):
            raise SynthError(
                "boxes come either from a detector or from a file",
                code="options-conflict",
                hint="give RUN or --boxes, not both",
            )


@dataclass(frozen=True)
class GalleryPhotos:
    """Labelled photos that a gallery is evaluated or tuned on. images: folder searched before the usual ones."""

    data: Annotated[Path, Option("Labelled photos: folder or COCO JSON.", "Data", exists="any")]
    split: Annotated[str | None, Option("Split of a data set folder.", "Data")] = None
    images: ImageFolder = None
    skip_bad: SkipBad = False


@dataclass(frozen=True)
class GalleryEvaluateSettings:
    """Settings of a gallery's evaluation. out: folder for report.json and the pages."""

    photos: GalleryPhotos
    run: Annotated[
        Path | None, Option("Detector, to evaluate detection and naming together.", "Detection", exists="any")
    ] = None
    detection: DetectionThreshold = None
    out: Annotated[Path | None, Option("Folder of report.json and the pages.", "Output")] = None
    seed: Annotated[int, Option("Random seed of the bootstrap intervals.", "Output", minimum=0)] = 0
