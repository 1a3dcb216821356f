"""Crops of rendered pictures and of photographs to train on: a function of seed and position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from detectors.device import PREFETCH, ProcessLoader, limit_threads, loader_processes

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImagePool:
    """Images to cut crops from. read: an image (H, W, 3) uint8 RGB by number, in any process."""

    count: int
    read: Callable[[int], Pixels]


class CropPairs(Dataset[Any]):
    """A crop of a rendered picture and one of a photograph, which do not belong together, by position."""

    def __init__(self, rendered: ImagePool, photos: ImagePool, side: int, seed: int) -> None:
        self.rendered, self.photos, self.side, self.seed = rendered, photos, side, seed

    def __getitem__(self, position: int) -> tuple[Pixels, Pixels]:
        rng = np.random.default_rng([self.seed, position])
        return cut(self.rendered, self.side, rng), cut(self.photos, self.side, rng)


def cut(pool: ImagePool, side: int, rng: np.random.Generator) -> Pixels:
    """Cut a square of `side` pixels out of an image of a pool; smaller images are continued by reflection."""
    image = pool.read(int(rng.integers(pool.count)))
    missing = [max(side - length, 0) for length in image.shape[:2]]
    if any(missing):
        image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    y, x = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
    part = image[y : y + side, x : x + side]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def crop_batches(pairs: CropPairs, batch: int, first: int, last: int) -> ProcessLoader:
    """Return the batches of steps `first` to `last` - 1: crops of both kinds (B, S, S, 3) uint8."""
    workers = loader_processes() if last - first > 1 else 0
    return ProcessLoader(
        pairs,
        batch_sampler=_Positions(batch, first, last),
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
    )


@dataclass(frozen=True)
class _Positions:
    """Positions of the crops of each step."""

    batch: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.batch, (step + 1) * self.batch))


def _collate(pairs: Sequence[tuple[Pixels, Pixels]]) -> tuple[Tensor, Tensor]:
    rendered, photos = (torch.from_numpy(np.stack(crops)) for crops in zip(*pairs, strict=True))
    return rendered, photos


def scaled(crops: Tensor) -> Tensor:
    """Return (B, H, W, 3) uint8 as (B, 3, H, W) float32, -1..1."""
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1
