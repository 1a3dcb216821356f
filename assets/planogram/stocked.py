"""Planograms of files as a shop has them: with the products of its catalogue that stand in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.planogram import load_planograms
from assets.planogram.products import sizes_of
from assets.planogram.types import Planogram, Size
from assets.plurals import count_of, join_few


@dataclass(frozen=True)
class StockedPlanogram:
    """A planogram with at least one product of the catalogue. skus: those, in the order of their positions.

    sizes: stated sizes of its products in front orientation, metres, by key.
    """

    planogram: Planogram
    skus: tuple[str, ...]
    sizes: Mapping[str, Size]


@dataclass(frozen=True)
class PlanogramShop:
    """All planograms of some files.

    positions: their number. unknown: keys of products that are not in the catalogue, and the positions of each. empty:
    names of planograms without any product of it, which are left out. left_out: what of the files is not followed.
    """

    stocked: tuple[StockedPlanogram, ...] = ()
    positions: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    empty: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)

    def describe(self) -> list[str]:
        """Return lines about what is there and what is left out."""
        skus = {sku for one in self.stocked for sku in one.skus}
        lines = [f"{count_of(len(self.stocked), 'planogram')} with {count_of(len(skus), 'SKU')} of the list"]
        if self.unknown:
            names = join_few([f"{key!r}" for key in self.unknown], 5)
            places = f"{self.unknown.total():,} of {count_of(self.positions, 'position')}"
            lines.append(f"{places} stay empty: {count_of(len(self.unknown), 'product')} not in the SKU list ({names})")
        if self.empty:
            names = join_few([f"{name!r}" for name in self.empty], 5)
            lines.append(f"{count_of(len(self.empty), 'planogram')} left out, without any SKU of the list: {names}")
        if self.left_out:
            kinds = join_few([count_of(count, kind, spec=",") for kind, count in self.left_out.items()], 8)
            lines.append(f"not followed: {kinds}")
        return lines


def stock_planograms(files: Sequence[Path], catalog: Catalog) -> PlanogramShop:
    """Read planograms and find their products in the catalogue.

    Raises SynthError for a file that cannot be read, and if none of their products is in the catalogue.
    """
    known = frozenset(catalog.keys)
    stocked: list[StockedPlanogram] = []
    unknown: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    empty, positions = [], 0
    for file in files:
        found = load_planograms(file, catalog)
        left_out.update(found.left_out)
        size_of = sizes_of(found, catalog)
        for planogram in found.planograms:
            keys = [position.sku for position in planogram.shown_positions()]
            if hidden := planogram.position_count - len(keys):
                left_out["hidden position"] += hidden
            positions += len(keys)
            unknown.update(key for key in keys if key not in known)
            skus = tuple(dict.fromkeys(key for key in keys if key in known))
            if skus:
                sizes = {key: size for key in dict.fromkeys(keys) if (size := size_of(key))}
                stocked.append(StockedPlanogram(planogram, skus, sizes))
            else:
                empty.append(planogram.name)
    if files and not stocked:
        raise SynthError(
            "no product of the planograms is in the SKU list",
            code="planogram-products-missing",
            where=", ".join(map(str, files)),
            found=join_few([repr(key) for key in unknown], 5) or "no positions",
            expected="keys or barcodes of the SKU list",
        )
    return PlanogramShop(tuple(stocked), positions, unknown, tuple(empty), left_out)
