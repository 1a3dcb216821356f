"""Products in the baskets of a freezer: standing in rows or lying in stacks, from front to back, with holes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.fixtures.surface import pose_at
from assets.fixtures.wire_basket import WIRE_M
from render.layout import Support
from render.placement.arrange import resting_pose
from render.placement.capping import LYING
from render.placement.facings import FacingBlock, StockedBlock
from render.placement.grids import cell_size, set_in_grid
from render.placement.shelving import FLAT, is_stackable
from render.placement.stacking import MAX_SLENDERNESS, foot_face

# A column of a basket is this much wider than its item, and rows are at most this far apart, metres; turn in radians.
PLAY, ROW_PLAY, TURN = 0.02, 0.008, 0.012
# Packs this much thinner than high lie on their backs, or stand on edge in rows, from which the front ones are taken.
THIN, ON_EDGE = 0.6, 0.34
# Of a block at most.
MAX_LAYERS, MAX_ITEMS = 8, 60


@dataclass(frozen=True, eq=False)
class FilledBasket:
    """A block in its basket. size: (3,), outside, metres. world_from_basket: (4, 4)."""

    stocked: StockedBlock
    size: NDArray[np.float64]
    world_from_basket: NDArray[np.float64]


@dataclass(frozen=True)
class BasketParams:
    """How a basket is filled. stack: height of its stacks at most, metres. drop: of their tops below the load line.

    missing: chance that an item has been taken from a stack, after those on it. sold_out: chance that a column is
    empty, other than the first of a block.
    """

    stack: float
    drop: float = 0.0
    missing: float = 0.0
    sold_out: float = 0.0


def lay_flat(block: FacingBlock) -> FacingBlock:
    """Return a block whose items lie on their backs, fronts upwards, if they are thin and level enough for that."""
    lying = replace(block, rotation=LYING[1] @ block.rotation)
    foot = foot_face(block.shape, resting_pose(block.shape, lying.rotation))
    flat = foot is not None and foot.area >= FLAT * float(np.prod(lying.size[:2]))
    return lying if flat and block.size[1] < THIN * block.size[2] else block


def fill_basket(
    block: FacingBlock, left: float, support: Support, params: BasketParams, *, rng: np.random.Generator
) -> FilledBasket:
    """Set a block into a basket of the support's depth; its left side is at `left`, metres on the support.

    The basket is as deep below the load line, the support's height, as its stacks are high. An unstocked block leaves
    it empty; otherwise one item is left at least.
    """
    cell = cell_size(block, TURN)
    rows, layers = _grid(block, support, params, cell)
    stack = layers * float(cell[2])
    bottom = max(support.height - 2 * WIRE_M - stack - params.drop, 0.0)
    pitch, row = float(block.size[0]) + PLAY, min(float(cell[1]) + ROW_PLAY, _room(support) / rows)
    size = np.array([block.columns * pitch - WIRE_M, support.depth - WIRE_M, support.height - bottom])
    spare = (size[0] - 2 * WIRE_M) / block.columns - float(cell[0])
    lefts = [left + WIRE_M + i * (float(cell[0]) + spare) + spare / 2 for i in range(block.columns)]
    fronts = [2 * WIRE_M - support.depth / 2 + i * row for i in range(rows)]
    floor = bottom + 2 * WIRE_M
    taken = np.full((block.columns, rows), layers)
    if block.stocked:
        taken = _sample_taken(block, rows, layers, params, rng)
    items = set_in_grid(
        block, support, lefts, fronts, [floor + i * float(cell[2]) for i in range(layers)], taken, TURN, rng=rng
    )
    columns = tuple((x, x + float(cell[0])) for x in lefts)
    stocked = StockedBlock(items, columns, floor + stack, 0.0, floor, capped=True)
    return FilledBasket(stocked, size, support.place(pose_at(left + size[0] / 2, 0.0, bottom)))


def _room(support: Support) -> float:
    return support.depth - 4 * WIRE_M


def _grid(block: FacingBlock, support: Support, params: BasketParams, cell: NDArray[np.float64]) -> tuple[int, int]:
    """Return how many rows and layers there are: as many as have room, stand safely and are not too many to draw."""
    rows = max(int(_room(support) / cell[1] + 1e-9), 1)
    highest = min(params.stack, support.height - 2 * WIRE_M, MAX_SLENDERNESS * float(block.size[:2].min()))
    layers = int(np.clip(highest / cell[2], 1, MAX_LAYERS)) if is_stackable(block) else 1
    layers = max(min(layers, MAX_ITEMS // (block.columns * rows)), 1)
    return max(min(rows, MAX_ITEMS // (block.columns * layers)), 1), layers


def _sample_taken(
    block: FacingBlock, rows: int, layers: int, params: BasketParams, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Sample (columns, rows) how many items are missing from each stack; of packs on edge, those at the front."""
    drawn = rng.geometric(1 - min(params.missing, 0.99), size=(block.columns, rows)) - 1
    if block.size[1] < ON_EDGE * block.size[2]:
        drawn = np.where(np.arange(rows) < rng.binomial(rows - 1, params.missing, size=(block.columns, 1)), layers, 0)
    drawn = np.minimum(drawn, layers)
    drawn[rng.random(block.columns) < params.sold_out] = layers
    drawn[0, -1] = min(int(drawn[0, -1]), layers - 1)
    return drawn
