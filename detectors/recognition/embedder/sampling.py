"""Batches of P SKUs with K crops each, look-alikes together; every batch is known from its step alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.errors import SynthError

Ints = NDArray[np.int64]
# SKUs that are drawn into a batch as one group of look-alikes. Whole batches of look-alikes are harder than what a
# network that has just begun can learn from; four leave room for others.
GROUP = 4
# Look-alikes that are known of each SKU: some of them are taken by other groups already.
NEAREST = 16
# Classes compared with all others at a time: 700 MB at 170,000.
BLOCK = 1024


class EmbedderStream(IntEnum):
    """Streams of chance of an embedder's training, apart from those of `detectors.data.mix`."""

    GROUPS = 101
    CROPS = 102
    VIEW = 103
    NEGATIVES = 104
    STEP = 105
    LIMIT = 106
    HOLD_OUT = 107
    IMPRINT = 108


def stream(seed: int, purpose: EmbedderStream, *numbers: int) -> np.random.Generator:
    """The generator of one purpose at one place."""
    return np.random.default_rng([seed, int(purpose), *numbers])


@dataclass(frozen=True)
class Pools:
    """The crops of each class. order: (N,) crops, class after class. first: (C + 1,) where each class begins."""

    order: Ints
    first: Ints

    @classmethod
    def of(cls, labels: NDArray, classes: int) -> Pools:
        """Pools of (N,) labels; classes without crops are empty."""
        order = np.argsort(labels, kind="stable").astype(np.int64)
        return cls(order, np.searchsorted(labels[order], np.arange(classes + 1)).astype(np.int64))

    def crops(self, label: int) -> Ints:
        """The crops of one class."""
        return self.order[self.first[label] : self.first[label + 1]]

    def counts(self) -> Ints:
        """(C,) how many crops each class has."""
        return np.diff(self.first)


@dataclass(frozen=True)
class Draws:
    """How batches are drawn. skus, crops: P and K. steps: of an epoch. real_share: of a SKU that has photographs."""

    skus: int
    crops: int
    steps: int
    seed: int
    real_share: float = 0.0


class EpochBatches:
    """The batches of one epoch, from a step of it on: an epoch's look-alikes are known only when it begins.

    real: (N,) whether a crop is of a photograph. neighbours: (C, M) look-alikes of each class, or None.
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
        self._orders: dict[int, Ints] = {}

    def __len__(self) -> int:
        return self.draws.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """(position, crop) pairs of each step: the position is that of the sample in the whole training."""
        size = self.draws.crops * min(self.draws.skus, len(self._present))
        for step in range(self.start, self.draws.steps):
            first = (self.epoch * self.draws.steps + step) * size
            yield [(first + place, int(crop)) for place, crop in enumerate(self.batch(step))]

    def batch(self, step: int) -> Ints:
        """(P * K,) crops of a step of this epoch, SKU after SKU."""
        rng = stream(self.draws.seed, EmbedderStream.CROPS, self.epoch, step)
        return np.concatenate([self._draw(sku, rng) for sku in self.skus(step)])

    def skus(self, step: int) -> list[int]:
        """The P classes of a step: rounds through all classes, each in another order."""
        count = min(self.draws.skus, len(self._present))
        places = range(step * count, (step + 1) * count)
        turns = [divmod(place, len(self._present)) for place in places]
        return [int(self._order(turn)[place]) for turn, place in turns]

    def _order(self, turn: int) -> Ints:
        if turn not in self._orders:
            rng = stream(self.draws.seed, EmbedderStream.GROUPS, self.epoch, turn)
            order = rng.permutation(self._present)
            alike = self.neighbours
            # A batch lies in two rounds at most: older ones are not asked for again.
            self._orders = {earlier: kept for earlier, kept in self._orders.items() if earlier >= turn - 1}
            self._orders[turn] = order if alike is None else group_alike(order, alike, GROUP)
        return self._orders[turn]

    def _draw(self, sku: int, rng: np.random.Generator) -> Ints:
        """K crops of a class, none twice as long as there are enough."""
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
    """The classes of `order` rearranged so that each stands beside up to `size` - 1 of its look-alikes.

    neighbours: (C, M) look-alikes of each class, the nearest first, -1 where there are fewer. Who comes first in
    `order` chooses first; a class is taken once.
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
    """(C, M) the classes whose points are nearest to each class's, the nearest first, without itself.

    points: (C, D) of length 1. M is `count`, or fewer where there are no more classes. All pairs are compared: 170,000
    classes of 512 numbers take seconds on a GPU and minutes on a processor, little beside an epoch of so many.
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
    """(C, M) look-alikes before anything is learned: names that stand near each other in the alphabet.

    Names of packs begin with the brand and go on with the kind, so that neighbours share one or both.
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
    """Raises SynthError where there are not two SKUs to tell apart."""
    present = int((pools.counts() > 0).sum())
    if present < 2:
        hint = "crops are taken from boxes that are not ignored and large enough (--min-side, --min-visibility)"
        raise SynthError(
            "training an embedder needs at least two SKUs", code="too-few-skus", found=f"crops of {present}", hint=hint
        )
