"""Settings of the data that a training or evaluation reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from assets.errors import SynthError
from assets.options import Option
from dataset.shards.cache import DEFAULT_BYTES
from dataset.storage.path import StoragePath
from detectors.data.class_match import ClassChoice

REAL = "real"


# Names that --mix and output folders use for other sets than the synthetic ones.
TAKEN_NAMES = (REAL, "val", "validation")

# Options that training and evaluations share.
ImageFolder = Annotated[
    Path | None, Option("Folder of the images, if they are not beside their JSON.", "Data", exists="folder")
]
OnlyListed = Annotated[
    Path | None,
    Option("Only labelled images that this file lists, a line SPLIT/NAME or NAME for each.", "Data", exists="file"),
]
SkipBad = Annotated[bool, Option("Skip unusable records and count them.", "Data")]
# Around the visible pixels, or around the whole product, hidden pixels as well.
BoxKind = Literal["visible", "amodal"]
Boxes = Annotated[BoxKind, Option("Boxes around visible pixels, or around whole products (BOP).", "Data")]


@dataclass(frozen=True)
class DataSettings:
    """Settings of the data of a training. synthetic: (name, path) of each source.

    real_fraction, hold_out: fractions of the real photos, in whole groups. images: folder searched for images before
    the usual ones. only: list of the images to train on, of all sets. classes: all, those that all sets have in
    common, or the single class "product". boxes: of all sets. cache_bytes: disk space for remote shards.
    """

    synthetic: Annotated[
        tuple[tuple[str, Path | StoragePath], ...],
        Option("Synthetic data: folder, COCO JSON or shards. Repeatable: NAME=PATH.", "Data", parse="sources"),
    ] = ()
    real: Annotated[Path | None, Option("Real labelled photos: folder or COCO JSON.", "Data", exists="any")] = None
    val: Annotated[
        Path | StoragePath | None,
        Option("Validation photos.", "Data", parse="data", shown="held out of --real by group"),
    ] = None
    images: ImageFolder = None
    group_key: Annotated[str | None, Option("Image field that names its group.", "Data", shown="group, if present")] = (
        None
    )
    real_fraction: Annotated[float, Option("Fraction of the real photos to use.", "Data", above=0, maximum=1)] = 1.0
    hold_out: Annotated[
        float, Option("Fraction of --real held out for validation without --val.", "Data", minimum=0, maximum=0.9)
    ] = 0.2
    classes: Annotated[ClassChoice, Option("Classes of any set, only common ones, or one class for all.", "Data")] = (
        "all"
    )
    only: OnlyListed = None
    boxes: Boxes = "visible"
    skip_bad: SkipBad = False
    cache_bytes: Annotated[
        int, Option("Disk space for cached remote shards.", "Compute", "--shard-cache", parse="gigabytes")
    ] = DEFAULT_BYTES

    def __post_init__(self) -> None:
        names = [name for name, _ in self.synthetic]
        for name in names:
            if names.count(name) > 1 or name in TAKEN_NAMES or not re.fullmatch(r"\w[\w.-]*", name):
                expected = f"letters and digits, each name once, not {', '.join(TAKEN_NAMES)}"
                raise SynthError(
                    "a synthetic source needs another name", code="setting-invalid", found=repr(name), expected=expected
                )
        if not 0 < self.real_fraction <= 1:
            hint = "to use no photos for training omit --real, and validate on them with --val"
            expected = "more than 0, at most 1"
            raise SynthError(
                "--real-fraction is out of range",
                code="setting-invalid",
                found=f"{self.real_fraction:g}",
                expected=expected,
                hint=hint,
            )
        if not 0 <= self.hold_out < 1:
            raise SynthError(
                "--hold-out is out of range",
                code="setting-invalid",
                found=f"{self.hold_out:g}",
                expected="0 to less than 1",
            )
