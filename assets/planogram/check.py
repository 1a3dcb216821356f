"""What does not fit in a planogram: unknown products, blocks too high, overlapping, sticking out or of another size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from assets.catalog.types import Catalog
from assets.planogram.products import sizes_of, stated_size
from assets.planogram.types import HANGING, Planogram, PlanogramSet, PlanogramShelf, Size
from assets.planogram.units import PlacedBlock, SizeOf, block_size, facing_size, placed_blocks

MisfitKind = Literal["missing", "unsized", "high", "overlap", "outside", "size"]
# Differences up to a millimetre are no misfits; what is beyond it by rounding neither.
MILLIMETRE = 0.001 + 1e-9


@dataclass(frozen=True)
class Misfit:
    """Something that does not fit. shelf, position: ids, empty for a product as a whole. row: line of the file, or 0.

    kind: missing (not in the SKU list), unsized (no size stated), high (too high for its shelf), overlap, outside
    (sticking out of the shelf), size (stated sizes differ from those of the list).
    """

    kind: MisfitKind
    planogram: str
    shelf: str
    position: str
    sku: str
    row: int
    found: str
    expected: str


def find_misfits(planograms: PlanogramSet, catalog: Catalog | None = None) -> Iterator[Misfit]:
    """Find everything in a set that is off by more than a millimetre, in the order of the file.

    catalog: where products must be listed; None checks the file's own sizes alone.
    """
    known = frozenset(catalog.keys) if catalog is not None else None
    size_of = sizes_of(planograms, catalog)
    if catalog is not None and known is not None:
        yield from _resized(planograms, catalog, known)
    for planogram in planograms.planograms:
        for shelf in planogram.shelves:
            for position in shelf.positions:
                place = planogram.name, shelf.id, position.id, position.sku, position.row
                if known is not None and position.sku not in known:
                    yield Misfit("missing", *place, "a product that is not listed", "a key or barcode of the SKU list")
                elif size_of(position.sku) is None:
                    yield Misfit("unsized", *place, "no size", "width, height and depth in the SKU list")
            yield from _shelf_misfits(planogram, shelf, size_of)


def _resized(planograms: PlanogramSet, catalog: Catalog, known: frozenset[str]) -> Iterator[Misfit]:
    for product in planograms.products:
        listed = stated_size(catalog.find(product.keys[0])) if product.keys[0] in known else None
        if listed and product.size and not _equal(listed, product.size):
            found, expected = f"{_millimetres(product.size)} in the planogram", f"{_millimetres(listed)} as in the list"
            yield Misfit("size", "", "", "", product.keys[0], 0, found, expected)


def _shelf_misfits(planogram: Planogram, shelf: PlanogramShelf, size_of: SizeOf) -> Iterator[Misfit]:
    blocks, free = placed_blocks(shelf, size_of), planogram.free_height(shelf)
    for block in blocks:
        place = planogram.name, shelf.id, block.position.id, block.position.sku, block.position.row
        for kind, found, expected in _block_misfits(shelf, free, block, size_of(block.position.sku)):
            yield Misfit(kind, *place, found, expected)
    for first, second, shared in _overlaps(blocks):
        place = planogram.name, shelf.id, second.position.id, second.position.sku, second.position.row
        found = f"an overlap of {_millimetres(shared)} with position {first.position.id}"
        yield Misfit("overlap", *place, found, "none")


def _block_misfits(
    shelf: PlanogramShelf, free: float, block: PlacedBlock, size: Size | None
) -> Iterator[tuple[MisfitKind, str, str]]:
    left, right, front = shelf.overhang
    top = block.y + block.size[1]
    if shelf.kind not in HANGING and top > free + MILLIMETRE:
        yield "high", f"{_millimetre(top)} over the shelf", f"at most {_millimetre(free)} of free height"
    ends = {
        "the left end": -left - block.x,
        "the right end": block.x + block.size[0] - shelf.width - right,
        # What hangs may come forward to the front of the planogram.
        "the front edge": -front - block.z - (shelf.z if shelf.kind in HANGING else 0.0),
        "the back": block.z + block.size[2] - shelf.depth,
        "the underside": -block.y,
    }
    for side, beyond in ends.items():
        if beyond > MILLIMETRE:
            yield "outside", f"{_millimetre(beyond)} beyond {side} of the shelf", "inside, with its overhang"
    stated = block.position.size
    # Files state the size of the whole block, a few that of one facing.
    if (
        size
        and stated
        and not any(
            _equal(stated, one) for one in (block_size(block.position, size), facing_size(block.position, size))
        )
    ):
        whole = block_size(block.position, size)
        yield "size", f"a block of {_millimetres(stated)}", f"{_millimetres(whole)}, as its facings are"


def _overlaps(blocks: Sequence[PlacedBlock]) -> Iterator[tuple[PlacedBlock, PlacedBlock, Size]]:
    """Iterate over pairs of blocks that share more than a millimetre along every axis, with that room."""
    reaching: list[PlacedBlock] = []
    for second in sorted(blocks, key=lambda block: block.x):
        reaching = [first for first in reaching if first.x + first.size[0] > second.x + MILLIMETRE]
        for first in reaching:
            shared = tuple(
                min(a + one, b + other) - max(a, b)
                for a, one, b, other in zip(_corner(first), first.size, _corner(second), second.size, strict=True)
            )
            if min(shared) > MILLIMETRE:
                yield first, second, (shared[0], shared[1], shared[2])
        reaching.append(second)


def _corner(block: PlacedBlock) -> Size:
    return block.x, block.y, block.z


def _equal(one: Size, other: Size) -> bool:
    return all(abs(a - b) <= MILLIMETRE for a, b in zip(one, other, strict=True))


def _millimetre(length: float) -> str:
    return f"{length * 1000:.4g} mm"


def _millimetres(size: Size) -> str:
    return f"{' x '.join(f'{side * 1000:.4g}' for side in size)} mm"
