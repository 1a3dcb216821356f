"""The protocol of image sources: labelled images with labels in memory or in shards, or unlabelled photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dataset.identity import DataIdentity
from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.data.mix import ReadingOrder
from detectors.data.sample import Sample

# Number of images of a source that makes them as long as the training lasts.
ENDLESS = 2**48


@dataclass(frozen=True)
class LiveCounts:
    """What a source has made during this call. failed: scenes that others replaced. reason: why the first one failed.

    seconds: since the first scene was begun.
    """

    scenes: int = 0
    failed: int = 0
    seconds: float = 0.0
    reason: str = ""

    @property
    def rate(self) -> float:
        """Scenes per second."""
        return self.scenes / self.seconds if self.seconds else 0.0


class ImageSource(Protocol):
    """Images, numbered from 0, that any process can read in any order, with boxes labelled by `classes` or without.

    Callers never check the type of a source: what a source does not support is None or a method that does nothing.
    """

    @property
    def name(self) -> str:
        """The name of the source in the mix, such as "real"."""

    @property
    def root(self) -> object:
        """The location of the source, for messages."""

    @property
    def classes(self) -> Classes:
        """The classes that its labels refer to."""

    @property
    def rendered(self) -> bool:
        """Whether `synth` rendered the images; otherwise they are photos."""

    @property
    def sizes(self) -> NDArray[np.int32]:
        """(n, 2) width and height in pixels of all images, or of representative ones."""

    @property
    def box_count(self) -> int:
        """Number of boxes to train on, 0 for unlabelled photos; an upper bound if not all labels have been read."""

    @property
    def missing_masks(self) -> str:
        """A message if boxes lack masks, "" if all have one."""

    @property
    def missing_keypoints(self) -> str:
        """A message if boxes lack the corners of cuboids, "" if they have them."""

    @property
    def columns(self) -> ImageSet | None:
        """The same images with all labels in memory, None if there may be too many."""

    @property
    def windows(self) -> ReadingOrder | None:
        """The order in which the images must be read, None for any order."""

    @property
    def live(self) -> LiveCounts | None:
        """What was made so far if images are made while they are read, in this process only; None for stored ones."""

    def __len__(self) -> int: ...

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """Read an image with its boxes, and masks if requested. Raises SynthError if it cannot be read."""

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """Read an image as (H, W, 3) uint8 RGB. Raises SynthError if it cannot be read."""

    def locate(self, index: int) -> str:
        """Return the name of an image for messages."""

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Start to fetch shards of `windows` in the background. shards: in the order of need."""

    def relabelled(self, classes: Classes) -> Self:
        """Return the same images labelled by `classes`; boxes of other classes become ignored regions."""

    def lost_classes(self, classes: Classes) -> list[str]:
        """Return the keys of the source's classes that are not in `classes`."""

    def save(self, folder: Path) -> None:
        """Save the source in `folder` for other processes of the run (`shard_prepare.reopen_source` opens it)."""


@dataclass(frozen=True)
class LiveSource:
    """Images that are made while training, and what they are known by when the training is resumed."""

    images: ImageSource
    identity: DataIdentity
