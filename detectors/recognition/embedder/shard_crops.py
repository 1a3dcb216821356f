"""Crops out of a sharded data set, picture by picture: nothing is held but the crops' places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from assets.errors import SynthError
from detectors.data.image_set import IGNORED
from detectors.data.process_loader import PREFETCH, ProcessLoader, limit_threads
from detectors.data.shard_set import ShardSet
from detectors.recognition.embedder.crop_store import SURROUNDING, CropChoice, Cutting, StoredCrops, write_crops

_Crop = tuple[bytes, "np.ndarray", int]


class _CropsOf(Dataset[Any]):
    """The chosen crops of one picture after another."""

    def __init__(self, shards: ShardSet, choice: CropChoice, side: int) -> None:
        self.shards, self.choice, self.cutting = shards, choice, Cutting(side)

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> list[_Crop] | SynthError:
        try:
            picture, _, row = self.shards.read_row(index, masks=False)
        except SynthError as error:
            # Handed on as a value: torch would wrap the traceback of the worker around its text.
            return error
        made = []
        for box, own, visible in zip(np.array(row.boxes), row.labels, row.visibility, strict=True):
            label = IGNORED if own == IGNORED else int(self.shards.label_of[own])
            small = (box[2:] - box[:2]).min() < self.choice.least_side
            if label != IGNORED and not small and not visible < self.choice.least_visible:
                made.append((*self.cutting(picture, box), label))
        return made


def store_shard_crops(
    shards: ShardSet,
    choice: CropChoice,
    folder: Path,
    *,
    side: int,
    data_hash: str,
    workers: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> StoredCrops:
    """As `store_crops`, in the order of the shards; of a SKU the first `choice.most` crops, whose scenes are drawn.

    advance: called with the number of pictures done. Raises SynthError where a shard or a picture cannot be used.
    """
    head = {"set": shards.name, "side": side, "surrounding": SURROUNDING, "choice": asdict(choice), "data": data_hash}
    return write_crops(_each(shards, choice, side, workers, advance), folder, head)


def _each(
    shards: ShardSet, choice: CropChoice, side: int, workers: int, advance: Callable[[int], None]
) -> Iterator[_Crop]:
    loader = ProcessLoader(
        _CropsOf(shards, choice, side),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
        collate_fn=_as_it_is,
    )
    taken: Counter[int] = Counter()
    for made in loader:
        if isinstance(made, SynthError):
            raise made
        for crop in made:
            taken[crop[2]] += 1
            if choice.most is None or taken[crop[2]] <= choice.most:
                yield crop
        advance(1)


def _as_it_is(item: Any) -> Any:
    return item
