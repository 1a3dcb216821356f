"""Assignment of SKUs to the scenes of a job, so that each SKU occurs exactly as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dataset.layout import GOLDEN, Splits

# Minimum and maximum number of products: of every scene, or by the scene's position.
Count = tuple[int, int] | Callable[[int], tuple[int, int]]
# Number of the random stream of assignments, apart from those of scenes (render/streams.py).
ASSIGNMENT_STREAM = 1000


@dataclass(frozen=True, eq=False)
class Assignment:
    """The products of many scenes. category_ids: (A,) int32, of every appearance. starts: (S + 1,) int64: scene s has
    category_ids[starts[s]:starts[s + 1]]. numbers: (A,) int32: how often the SKU was assigned before. planograms: (S,)
    int32: the planogram of each scene, or (0,)."""

    category_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    numbers: NDArray[np.int32]
    planograms: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def slice_of(self, scene: int) -> slice:
        """Return the slice of a scene in category_ids and numbers."""
        return slice(int(self.starts[scene]), int(self.starts[scene + 1]))


def assign_scenes(
    needs: NDArray[np.int64],
    before: NDArray[np.int64],
    listed: NDArray[np.bool_],
    count: Count,
    *,
    rng: np.random.Generator,
) -> Assignment:
    """Assign different SKUs to scenes, as many per scene as `count` says, so that SKU i occurs needs[i] times.

    needs, before, listed: (I,), by category id: how often to assign it, how often it was before, and whether it may
    fill up a scene that would be too small. Shuffled passes over all SKUs that still need something, so that the
    neighbours of a SKU differ each time; the last scenes of a pass get what remains.
    """
    passes: list[NDArray[np.int64]] = []
    sizes: list[NDArray[np.int64]] = []
    for done in range(int(needs.max(initial=0))):
        order = rng.permutation(np.flatnonzero(needs > done))
        first = sum(map(len, sizes))
        minimum = (count(first) if callable(count) else count)[0]
        if len(order) < minimum:
            others = rng.permutation(np.flatnonzero(listed & (needs <= done)))
            order = np.concatenate([order, others[: minimum - len(order)]])
        passes.append(order)
        size = len(order)
        sizes.append(_mixed_sizes(size, count, first, rng) if callable(count) else _scene_sizes(size, count, rng))
    if not passes:
        return Assignment(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32))
    ids = np.concatenate(passes).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    return Assignment(ids, starts.astype(np.int64), (before[ids] + _count_earlier(ids)).astype(np.int32))


def assign_planograms(
    needs: NDArray[np.int64],
    before: NDArray[np.int64],
    listed: NDArray[np.bool_],
    planograms: Sequence[NDArray[np.int32]],
    *,
    rng: np.random.Generator,
) -> Assignment:
    """Assign planograms to scenes, as few as give SKU i needs[i] appearances; each scene shows all SKUs of its own.

    needs, before, listed: as for `assign_scenes`; SKUs that are not listed are left out. planograms: the category ids
    in each. Shuffled passes over the planograms that hold a SKU that still needs something.
    """
    left = needs.copy()
    contents = [ids[listed[ids]] for ids in planograms]
    chosen: list[int] = []
    while open_ones := [number for number, ids in enumerate(contents) if (left[ids] > 0).any()]:
        for number in rng.permutation(open_ones):
            if (left[contents[number]] > 0).any():  # else the planograms before it in this pass were enough
                left[contents[number]] -= 1
                chosen.append(int(number))
    sizes = [len(contents[number]) for number in chosen]
    ids = np.concatenate([np.zeros(0, np.int32), *(contents[number] for number in chosen)])
    starts = np.cumsum([0, *sizes]).astype(np.int64)
    numbers = (before[ids] + _count_earlier(ids)).astype(np.int32)
    return Assignment(ids, starts, numbers, np.array(chosen, np.int32))


def _scene_sizes(total: int, count: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return sizes from count[0] to count[1] that sum to `total`; smaller ones only if unavoidable."""
    low, high = count
    fewest, most = -(-total // high), total // low
    scenes = min(max(round(2 * total / (low + high)), fewest), max(most, fewest))
    low = low if scenes <= most else 1
    sizes = rng.integers(low, high + 1, size=scenes)
    while missing := total - int(sizes.sum()):
        step = 1 if missing > 0 else -1
        room = np.flatnonzero(sizes < high if step > 0 else sizes > low)
        sizes[rng.permutation(room)[: abs(missing)]] += step
    return sizes


def _mixed_sizes(
    total: int, count: Callable[[int], tuple[int, int]], first: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return sizes where each scene has its own range; `first`: the position of the first scene."""
    lows: list[int] = []
    sizes: list[int] = []
    reached = 0
    while reached < total:
        low, high = count(first + len(sizes))
        lows.append(low)
        sizes.append(int(rng.integers(low, high + 1)))
        reached += sizes[-1]
    found, minimum = np.array(sizes, np.int64), np.array(lows, np.int64)
    while (excess := int(found.sum()) - total) and len(room := np.flatnonzero(found > minimum)):
        found[rng.permutation(room)[:excess]] -= 1
    found[-1] -= excess  # less than the last scene's size, since `total` was not reached without it
    return found


def _count_earlier(ids: NDArray) -> NDArray[np.int64]:
    """Return for each id how often it occurs before its position."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    first = np.searchsorted(ordered, ordered, side="left")
    earlier = np.empty(len(ids), np.int64)
    earlier[order] = np.arange(len(ids)) - first
    return earlier


def splits_of(first: int, scenes: int, splits: Splits) -> NDArray[np.int64]:
    """Return (scenes,), the index of the split of scenes first, first + 1, ...; a vectorised layout.split_of."""
    places = (np.arange(first, first + scenes) + 0.5) * GOLDEN % 1.0
    reached = 0.0
    edges = []
    for _, share in splits:
        reached += share
        edges.append(reached)
    return np.minimum(np.searchsorted(edges, places, side="right"), len(splits) - 1)


def shards_of(first: int, scenes: int, splits: Splits, shard_scenes: int) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the split and the scenes of each shard, counted from 0 within the assignment; a shard has one split."""
    split_numbers = splits_of(first, scenes, splits)
    shards = []
    for number, (split, _) in enumerate(splits):
        members = np.flatnonzero(split_numbers == number)
        shards += [(split, members[start : start + shard_scenes]) for start in range(0, len(members), shard_scenes)]
    return shards
