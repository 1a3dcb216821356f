"""Which data a training or an evaluation reads, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from assets.errors import SynthError
from dataset.shards.cache import DEFAULT_BYTES
from dataset.storage.path import StoragePath
from detectors.data.class_match import ClassChoice

REAL = "real"


# Names that mix and output folders give to other sets than the synthetic ones.
TAKEN_NAMES = (REAL, "val", "validation")


@dataclass(frozen=True)
class DataSettings:
    """Which data a training reads. synthetic: (name, path) of each source, the first one is what --mix leaves over.
    These and val may lie in shards, also elsewhere.

    real_fraction: share of the labelled photos that is used, by whole groups. hold_out: share of the real groups kept
    for validation where no validation set is given. images: a folder to look for images in, before the usual places.
    classes: all, those that all sets have in common, or one "product" for all of them. cache_bytes: of disk for shards
    that lie elsewhere.
    """

    synthetic: tuple[tuple[str, Path | StoragePath], ...] = ()
    real: Path | None = None
    val: Path | StoragePath | None = None
    images: Path | None = None
    group_key: str | None = None
    real_fraction: float = 1.0
    hold_out: float = 0.2
    classes: ClassChoice = "all"
    skip_bad: bool = False
    cache_bytes: int = DEFAULT_BYTES

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
                "the share to hold out is out of range",
                code="setting-invalid",
                found=f"{self.hold_out:g}",
                expected="0 to less than 1",
            )
