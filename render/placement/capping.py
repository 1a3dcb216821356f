"""Caps: items of a block that lie on top of its full stacks, where shops use up the room under the next board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from render.geometry import rotation_about_z, transform
from render.layout import Support
from render.placement.arrange import resting_pose
from render.placement.facings import FacingBlock, StockedBlock, StockedItem
from render.placement.shelving import FLAT, is_stackable
from render.placement.stacking import AIR, CARRIED, foot_face

# Lying on the left side with the front towards the aisle; on the back with the foot towards the aisle.
LYING = (
    np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
)
MAX_LAYERS = 2


def cap_block(
    block: FacingBlock, stocked: StockedBlock, support: Support, turn: float, *, rng: np.random.Generator
) -> StockedBlock:
    """Lay further items of a block on its stacks, from the left, as far as these carry them and there is room.

    turn: standard deviation of each item's turn, radians. Items never intersect and never leave the support.
    """
    pose = _lying_pose(block, rng)
    if pose is None:
        return stocked
    tops = _tops(block, stocked, support)
    if not len(tops):
        return stocked
    rise = float(np.ptp(block.shape.hull_vertices @ pose[2, :3]))
    room = support.height - float(tops[:, 4].max())
    layers = min(int((room - AIR) / (rise + AIR)), int(rng.integers(1, MAX_LAYERS + 1)))
    if layers < 1:
        return stocked
    laid = []
    for placed in _row(block, pose, tops, support, turn, rng):
        for layer in range(layers):
            lifted = placed.copy()
            lifted[2, 3] += layer * (rise + AIR)
            laid.append(StockedItem(support.place(lifted), -1, layer, 0))
    # As many as a shop assistant had left over.
    count = int(rng.integers(1, len(laid) // layers + 1)) * layers if laid else 0
    return replace(stocked, items=(*stocked.items, *laid[:count]), capped=bool(count))


def _lying_pose(block: FacingBlock, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Return a lying pose at the origin whose foot is level and large; None if there is none, or none is carried."""
    if not block.stocked or not is_stackable(block):
        return None
    for number in rng.permutation(len(LYING)):
        pose = resting_pose(block.shape, LYING[number] @ block.rotation)
        foot = foot_face(block.shape, pose)
        size = np.ptp(block.shape.hull_vertices @ pose[:3, :3].T, axis=0)
        if foot is not None and foot.area >= FLAT * size[0] * size[1]:
            return pose
    return None


def _tops(block: FacingBlock, stocked: StockedBlock, support: Support) -> NDArray[np.float64]:
    """Return the tops of the highest stacks (N, 5) on the support: lowest and highest x, y, and height, metres."""
    highest = max((item.layer for item in stocked.items), default=0)
    support_from_world = np.linalg.inv(support.world_from_support)
    tops = []
    for item in stocked.items:
        if item.layer == highest:
            points = transform(support_from_world @ item.world_from_object, block.shape.hull_vertices)
            low, high = points.min(axis=0), points.max(axis=0)
            tops.append((low[0], high[0], low[1], high[1], high[2]))
    return np.array(tops).reshape(-1, 5)


def _row(
    block: FacingBlock,
    pose: NDArray[np.float64],
    tops: NDArray[np.float64],
    support: Support,
    turn: float,
    rng: np.random.Generator,
) -> Sequence[NDArray[np.float64]]:
    """Return poses side by side on the tops, with their fronts at the front of the stacks."""
    reached, right, front = float(tops[:, 0].min()), float(tops[:, 1].max()), float(tops[:, 2].min())
    found: list[NDArray[np.float64]] = []
    while True:
        turned = rotation_about_z(rng.normal(0, turn)) @ pose[:3, :3]
        placed = resting_pose(block.shape, turned)
        width, depth, _ = np.ptp(block.shape.hull_vertices @ turned.T, axis=0)
        if reached + width > right or front + depth > support.depth / 2:
            return found
        if _is_carried(np.array([reached, reached + width, front, front + depth]), tops):
            placed[:3, 3] += [reached + width / 2, front + depth / 2, tops[:, 4].max() + AIR]
            found.append(placed)
            reached += width + AIR
        else:
            reached += max(width / 4, 0.005)


def _is_carried(foot: NDArray[np.float64], tops: NDArray[np.float64]) -> bool:
    """Return whether each quarter of a foot (lowest and highest x, y) lies on tops for the most part."""
    middle = (foot[0] + foot[1]) / 2, (foot[2] + foot[3]) / 2
    for x in ((foot[0], middle[0]), (middle[0], foot[1])):
        for y in ((foot[2], middle[1]), (middle[1], foot[3])):
            across = np.minimum(tops[:, 1], x[1]) - np.maximum(tops[:, 0], x[0])
            along = np.minimum(tops[:, 3], y[1]) - np.maximum(tops[:, 2], y[0])
            shared = (np.maximum(across, 0) * np.maximum(along, 0)).sum()
            if shared < CARRIED * (x[1] - x[0]) * (y[1] - y[0]):
                return False
    return True
