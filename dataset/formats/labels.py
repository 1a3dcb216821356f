"""What label formats are given to write, and what they all need for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dataset.records import Head, PictureLabels


@dataclass(frozen=True)
class SplitLabels:
    """The labels of one split. head: info, licences and all categories. pictures: to be gone through once; each has
    its file name relative to the format's folder of images, and its size.
    """

    split: str
    head: Head
    pictures: Iterable[PictureLabels]
