"""Blocks of facings where a planogram says, each unit at its exact place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from assets.mesh.rest import Rest
from assets.planogram.orientation import orientation_rotation
from assets.planogram.types import HANGING, MAX_FACINGS, PlanogramShelf, Size
from assets.planogram.units import PlacedBlock, PlanogramUnit, SizeOf, block_units, body_size, placed_blocks
from render.layout import Support
from render.placement.facings import FacingBlock, FacingParams, StockedBlock, StockedItem, sample_taken


@dataclass(frozen=True)
class PlanogramParams:
    """How far a shelf differs from its planogram. setback: range of each block's, metres. missing, sold_out: chances
    that the front item of a column has been taken, and that a position or a column is empty. rows: most rows."""

    setback: tuple[float, float] = (0.0, 0.0)
    missing: float = 0.0
    sold_out: float = 0.0
    rows: int = MAX_FACINGS


@dataclass(frozen=True, eq=False)
class PlanogramBlock:
    """A position as it stands there. facing: its product as on any shelf."""

    place: PlacedBlock
    facing: FacingBlock
    stocked: StockedBlock


def stock_shelf(
    shelf: PlanogramShelf,
    support: Support,
    size_of: SizeOf,
    shape_of: Callable[[str], Rest | None],
    params: PlanogramParams,
    *,
    rng: np.random.Generator,
) -> tuple[PlanogramBlock, ...]:
    """Set the positions of a shelf on its support, sorted from the left and from below.

    size_of: front size of a product, metres; one without takes no room. shape_of: its hull; None leaves its place free.
    """
    places = sorted(placed_blocks(shelf, size_of), key=lambda place: (place.x, place.y))
    blocks = []
    for place in places:
        shape, size = shape_of(place.position.sku), size_of(place.position.sku)
        if shape is not None and size is not None:
            blocks.append(_stock(shelf, support, place, shape, size, params, rng))
    return tuple(blocks)


def _stock(
    shelf: PlanogramShelf,
    support: Support,
    place: PlacedBlock,
    shape: Rest,
    size: Size,
    params: PlanogramParams,
    rng: np.random.Generator,
) -> PlanogramBlock:
    units = list(block_units(shelf, place, size))
    columns, layers, rows = (1 + max(counts) for counts in zip(*map(_place_in_block, _body(units)), strict=True))
    rotation = orientation_rotation(place.position.orientation)
    stocked = not (params.sold_out and rng.random() < params.sold_out)
    facing = FacingBlock(shape, columns, rows, layers=layers, rotation=rotation, stocked=stocked)
    back = 0.0 if shelf.kind in HANGING else shelf.depth  # what hangs ends at the panel
    room = max(back - place.z - place.size[2], 0.0)
    setback = min(float(rng.uniform(*params.setback)), room)
    units = _left_over(units, facing, params, rng)
    items = []
    for unit in units:
        pose = unit.shelf_from_object.copy()
        pose[1, 3] += setback
        items.append(StockedItem(support.place(pose), -1 if unit.cap else unit.column, unit.layer, unit.row))
    width, height, _ = body_size(place.position, size)
    left, step = place.x - shelf.width / 2, width / columns
    edges = tuple((left + step * column, left + step * (column + 1)) for column in range(columns))
    capped = any(unit.cap for unit in units)
    block = StockedBlock(tuple(items), edges, place.y + height, place.z + setback, place.y, capped)
    return PlanogramBlock(place, facing, block)


def _body(units: Sequence[PlanogramUnit]) -> Iterator[PlanogramUnit]:
    return (unit for unit in units if not unit.cap)


def _place_in_block(unit: PlanogramUnit) -> tuple[int, int, int]:
    return unit.column, unit.layer, unit.row


def _left_over(
    units: Sequence[PlanogramUnit], facing: FacingBlock, params: PlanogramParams, rng: np.random.Generator
) -> list[PlanogramUnit]:
    """Return what has not been taken, of the front rows. Caps fall with the block that carries them."""
    chances = FacingParams(missing=params.missing, sold_out=params.sold_out)
    taken = [sample_taken(facing, chances, column, rng) for column in range(facing.columns)]
    # Shoppers take the uppermost item of the front row first.
    body = [
        unit
        for unit in _body(units)
        if unit.row * facing.layers + facing.layers - 1 - unit.layer >= taken[unit.column] and unit.row < params.rows
    ]
    hidden = facing.rows > params.rows
    caps = [unit for unit in units if unit.cap and unit.row < params.rows and not (hidden and unit.cap == "z")]
    return body if any(taken) else [*body, *caps]
