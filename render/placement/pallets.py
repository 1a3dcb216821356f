"""Stacks on pallets: layers of a product at the front, loose or in cartons, and closed cartons of it behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.fixtures.surface import pose_at
from render.layout import Support
from render.placement.facings import FacingBlock, StockedBlock
from render.placement.grids import cell_size, set_in_grid
from render.placement.shelving import is_stackable
from render.placement.stacking import AIR, MAX_SLENDERNESS

# A column of a block takes this much more than the item is wide, for walls of cartons and for turned items, metres.
PACKED = 0.012
# Walls and floors of cartons, and the room between cartons, metres. Turn of items, radians.
WALL, APART, TURN = 0.003, 0.001, 0.004
# Widest opened carton; largest closed one, wide and deep, and high; least room for a closed one, metres.
CARTON_M, CLOSED_M, CLOSED_HIGH_M, LEAST_M = 0.42, 0.5, 0.3, 0.1
# Items of a block at most: what stands further behind can hardly be seen and is in closed cartons.
MAX_ITEMS = 240

# How a product is stacked: on each other; in trays, which rest on the products below; in display cases, which rest on
# the walls of those below.
Packing = Literal["loose", "tray", "case"]


@dataclass(frozen=True, eq=False)
class PlacedCarton:
    """A carton. size: (3,), outside, metres. front: height of its front wall. world_from_carton: (4, 4)."""

    size: NDArray[np.float64]
    front: float
    closed: bool
    world_from_carton: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PalletStack:
    """A block as stacked, with its cartons."""

    stocked: StockedBlock
    cartons: tuple[PlacedCarton, ...]


@dataclass(frozen=True)
class StackParams:
    """How a pallet is stacked. height: of its stacks over the deck at most, metres. setback: from the front edge.

    half: whether the layer on top is half taken. missing: chance that an item of it has been taken, after those before.
    """

    height: float
    setback: float = 0.0
    half: bool = False
    missing: float = 0.0


def sample_packing(block: FacingBlock, cartons: float, *, rng: np.random.Generator) -> Packing:
    """Sample how a product is stacked: one whose items do not carry each other is in cases.

    cartons: chance of trays or cases for the others.
    """
    packed, case = rng.random() < cartons, rng.random() < 0.4
    if not is_stackable(block):
        return "case"
    return ("case" if case else "tray") if packed else "loose"


def stack_block(
    block: FacingBlock,
    left: float,
    support: Support,
    packing: Packing,
    params: StackParams,
    *,
    rng: np.random.Generator,
) -> PalletStack:
    """Stack a block on a pallet; its left side is at `left`, metres on the support. An unstocked one leaves its place.

    No stack is so slender that it would topple, nothing leaves the pallet, and an item is left in every column.
    """
    cell = cell_size(block, TURN)
    spare = float(rng.uniform(0.004, 0.015)) if packing == "case" else 0.0
    pitch = float(cell[2]) + spare + (0.0 if packing == "loose" else WALL)
    walls = 0.0 if packing == "loose" else WALL
    layers = max(int(params.height / pitch), 1)
    rows = _rows(block, layers, pitch, support.depth - params.setback - 2 * walls, float(cell[1]))
    layers = max(min(layers, int(MAX_SLENDERNESS * min(rows * cell[1], block.columns * cell[0]) / pitch)), 1)
    lefts, cartons = _columns(block.columns, left, float(cell[0]), packing)
    front = -support.depth / 2 + params.setback
    fronts = [front + walls + row * float(cell[1]) for row in range(rows)]
    levels = [layer * pitch + walls for layer in range(layers)]
    columns = tuple((x, x + float(cell[0])) for x in lefts)
    stocked = StockedBlock((), columns, layers * pitch, params.setback, capped=True)
    if not block.stocked:
        return PalletStack(stocked, ())
    taken = _sample_taken(block.columns, rows, layers, params, rng)
    items = set_in_grid(block, support, lefts, fronts, levels, taken, TURN, rng=rng)
    depth = rows * float(cell[1]) + 2 * walls
    low = pitch - AIR if packing == "case" else min(0.06, 0.35 * pitch)
    opened = [
        _carton(support, (x, width), (front, depth), (layer * pitch, low), low * (0.3 if packing == "case" else 1.0))
        for x, width in cartons
        for layer in range(layers)
    ]
    reach = (columns[0][0] - walls, columns[-1][1] + walls)
    closed = _closed(support, reach, front + depth + APART, max(layers - int(rng.integers(2)), 1) * pitch)
    return PalletStack(replace(stocked, items=items), (*opened, *closed))


def _rows(block: FacingBlock, layers: int, pitch: float, room: float, depth: float) -> int:
    """Return how many rows stand behind each other: as wanted, more where a high stack would topple."""
    stable = int(np.ceil(layers * pitch / MAX_SLENDERNESS / depth))
    few = max(MAX_ITEMS // (block.columns * layers), 1)
    return max(min(max(block.rows, stable), few, int(room / depth + 1e-9)), 1)


def _columns(count: int, left: float, width: float, packing: Packing) -> tuple[list[float], list[tuple[float, float]]]:
    """Return the left side of each column, and left side and width of each carton, metres."""
    if packing == "loose":
        return [left + number * width for number in range(count)], []
    most = int(np.clip((CARTON_M - 2 * WALL) / width, 1, count))
    groups = np.array_split(np.arange(count), int(np.ceil(count / most)))
    lefts, cartons = [], []
    for group in groups:
        lefts += [left + WALL + number * width for number in range(len(group))]
        cartons.append((left, len(group) * width + 2 * WALL))
        left += cartons[-1][1] + APART
    return lefts, cartons


def _sample_taken(
    columns: int, rows: int, layers: int, params: StackParams, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Sample (columns, rows) what is missing from the layer on top, from its front; a single layer keeps its rear."""
    most = rows if layers > 1 else rows - 1
    halves = params.half * rng.binomial(rows, 0.5, size=columns)
    drawn = np.minimum(halves + rng.geometric(1 - min(params.missing, 0.99), size=columns) - 1, most)
    return (np.arange(rows) < drawn[:, None]).astype(np.int64)


def _carton(
    support: Support,
    x: tuple[float, float],
    y: tuple[float, float],
    z: tuple[float, float],
    front: float,
    closed: bool = False,
) -> PlacedCarton:
    """Return a carton. x, y, z: its lowest coordinate on the support and its size there, metres."""
    pose = pose_at(x[0] + x[1] / 2, y[0] + y[1] / 2, z[0])
    return PlacedCarton(np.array([x[1], y[1], z[1]]), front, closed, support.place(pose))


def _closed(support: Support, x: tuple[float, float], front: float, height: float) -> list[PlacedCarton]:
    """Return closed cartons between two x, from the y `front` to the back of the pallet, stacked to that height."""
    room = np.array([x[1] - x[0], support.depth / 2 - front, height])
    if room[1] < LEAST_M:
        return []
    across, along, up = np.ceil(room / [CLOSED_M, CLOSED_M, CLOSED_HIGH_M] - 1e-9).astype(int)
    size = room / [across, along, up]
    return [
        _carton(
            support,
            (x[0] + i * size[0], size[0] - APART),
            (front + j * size[1], size[1] - APART),
            (k * size[2], size[2] - APART),
            size[2] - APART,
            closed=True,
        )
        for i in range(across)
        for j in range(along)
        for k in range(up)
    ]
