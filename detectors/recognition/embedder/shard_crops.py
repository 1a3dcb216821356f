"""Cut crops from a sharded data set, one image at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from assets.errors import SynthError
from detectors.data.class_match import IGNORED
from detectors.data.source import ImageSource
from detectors.recognition.embedder.crop_store import SURROUNDING, Cutting, StoredCrops, load_items, write_crops
from detectors.recognition.embedder.settings import CropChoice

_Crop = tuple[bytes, "np.ndarray", int]


class _CropsOf(Dataset[Any]):
    """The images of a source; an item is the list of the image's chosen crops."""

    def __init__(self, images: ImageSource, choice: CropChoice, side: int) -> None:
        self.images, self.choice, self.cutting = images, choice, Cutting(side)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[_Crop] | SynthError:
        try:
            sample = self.images.read_sample(index, masks=False)
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error
        made = []
        assert sample.visibility is not None
        for box, label, visible in zip(sample.boxes, sample.labels.tolist(), sample.visibility, strict=True):
            small = (box[2:] - box[:2]).min() < self.choice.least_side
            if label != IGNORED and not small and not visible < self.choice.least_visible:
                made.append((*self.cutting(sample.image, box), label))
        return made


def store_streamed_crops(
    images: ImageSource,
    choice: CropChoice,
    folder: Path,
    *,
    side: int,
    data_hash: str,
    workers: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> StoredCrops:
    """Store crops as `store_crops` does, in the order of the shards, with the first `choice.most` crops of each SKU.

    They are a random sample, since scenes are random. advance: called with 1 per image. Raises SynthError for bad data.
    """
    head = {"set": images.name, "side": side, "surrounding": SURROUNDING, "choice": asdict(choice), "data": data_hash}
    return write_crops(_each(images, choice, side, workers, advance), folder, head)


def _each(
    images: ImageSource, choice: CropChoice, side: int, workers: int, advance: Callable[[int], None]
) -> Iterator[_Crop]:
    taken: Counter[int] = Counter()
    for made in load_items(_CropsOf(images, choice, side), workers):
        for crop in made:
            taken[crop[2]] += 1
            if choice.most is None or taken[crop[2]] <= choice.most:
                yield crop
        advance(1)
