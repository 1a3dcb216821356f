"""Made-up planograms of a catalogue: each product in one bay, blocks by category, brand, then size, heavy ones low.

Bays are filled one after another, so that a catalogue of any size takes little more memory than its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from assets.catalog.types import Sku
from assets.planogram.bay_sizes import BayStandard, build_bay, height_needed, next_surface
from assets.planogram.products import sizes_missing, stated_size
from assets.planogram.types import Planogram, PlanogramPosition, Size
from assets.planogram.units import TOLERANCE_M

# Kinds of packages that carry each other.
STACKABLE = ("carton", "can", "tray", "multipack")
# Most facings and rows of a product, and most of it on top of each other.
MAX_WIDE, MAX_HIGH, MAX_DEEP = 8, 3, 12
# Small products are stacked up to this height, metres.
STACK_M = 0.22
# The topmost shelf is within reach, and the top of its products no higher than the bay, metres.
REACH_M, TOP_M, MAX_SHELVES = 1.7, 2.0, 8
# Kilograms a cubic metre, for the order of shelves where no mass is stated.
DENSITY = 500.0


@dataclass(frozen=True)
class _Facings:
    """A product with its facings on a shelf."""

    sku: Sku
    size: Size
    wide: int

    @property
    def width(self) -> float:
        return self.size[0] * self.wide

    @property
    def kilograms(self) -> float:
        return self.sku.mass_kg or prod(self.size) * DENSITY


_Row = list[_Facings]


def generate_planograms(skus: Iterable[Sku], standard: BayStandard, *, seed: int) -> Iterator[Planogram]:
    """Generate bays that hold each of the products once, named "Bay 1", "Bay 2" and so on.

    Raises SynthError for products without stated sizes.
    """
    listed = sorted(skus, key=_order)
    unsized = [sku.sku for sku in listed if stated_size(sku) is None]
    if unsized:
        raise sizes_missing(unsized, "the SKU list")
    rng = np.random.default_rng(seed)
    for number, rows in enumerate(_bays(_rows(listed, standard, rng), standard), start=1):
        yield _build(f"Bay {number}", rows, standard)


def _order(sku: Sku) -> tuple[str, str, float, str]:
    size = stated_size(sku) or (0.0, 0.0, 0.0)
    return sku.category, sku.brand, size[0] * size[1] * size[2], sku.sku


def _rows(skus: Iterable[Sku], standard: BayStandard, rng: np.random.Generator) -> Iterator[_Row]:
    """Iterate over full shelves of products in their order; one that is wider than a bay is alone."""
    row: _Row = []
    left = standard.width
    for sku in skus:
        size = stated_size(sku)
        assert size is not None
        if size[0] > left + TOLERANCE_M and row:
            yield _filled(row, left, rng)
            row, left = [], standard.width
        # Few products have many facings: the count is uniform in its logarithm.
        wanted = int(5 ** rng.random())
        room = int((left + TOLERANCE_M) // size[0])
        facings = _Facings(sku, size, max(min(wanted, room, int(standard.width / 3 // size[0])), 1))
        row.append(facings)
        left -= facings.width
    if row:
        yield _filled(row, left, rng)


def _filled(row: _Row, left: float, rng: np.random.Generator) -> _Row:
    """Add facings until no product of the shelf has room for another one."""
    while able := [i for i, one in enumerate(row) if one.size[0] <= left + TOLERANCE_M and one.wide < MAX_WIDE]:
        chosen = able[int(rng.integers(len(able)))]
        row[chosen] = replace(row[chosen], wide=row[chosen].wide + 1)
        left -= row[chosen].size[0]
    return row


def _bays(rows: Iterable[_Row], standard: BayStandard) -> Iterator[list[_Row]]:
    """Iterate over the shelves of each bay, from below: as many as one can reach, the heaviest at the bottom."""
    bay: list[_Row] = []
    for row in rows:
        both = sorted([*bay, row], key=_weight, reverse=True)
        if bay and not (_fits(both, standard) and _is_wide(row, standard) == _is_wide(bay[0], standard)):
            yield bay
            both = [row]
        bay = both
    if bay:
        yield bay


def _weight(row: _Row) -> float:
    return sum(one.kilograms for one in row) / len(row)


def _is_wide(row: _Row, standard: BayStandard) -> bool:
    return sum(one.width for one in row) > standard.width + TOLERANCE_M


def _fits(rows: list[_Row], standard: BayStandard) -> bool:
    surface = standard.base
    for row in rows[:-1]:
        surface = next_surface(surface, height_needed(_height(row)), standard)
    return len(rows) <= MAX_SHELVES and surface <= REACH_M and surface + _height(rows[-1]) <= TOP_M


def _height(row: _Row) -> float:
    """Return the height of a shelf's highest stack."""
    highest = max(one.size[1] for one in row)
    return max(one.size[1] * _layers(one, highest) for one in row)


def _layers(one: _Facings, highest: float) -> int:
    if one.sku.package not in STACKABLE:
        return 1
    return min(max(int((max(highest, STACK_M) + TOLERANCE_M) // one.size[1]), 1), MAX_HIGH)


def _build(name: str, rows: list[_Row], standard: BayStandard) -> Planogram:
    sizes = {one.sku.sku: one.size for row in rows for one in row}
    deepest = max(size[2] for size in sizes.values())
    depth = next((usual for usual in standard.depths if usual >= max(deepest, standard.depth)), deepest)
    shelves = [
        [_position(str(place), one, max(other.size[1] for other in row), depth) for place, one in enumerate(row, 1)]
        for row in rows
    ]
    return build_bay(name, shelves, sizes.get, standard, width=0.0 if _is_wide(rows[0], standard) else standard.width)


def _position(name: str, one: _Facings, highest: float, depth: float) -> PlanogramPosition:
    rows = min(max(int((depth + TOLERANCE_M) // one.size[2]), 1), MAX_DEEP)
    return PlanogramPosition(name, one.sku.sku, wide=one.wide, high=_layers(one, highest), deep=rows)
