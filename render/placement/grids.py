"""Regular grids: copies of a product side by side, behind each other and on top of each other, packed tightly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from render.geometry import rotation_about_z
from render.layout import Support
from render.placement.arrange import resting_pose
from render.placement.facings import FacingBlock, StockedItem
from render.placement.stacking import AIR

# Between neighbours in a grid, metres.
TIGHT = 5e-4


def cell_size(block: FacingBlock, turn: float) -> NDArray[np.float64]:
    """Return width, depth and height (3,), metres, of the cell in which an item can turn by up to `turn` radians."""
    width, depth, height = block.size
    sine = abs(np.sin(turn))
    return np.array([width + depth * sine, depth + width * sine, height]) + [TIGHT, TIGHT, 2 * AIR]


def set_in_grid(
    block: FacingBlock,
    support: Support,
    lefts: Sequence[float],
    fronts: Sequence[float],
    levels: Sequence[float],
    taken: NDArray[np.int64],
    turn: float,
    *,
    rng: np.random.Generator,
) -> tuple[StockedItem, ...]:
    """Set items of a block into the cells of a grid, each turned by up to `turn` radians.

    lefts, fronts: x and y of the left and front sides of the cells, levels: of their lower sides, metres on the
    support. taken: (columns, rows), items that are missing from the top of each stack.
    """
    width, depth, _ = cell_size(block, turn)
    items = []
    for column, left in enumerate(lefts):
        for row, front in enumerate(fronts):
            for layer, level in enumerate(levels[: max(len(levels) - int(taken[column, row]), 0)]):
                turned = rotation_about_z(block.turn + rng.uniform(-turn, turn)) @ block.rotation
                pose = resting_pose(block.shape, turned)
                pose[:3, 3] += [left + width / 2, front + depth / 2, level + AIR]
                items.append(StockedItem(support.place(pose), column, layer, row))
    return tuple(items)
