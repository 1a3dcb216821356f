"""Usual sizes of bays, and a bay built around rows of products: shelves at notches, as high as their products need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from assets.planogram.types import Planogram, PlanogramBay, PlanogramPosition, PlanogramShelf
from assets.planogram.units import TOLERANCE_M, SizeOf, placed_blocks

INCH = 0.0254
BayUnits = Literal["eu", "us"]
# Room above the highest product of a shelf, for the hand of the shopper (25 to 50 mm are usual).
FINGER_SPACE_M = 0.03


@dataclass(frozen=True)
class BayStandard:
    """Sizes that gondolas of one market come in, metres, ascending. notch: step of the slots that carry shelves.

    board: thickness of a shelf. base: height of the lowest one. width, depth: those of most bays.
    """

    widths: tuple[float, ...]
    heights: tuple[float, ...]
    depths: tuple[float, ...]
    notch: float
    board: float
    base: float
    width: float
    depth: float


# EU: usual metric gondolas; US: sizing guides of Lozier gondolas (sections of 36 and 48 in).
STANDARDS: dict[BayUnits, BayStandard] = {
    "eu": BayStandard(
        (0.625, 0.665, 0.8, 1.0, 1.25, 1.33),
        (1.4, 1.6, 1.8, 2.0, 2.2, 2.4),
        (0.27, 0.37, 0.47, 0.57, 0.67),
        notch=0.05,
        board=0.03,
        base=0.16,
        width=1.25,
        depth=0.47,
    ),
    "us": BayStandard(
        (36 * INCH, 48 * INCH),
        (48 * INCH, 60 * INCH, 72 * INCH, 84 * INCH, 96 * INCH),
        (13 * INCH, 16 * INCH, 19 * INCH, 22 * INCH, 25 * INCH, 31 * INCH),
        notch=INCH,
        board=1.25 * INCH,
        base=6 * INCH,
        width=48 * INCH,
        depth=19 * INCH,
    ),
}


def build_bay(
    name: str,
    rows: Sequence[Sequence[PlanogramPosition]],
    size_of: SizeOf,
    standard: BayStandard,
    *,
    width: float = 0.0,
    height: float = 0.0,
    depth: float = 0.0,
) -> Planogram:
    """Build a bay around rows of positions, the lowest first. width, height, depth: 0 chooses the smallest usual one.

    Rows wider than any bay get several bays side by side. Products without a size take no room.
    """
    needs = [_room_needed(row, size_of) for row in rows]
    width = width or _usual(standard.widths, max((need[0] for need in needs), default=0.0), repeat=True)
    depth = depth or _usual(standard.depths, max((need[2] for need in needs), default=0.0))
    shelves = []
    surface = standard.base
    for number, (row, need) in enumerate(zip(rows, needs, strict=True), start=1):
        bottom = round(surface - standard.board, 6)
        shelves.append(
            PlanogramShelf(str(number), "shelf", 0.0, bottom, 0.0, width, standard.board, depth, positions=tuple(row))
        )
        surface = next_surface(surface, need[1], standard)
    top = shelves[-1].surface + needs[-1][1] if shelves else 0.0
    height = height or _usual(standard.heights, top)
    return Planogram(
        name,
        width,
        height,
        depth,
        tuple(shelves),
        _bays(width, height, depth, standard),
        base_width=width,
        base_height=standard.base,
        base_depth=depth,
        notch_spacing=standard.notch,
    )


def next_surface(surface: float, need: float, standard: BayStandard) -> float:
    """Return the height of the next shelf's surface over one with products that need this much room."""
    steps = ceil((surface + need + standard.board - standard.base - TOLERANCE_M) / standard.notch)
    return round(standard.base + steps * standard.notch, 6)


def height_needed(highest: float) -> float:
    """Return the room that products of this height need over their shelf."""
    return highest + FINGER_SPACE_M


def _room_needed(row: Sequence[PlanogramPosition], size_of: SizeOf) -> tuple[float, float, float]:
    shelf = PlanogramShelf("0", "shelf", 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, positions=tuple(row))
    blocks = placed_blocks(shelf, size_of)
    width = max((block.x + block.size[0] for block in blocks), default=0.0)
    height = max((block.y + block.size[1] for block in blocks), default=0.0)
    return width, height_needed(height), max((block.size[2] for block in blocks), default=0.0)


def _usual(usual: Sequence[float], need: float, *, repeat: bool = False) -> float:
    """Return the smallest usual size that is enough; beyond all of them what is needed, or the largest repeated."""
    fit = [size for size in usual if size >= need - TOLERANCE_M]
    if fit:
        return fit[0]
    return usual[-1] * ceil(need / usual[-1]) if repeat else ceil(need * 1000) / 1000


def _bays(width: float, height: float, depth: float, standard: BayStandard) -> tuple[PlanogramBay, ...]:
    count = max(ceil(width / standard.widths[-1] - TOLERANCE_M), 1)
    return tuple(
        PlanogramBay(str(number + 1), round(number * width / count, 6), width / count, height, depth)
        for number in range(count)
    )
