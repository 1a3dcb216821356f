"""Leaning: items beside a hole tip over until they touch a neighbour, as where shoppers have taken something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.geometry import transform
from render.layout import Support
from render.placement.arrange import balance_tilt, resting_pose, tilt_rotation
from render.placement.arrangement import GAP, Arrangement
from render.placement.facings import FacingBlock, StockedBlock

# To the left, to the right, backwards.
DIRECTIONS = ((-1.0, 0.0), (1.0, 0.0), (0.0, 1.0))
# Only slender items tip over: the largest tilt of their balance point, radians, and the tilt beyond it.
MAX_BALANCE, BEYOND = np.radians(24), (np.radians(1), np.radians(10))
# Least height of the contact as a share of the item's own.
MIN_TOUCH = 0.45
# What leans reaches at most this far towards its neighbour, metres.
REACH = 0.3


def lean_items(
    blocks: Sequence[FacingBlock],
    stocked: Sequence[StockedBlock],
    support: Support,
    chance: float,
    *,
    rng: np.random.Generator,
) -> tuple[StockedBlock, ...]:
    """Tip items of a board over against their neighbours, where there is room to fall and something to lean on.

    chance: of each item that stands alone, with nothing of its column before it. Items never intersect, stay on the
    support, and leave sold-out columns free.
    """
    support_from_world = np.linalg.inv(support.world_from_support)
    result = list(stocked)
    shapes = [block.shape for block, one in zip(blocks, stocked, strict=True) for _ in one.items]
    poses = [support_from_world @ item.world_from_object for one in stocked for item in one.items]
    gaps = [one.columns[number] for one in stocked for number in one.empty_columns]
    places = [(number, place) for number, one in enumerate(stocked) for place in range(len(one.items))]
    for index, (number, place) in enumerate(places):
        if not _is_free(result[number], place) or rng.random() >= chance:
            continue
        leaning = _lean(shapes[index], poses[index], support, _near(index, shapes, poses), gaps, rng)
        if leaning is not None:
            poses[index] = leaning
            items = list(result[number].items)
            items[place] = replace(items[place], world_from_object=support.world_from_support @ leaning)
            result[number] = replace(result[number], items=tuple(items), capped=True)
    return tuple(result)


def _near(
    index: int, shapes: Sequence[Rest], poses: Sequence[NDArray[np.float64]]
) -> Iterator[tuple[Rest, NDArray[np.float64]]]:
    """Iterate over the items around one, which those that are too squat to lean never need."""
    for other, pose in enumerate(poses):
        if other != index and np.abs(pose[:2, 3] - poses[index][:2, 3]).max() < 2 * REACH:
            yield shapes[other], pose


def _is_free(stocked: StockedBlock, place: int) -> bool:
    """Return whether an item stands alone, with nothing of its column before it or on it."""
    item = stocked.items[place]
    rows = [other.row for other in stocked.items if other.column == item.column]
    caps = any(other.column < 0 for other in stocked.items)
    return not caps and item.row == min(rows) and rows.count(item.row) == 1


def _lean(
    shape: Rest,
    pose: NDArray[np.float64],
    support: Support,
    near: Iterable[tuple[Rest, NDArray[np.float64]]],
    gaps: Sequence[tuple[float, float]],
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    """Return the pose of an item that leans in one of the directions; None if that is impossible."""
    upright, others = pose[:3, :3], Arrangement()
    for number in rng.permutation(len(DIRECTIONS)):
        towards, beyond = np.array(DIRECTIONS[number]), float(rng.uniform(*BEYOND))
        balance = balance_tilt(shape, upright, towards, MAX_BALANCE)
        if balance is None:
            continue
        if not len(others.centres):
            for other, other_pose in near:
                others.add(other, other_pose)
        start = _start(shape, pose, tilt_rotation(towards, balance + beyond) @ upright, towards, support)
        moved = others.push(shape, start, towards, REACH) if others.distance(shape, start) > GAP else None
        if moved is None or not _is_inside(shape, moved, support, gaps):
            continue
        if others.touch_height(shape, moved, towards) > MIN_TOUCH:
            return moved
    return None


def _start(
    shape: Rest, pose: NDArray[np.float64], rotation: NDArray[np.float64], towards: NDArray, support: Support
) -> NDArray[np.float64]:
    """Return a tilted pose whose rear is where the item's rear was; of one that leans backwards, at the front edge."""
    before, tilted = transform(pose, shape.hull_vertices), resting_pose(shape, rotation)
    low, high = before.min(axis=0)[:2], before.max(axis=0)[:2]
    half = np.ptp(shape.hull_vertices @ rotation[:2].T, axis=0) / 2
    middle = (low + high) / 2
    if towards[1]:
        middle[1] = GAP - support.depth / 2 + half[1]
    else:
        middle[0] = high[0] - half[0] if towards[0] < 0 else low[0] + half[0]
    tilted[:2, 3] += middle
    return tilted


def _is_inside(shape: Rest, pose: NDArray[np.float64], support: Support, gaps: Sequence[tuple[float, float]]) -> bool:
    """Return whether an item is on the support, under its ceiling and out of the gaps (lowest and highest x)."""
    points = transform(pose, shape.hull_vertices)
    low, high = points.min(axis=0), points.max(axis=0)
    half = np.array([support.width, support.depth]) / 2
    free = all(high[0] <= left or low[0] >= right for left, right in gaps)
    return free and bool((low[:2] >= -half).all() and (high[:2] <= half).all() and high[2] <= support.height)
