"""The protocol of image sources: labels in memory, labels in shards, photographs without labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.data.mix import Windows
from detectors.data.sample import Sample


class ImageSource(Protocol):
    """Images, counted from 0, that any process can read in any order, with boxes labelled by `classes` or without.

    No caller asks which kind of source it has: what only some of them can do is None or nothing to do in the others.
    """

    @property
    def name(self) -> str:
        """The name of the source in the mix, such as "real"."""

    @property
    def root(self) -> object:
        """Where it lies, for people."""

    @property
    def classes(self) -> Classes:
        """What its labels count."""

    @property
    def rendered(self) -> bool:
        """Whether `synth` made the images; else they are photographs."""

    @property
    def sizes(self) -> NDArray[np.int32]:
        """(n, 2) width and height in pixels of all images, or of some that stand for all."""

    @property
    def box_count(self) -> int:
        """Boxes to learn from, 0 for unlabelled photographs; an upper bound where not all labels have been read."""

    @property
    def missing_masks(self) -> str:
        """In words which boxes have no mask, "" where all have one."""

    @property
    def columns(self) -> ImageSet | None:
        """The same images with all labels in memory, None where there may be too many for that."""

    @property
    def windows(self) -> Windows | None:
        """The order in which the images are to be read, None for any."""

    def __len__(self) -> int: ...

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """An image with its boxes, and its masks if wanted. Raises SynthError where it cannot be read."""

    def read_picture(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image. Raises SynthError where it cannot be read."""

    def locate(self, index: int) -> str:
        """The name of an image for people."""

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Begins to fetch parts of `windows`, those needed next first; returns at once."""

    def relabelled(self, classes: Classes) -> Self:
        """The same images labelled by `classes`; boxes of other classes become ignored regions."""

    def lost_classes(self, classes: Classes) -> list[str]:
        """Keys of classes of the source that `classes` lacks."""

    def save(self, folder: Path) -> None:
        """Leaves the source in `folder` for other processes of the run: `image_store.open_source` opens it."""
