"""Facings on a shelf: copies of one product side by side along the front edge, stacked and several rows deep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from assets.mesh.types import frozen_array
from render.geometry import rotation_about_z
from render.layout import Support
from render.placement.arrange import resting_pose
from render.placement.stacking import AIR

# Metres: lets a sum of widths that fills the board exactly count as fitting.
SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class FacingBlock:
    """The facings of one product on a shelf.

    columns: facings side by side. rows: items behind each other. layers: items on top of each other. turn: about the
    vertical, radians; 0 shows its front (-Y). rotation: (3, 3), the pose before that turn, such as lying on its side.
    left: x of its left edge on the support, metres; None = beside the block before it. stocked: False leaves its place
    empty.
    """

    shape: Rest
    columns: int
    rows: int = 1
    turn: float = 0.0
    layers: int = 1
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    left: float | None = None
    stocked: bool = True

    def __post_init__(self) -> None:
        if min(self.columns, self.rows, self.layers) < 1:
            found = f"{self.columns} x {self.rows} x {self.layers}"
            raise ValueError(f"a block of {found} facings: at least 1 x 1 x 1 is expected")
        object.__setattr__(self, "rotation", frozen_array(self.rotation, np.float64, (3, 3), "rotation"))

    @cached_property
    def size(self) -> NDArray[np.float64]:
        """Width, depth and height of one item as it stands there, (3,), metres."""
        turned = rotation_about_z(self.turn) @ self.rotation
        return np.ptp(self.shape.hull_vertices @ turned.T, axis=0)


@dataclass(frozen=True)
class FacingParams:
    """Tidiness of a shelf. gap: lowest and highest gap between neighbours, metres. setback: from the front edge.

    turn: standard deviation of each item's turn, radians. missing: chance that an item of a column has been taken,
    after the ones in front of it. sold_out: chance that a column is empty, other than the first of a block.
    """

    gap: tuple[float, float] = (0.002, 0.01)
    setback: tuple[float, float] = (0.005, 0.03)
    turn: float = 0.03
    missing: float = 0.0
    sold_out: float = 0.0


@dataclass(frozen=True, eq=False)
class StockedItem:
    """One item of a block. world_from_object: (4, 4). column: from the left, layer: from below, row: from the front."""

    world_from_object: NDArray[np.float64]
    column: int
    layer: int
    row: int


@dataclass(frozen=True, eq=False)
class StockedBlock:
    """A block as placed. columns: left and right edge of each column on the support, x in metres; those without room
    are left out. height: of the upper side of a full column, bottom: of its lower side, metres over the support.
    setback: of its front from the front edge, metres. capped: further items stand against it, or some of it lean."""

    items: tuple[StockedItem, ...]
    columns: tuple[tuple[float, float], ...]
    height: float
    setback: float
    bottom: float = 0.0
    capped: bool = False

    @property
    def poses(self) -> tuple[NDArray[np.float64], ...]:
        """World_from_object (4, 4) of all items."""
        return tuple(item.world_from_object for item in self.items)

    @cached_property
    def empty_columns(self) -> tuple[int, ...]:
        """Columns that are sold out."""
        stocked = {item.column for item in self.items}
        return tuple(number for number in range(len(self.columns)) if number not in stocked)


def set_in_facings(
    blocks: Sequence[FacingBlock], support: Support, params: FacingParams, *, rng: np.random.Generator
) -> tuple[StockedBlock, ...]:
    """Set blocks of facings on a support, from its left end to the right.

    Items never intersect and never leave the support: columns, layers and rows for which there is no room are left out,
    and so are products higher than the support's free height. Rows fill up from the front.
    """
    reached = -support.width / 2
    placed = []
    for block in blocks:
        items: list[StockedItem] = []
        columns: list[tuple[float, float]] = []
        setback = rng.uniform(*params.setback)
        for _ in range(block.columns):
            left = reached + rng.uniform(*params.gap)
            if block.left is not None and not columns:
                left = max(block.left, reached)
            column, right = _column(block, support, params, (len(columns), left, setback), rng)
            if right <= support.width / 2 + SLACK and block.size[2] <= support.height:
                items += column
                columns.append((left, right))
                reached = right
        layers = min(block.layers, max(int(support.height / block.size[2]), 1))
        placed.append(StockedBlock(tuple(items), tuple(columns), float(layers * block.size[2]), float(setback)))
    return tuple(placed)


def _column(
    block: FacingBlock,
    support: Support,
    params: FacingParams,
    start: tuple[int, float, float],
    rng: np.random.Generator,
) -> tuple[list[StockedItem], float]:
    """Return the items of one column from the front, and the x of its right side.

    start: the column's number, the x of its left side, its setback.
    """
    column, left, setback = start
    stacks = []
    for _ in range(block.rows):
        rotation = rotation_about_z(block.turn + rng.normal(0, params.turn)) @ block.rotation
        pose = resting_pose(block.shape, rotation)
        stacks.append((pose, np.ptp(block.shape.hull_vertices @ pose[:3, :3].T, axis=0)))
    width = max(float(size[0]) for _, size in stacks)
    front, taken = -support.depth / 2 + setback, sample_taken(block, params, column, rng)
    items = []
    for row, (pose, size) in enumerate(stacks):
        pose[0, 3] += left + width / 2 + rng.uniform(-0.5, 0.5) * (width - size[0])
        pose[1, 3] += front + size[1] / 2
        front += size[1] + rng.uniform(*params.gap)
        if pose[1, 3] + size[1] / 2 > support.depth / 2:
            break
        height = size[2] + AIR
        layers = min(block.layers, int((support.height + AIR) / height))
        # Shoppers take the uppermost item of the front row first.
        for layer in range(layers - max(taken - row * block.layers, 0)):
            lifted = pose.copy()
            lifted[2, 3] += layer * height
            items.append(StockedItem(support.place(lifted), column, layer, row))
    return items, left + width


def sample_taken(block: FacingBlock, params: FacingParams, column: int, rng: np.random.Generator) -> int:
    """Sample how many items of a column have been taken."""
    number = block.rows * block.layers
    if not block.stocked or (params.sold_out and rng.random() < params.sold_out and column):
        return number
    taken = 0
    while taken < number - 1 and rng.random() < params.missing:
        taken += 1
    return taken
