"""Batches of P SKUs with K crops each, look-alikes together; every batch is determined by its step alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from torch import Tensor

from assets.errors import SynthError
from detectors.data.mix import stream

Ints = NDArray[np.int64]
# SKUs that come into a batch as one group of look-alikes. Batches of look-alikes alone are too hard for a network at
# the start of training; groups of four leave room for others.
GROUP = 4
# Look-alikes listed for each SKU: more than a group needs, as some are already in other groups.
NEAREST = 16
# Classes compared with all others at a time: 700 MB with 170,000 classes.
BLOCK = 1024
CROPPED = "crops are taken from boxes that are large enough and not ignored (--min-side, --min-visibility)"


class EmbedderStream(IntEnum):
    """Random number streams of an embedder's training, distinct from those of `detectors.data.mix`."""

    GROUPS = 101
    CROPS = 102
    VIEW = 103
    NEGATIVES = 104
    STEP = 105
    LIMIT = 106
    HOLD_OUT = 107
    IMPRINT = 108


@dataclass(frozen=True)
class Pools:
    """The crops of each class. order: (N,) crops sorted by class. first: (C + 1,) start of each class in `order`."""

    order: Ints
    first: Ints

    @classmethod
    def of(cls, labels: NDArray, classes: int) -> Pools:
        """Group crops by their (N,) labels; classes without crops are empty."""
        order = np.argsort(labels, kind="stable").astype(np.int64)
        return cls(order, np.searchsorted(labels[order], np.arange(classes + 1)).astype(np.int64))

    def crops(self, label: int) -> Ints:
        """Return the crops of one class."""
        return self.order[self.first[label] : self.first[label + 1]]

    def counts(self) -> Ints:
        """Return (C,) the number of crops of each class."""
        return np.diff(self.first)


@dataclass(frozen=True)
class Draws:
    """Settings of batch sampling. skus, crops: P and K. steps: per epoch.

    real_share: expected fraction of real crops of a SKU that has both real and rendered ones.
    """

    skus: int
    crops: int
    steps: int
    seed: int
    real_share: float = 0.0


