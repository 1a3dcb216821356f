"""What training needs of a source of labelled images, be it columns in memory or shards in a stream."""

from __future__ import annotations

from typing import Protocol

from detectors.data.image_set import Classes
from detectors.data.sample import Sample


class ImageSource(Protocol):
    """Labelled images, counted from 0, that any process can read in any order."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> Classes: ...

    def __len__(self) -> int: ...

    def read_sample(self, index: int, *, masks: bool) -> Sample: ...

    def locate(self, index: int) -> str: ...
