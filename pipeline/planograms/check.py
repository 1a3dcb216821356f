"""Check of a planogram file against a SKU list: `synth planogram check`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from assets.catalog.load import load_catalog
from assets.planogram import load_planograms
from assets.planogram.check import Misfit, find_misfits
from assets.plurals import count_of
from pipeline.planograms.settings import PlanogramCheckSettings

# Rows of the table, and misfits kept: no one reads more.
MAX_ROWS, MAX_KEPT = 200, 10_000


@dataclass(frozen=True)
class PlanogramFindings:
    """Result of a check. misfits: the first ones. kinds: how many there are of each kind.

    left_out: what of the file is not followed, and how often.
    """

    planograms: int
    positions: int
    misfits: tuple[Misfit, ...]
    kinds: dict[str, int]
    left_out: dict[str, int]

    @property
    def count(self) -> int:
        """Number of misfits."""
        return sum(self.kinds.values())


def check_planograms(settings: PlanogramCheckSettings) -> PlanogramFindings:
    """Find all misfits of a file. Raises SynthError for files that cannot be read."""
    catalog = load_catalog(settings.sku_list) if settings.sku_list is not None else None
    found = load_planograms(settings.file, catalog)
    kinds: Counter[str] = Counter()
    kept: list[Misfit] = []
    for misfit in find_misfits(found, catalog):
        kinds[misfit.kind] += 1
        if len(kept) < MAX_KEPT:
            kept.append(misfit)
    positions = sum(1 for planogram in found.planograms for _ in planogram.positions())
    return PlanogramFindings(len(found.planograms), positions, tuple(kept), dict(kinds), found.left_out)


def print_findings(console: Console, settings: PlanogramCheckSettings, found: PlanogramFindings) -> None:
    """Print a table of the misfits, and a line with their number."""
    if found.misfits:
        table = Table("row", "planogram", "shelf", "position", "SKU", "misfit", "found", "expected")
        for one in found.misfits[:MAX_ROWS]:
            place = (str(one.row or ""), one.planogram, one.shelf, one.position, one.sku)
            table.add_row(*place, one.kind, one.found, one.expected)
        console.print(table)
    if found.count > MAX_ROWS:
        console.print(f"and {found.count - MAX_ROWS:,} more")
    for kind, number in found.left_out.items():
        note = f"note: not followed: {count_of(number, kind, spec=',')}"
        console.print(note, style="yellow", highlight=False, markup=False)
    verdict = count_of(found.count, "misfit", spec=",") if found.count else "good"
    kinds = f" ({', '.join(f'{number:,} {kind}' for kind, number in found.kinds.items())})" if found.count else ""
    what = f"{count_of(found.planograms, 'planogram', spec=',')}, {count_of(found.positions, 'position', spec=',')}"
    line = f"{settings.file}: {verdict}{kinds}: {what}"
    console.print(line, style="red" if found.count else "green", highlight=False, markup=False)