class EpochBatches:
    """The batches of one epoch from step `start`; of one epoch only, as look-alikes are found anew for each.

    real: (N,) whether a crop is from a photo. neighbours: (C, M) look-alikes of each class, or None.
    """

    def __init__(
        self,
        pools: Pools,
        real: NDArray[np.bool_],
        draws: Draws,
        *,
        epoch: int,
        start: int = 0,
        neighbours: Ints | None = None,
    ) -> None:
        self.pools, self.real, self.draws = pools, real, draws
        self.epoch, self.start, self.neighbours = epoch, start, neighbours
        self._present = np.flatnonzero(pools.counts() > 0)
        # A batch spans at most two passes.
        self._orders: LRUCache[int, Ints] = LRUCache(2)

    def __len__(self) -> int:
        return self.draws.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield the (position, crop) pairs of each step; position counts samples over the whole training."""
        size = self.draws.crops * min(self.draws.skus, len(self._present))
        for step in range(self.start, self.draws.steps):
            first = (self.epoch * self.draws.steps + step) * size
            yield [(first + place, int(crop)) for place, crop in enumerate(self.batch(step))]

    def batch(self, step: int) -> Ints:
        """Return (P * K,) the crops of a step of this epoch, grouped by SKU."""
        rng = stream(self.draws.seed, EmbedderStream.CROPS, self.epoch, step)
        return np.concatenate([self._draw(sku, rng) for sku in self.skus(step)])

    def skus(self, step: int) -> list[int]:
        """Return the P classes of a step, from repeated passes over all classes, each in another order."""
        count = min(self.draws.skus, len(self._present))
        places = range(step * count, (step + 1) * count)
        turns = [divmod(place, len(self._present)) for place in places]
        return [int(self._order(turn)[place]) for turn, place in turns]

    def _order(self, turn: int) -> Ints:
        if turn not in self._orders:
            rng = stream(self.draws.seed, EmbedderStream.GROUPS, self.epoch, turn)
            order = rng.permutation(self._present)
            alike = self.neighbours
            self._orders[turn] = order if alike is None else group_alike(order, alike, GROUP)
        return self._orders[turn]

    def _draw(self, sku: int, rng: np.random.Generator) -> Ints:
        """Sample K crops of a class, without repetition if there are enough."""
        crops = self.pools.crops(sku)
        real, rendered = crops[self.real[crops]], crops[~self.real[crops]]
        if not len(real) or not len(rendered):
            return _take(crops, self.draws.crops, rng)
        count = int(rng.binomial(self.draws.crops, self.draws.real_share))
        return np.concatenate([_take(real, count, rng), _take(rendered, self.draws.crops - count, rng)])


def _take(crops: Ints, count: int, rng: np.random.Generator) -> Ints:
    if count <= len(crops):
        return rng.choice(crops, count, replace=False)
    return np.concatenate([rng.permutation(crops), rng.choice(crops, count - len(crops))])


def group_alike(order: Ints, neighbours: Ints, size: int) -> Ints:
    """Reorder the classes of `order` greedily into groups of a class and up to `size` - 1 of its look-alikes.

    neighbours: (C, M) look-alikes of each class, the nearest first, -1 if there are fewer. Each class is in one group.
    """
    free = np.zeros(len(neighbours), bool)
    free[order] = True
    grouped: list[int] = []
    for label in order:
        if not free[label]:
            continue
        near = neighbours[label]
        near = near[(near >= 0) & (near != label)]
        group = [int(label), *(int(other) for other in near[free[near]][: size - 1])]
        free[group] = False
        grouped += group
    return np.array(grouped, np.int64)


@torch.no_grad()
def find_neighbours(points: Tensor, count: int = NEAREST) -> Ints:
    """Return (C, M) the other classes nearest to each class, the nearest first.

    points: (C, D) unit vectors. M is `count`, or less if there are fewer classes. All pairs are compared: 170,000
    classes of 512 values take seconds on a GPU and minutes on a CPU, little compared to an epoch.
    """
    count = min(count, len(points) - 1)
    near = [_nearest(points, start, count) for start in range(0, len(points), BLOCK)]
    return torch.cat(near).cpu().numpy().astype(np.int64)


def _nearest(points: Tensor, start: int, count: int) -> Tensor:
    some = points[start : start + BLOCK]
    cosines = some @ points.T
    rows = torch.arange(len(some), device=points.device)
    cosines[rows, start + rows] = -torch.inf
    return cosines.topk(count, dim=1).indices


def neighbours_by_name(keys: tuple[str, ...], names: tuple[str, ...], count: int = NEAREST) -> Ints:
    """Return (C, M) look-alikes for the first epoch: classes whose names are close in alphabetical order.

    Product names usually start with the brand, followed by the kind, so neighbours share one or both.
    """
    classes = len(keys)
    count = min(count, classes - 1)
    order = np.array(sorted(range(classes), key=lambda label: (names[label].casefold(), keys[label])))
    # 1 after, 1 before, 2 after, 2 before, ...
    steps = [step * sign for step in range(1, count // 2 + 2) for sign in (1, -1)][:count]
    neighbours = np.empty((classes, count), np.int64)
    for place, label in enumerate(order):
        neighbours[label] = order[[(place + step) % classes for step in steps]]
    return neighbours


def check_pools(pools: Pools) -> None:
    """Raise SynthError if there are crops of fewer than two SKUs."""
    present = int((pools.counts() > 0).sum())
    if present < 2:
        what = "training an embedder needs at least two SKUs"
        raise SynthError(what, code="too-few-skus", found=f"crops of {present}", hint=CROPPED)


def check_any(labels: NDArray, where: str) -> None:
    """Raise SynthError if a data set has no crop. labels: of the crops. where: name of the set."""
    if not len(labels):
        raise SynthError("no box of a data set makes a crop", code="filter-empty", where=where, hint=CROPPED)
