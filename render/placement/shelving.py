"""Distribution of products over the boards of shelf bays: blocks by brand then size, heavy and large ones low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from render.placement.arrange import resting_pose
from render.placement.facings import FacingBlock
from render.placement.hanging import pitch_of
from render.placement.stacking import foot_face, top_face

# Share of an item's footprint that its top and foot must cover for another one to stand on it.
FLAT = 0.6
# Room for hooks and their plates over the products that hang there, metres.
OVER_HOOKS = 0.07


@dataclass(frozen=True, eq=False)
class ShelfProduct:
    """A product to be put on a shelf. block: its pose and the facings, layers and rows wanted. brand: to sort by.

    hangs: from hooks, where there are some.
    """

    sku: str
    brand: str
    block: FacingBlock
    hangs: bool = False

    @property
    def order(self) -> tuple[str, float, str]:
        """Key to sort by: brand, then size, then SKU."""
        return self.brand, float(np.prod(self.block.size)), self.sku


@dataclass(frozen=True)
class BayRanges:
    """Limits of a bay, metres. width: inside. height: of the topmost board. base: of the lowest board.

    depth: of the boards. thickness: of a board. headroom: lowest and highest room above the products of a board. step:
    between possible heights of boards. boards: most boards of a bay. gap: the widest between neighbours. columns: most
    facings of one product. hooks: length of the hooks above the boards; 0 = none. slope: of the boards towards the
    front, radians: what stands at their back is higher.
    """

    width: float
    height: float
    base: float
    depth: float
    thickness: float = 0.03
    headroom: tuple[float, float] = (0.03, 0.1)
    step: float = 0.05
    boards: int = 8
    gap: float = 0.01
    columns: int = 8
    hooks: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True, eq=False)
class BoardPlan:
    """A board and what stands on it, from the left. height: of its top over the floor, metres.

    hangs: a row of hooks instead, of which `height` is the lower end. top: the upper end of the room there, metres.
    """

    height: float
    products: tuple[ShelfProduct, ...]
    hangs: bool = False
    top: float = 0.0


def plan_bays(
    products: Sequence[ShelfProduct], ranges: BayRanges, *, rng: np.random.Generator
) -> tuple[tuple[BoardPlan, ...], ...]:
    """Return the boards of each bay, from below, with all products that fit on a board at all; above them the hooks.

    Boards fill up in the order of brand and size. Every board is then filled with further facings, as shops do.
    """
    rows = plan_rows([one for one in products if not one.hangs], ranges, rng=rng)
    rows.sort(key=_weight, reverse=True)
    needed = ranges.thickness + ranges.depth * float(np.sin(ranges.slope))
    heights = [_snap(_tallest(row) + needed + float(rng.uniform(*ranges.headroom)), ranges.step) for row in rows]
    hung = plan_rows([one for one in products if one.hangs], ranges, rng=rng)
    rows += sorted(hung, key=_tallest, reverse=True)
    heights += [_snap(_tallest(row) + OVER_HOOKS, ranges.step) for row in rows[len(heights) :]]
    bays = _distribute(heights, ranges)
    # Neighbouring bays both have their heaviest products at the bottom: rows are dealt out like cards.
    return tuple(_stand([rows[i] for i in bay], [heights[i] for i in bay], ranges) for bay in bays)


def plan_rows(
    products: Sequence[ShelfProduct], ranges: BayRanges, *, rng: np.random.Generator
) -> list[list[ShelfProduct]]:
    """Return the products of each row as wide as a bay, in the order of brand and size, with facings that fill it."""
    return [_fill(row, ranges, rng) for row in _rows(sorted(products, key=lambda one: one.order), ranges)]


def _rows(products: Sequence[ShelfProduct], ranges: BayRanges) -> list[list[ShelfProduct]]:
    """Return the products of each board, in order, with fewer facings where that avoids a new board."""
    rows: list[list[ShelfProduct]] = [[]]
    left = ranges.width
    for product in products:
        width, size = _width_of(product, ranges), product.block.size
        if width > ranges.width or size[1] > ranges.depth or size[2] > ranges.height:
            continue
        if width > left:
            rows.append([])
            left = ranges.width
        columns = min(product.block.columns, int(left / width))
        rows[-1].append(replace(product, block=replace(product.block, columns=columns)))
        left -= columns * width
    return [row for row in rows if row]


def _fill(row: list[ShelfProduct], ranges: BayRanges, rng: np.random.Generator) -> list[ShelfProduct]:
    """Add facings until no product of the board has room for another one."""
    left = ranges.width - sum(product.block.columns * _width_of(product, ranges) for product in row)
    while True:
        able = [
            i
            for i, product in enumerate(row)
            if product.block.stocked and _width_of(product, ranges) <= left and product.block.columns < ranges.columns
        ]
        if not able:
            return row
        chosen = able[int(rng.integers(len(able)))]
        block = row[chosen].block
        row[chosen] = replace(row[chosen], block=replace(block, columns=block.columns + 1))
        left -= _width_of(row[chosen], ranges)


def _width_of(product: ShelfProduct, ranges: BayRanges) -> float:
    """Return the width that each facing of a product takes, metres."""
    return pitch_of(product.block) if product.hangs else float(product.block.size[0]) + ranges.gap


def _tallest(row: Sequence[ShelfProduct]) -> float:
    return max(float(product.block.size[2]) for product in row)


def _weight(row: Sequence[ShelfProduct]) -> float:
    """Return the mean volume of the products of a board, which stands for their mass."""
    return float(np.mean([np.prod(product.block.size) for product in row]))


def _snap(height: float, step: float) -> float:
    return float(np.ceil(height / step - 1e-9) * step)


def _distribute(heights: Sequence[float], ranges: BayRanges) -> list[list[int]]:
    """Return the rows of each bay: as few bays as hold all, equally full."""
    for count in range(1, len(heights) + 1):
        bays = [list(range(first, len(heights), count)) for first in range(count)]
        reach = max(ranges.base + sum(heights[i] for i in bay[:-1]) for bay in bays)
        if reach <= ranges.height and max(map(len, bays)) <= ranges.boards:
            return bays
    return [[i] for i in range(len(heights))]


def _stand(rows: Sequence[list[ShelfProduct]], heights: Sequence[float], ranges: BayRanges) -> tuple[BoardPlan, ...]:
    """Return the boards of one bay with their heights; the lowest row stands on the base."""
    level, boards = ranges.base, []
    for row, height in zip(rows, heights, strict=True):
        hangs, top = row[0].hangs, round(level + height, 4)
        room = height - ranges.thickness - ranges.depth * float(np.sin(ranges.slope))
        products = tuple(row) if hangs else tuple(_stacked(product, room) for product in row)
        boards.append(BoardPlan(round(level, 4), products, hangs, top))
        level += height
    return tuple(boards)


def _stacked(product: ShelfProduct, room: float) -> ShelfProduct:
    """Return the product with as many of its wanted layers as have room and can stand on each other."""
    block = product.block
    layers = min(block.layers, max(int(room / block.size[2]), 1))
    if layers > 1 and not is_stackable(block):
        layers = 1
    return replace(product, block=replace(block, layers=layers))


def is_stackable(block: FacingBlock) -> bool:
    """Return whether items of a block carry each other: their top and foot are level and about as large as they are."""
    pose = resting_pose(block.shape, block.rotation)
    faces = top_face(block.shape, pose), foot_face(block.shape, pose)
    footprint = float(np.prod(block.size[:2]))
    return all(face is not None and face.area >= FLAT * footprint for face in faces)
