"""Planogram files written: made up from a catalogue, or converted from another format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from assets.catalog.load import load_catalog
from assets.errors import SynthError
from assets.files.atomic import atomic_file
from assets.planogram import FORMATS, load_planograms
from assets.planogram.bay_sizes import STANDARDS
from assets.planogram.generate import generate_planograms
from assets.planogram.products import product_of
from assets.planogram.types import Planogram, PlanogramProduct
from assets.plurals import count_of, counts_of
from assets.progress import StepProgress
from pipeline.planograms.settings import PlanogramConvertSettings, PlanogramGenerateSettings


@dataclass(frozen=True)
class WrittenPlanograms:
    """What was written. lost: what the format cannot carry, and how often."""

    out: Path
    planograms: int
    positions: int
    bytes: int
    lost: dict[str, int]


def generate_file(settings: PlanogramGenerateSettings, console: Console) -> WrittenPlanograms:
    """Make up planograms of a catalogue, written bay by bay. Raises SynthError for products without sizes."""
    writer = _writer_of(settings.out)
    if not writer.STATES_SIZES and settings.units != "eu":
        raise SynthError(
            "a planogram of this format has no sizes of bays: it reads as European ones",
            code="planogram-format-unknown",
            where=str(settings.out),
            expected="a file ending in .toml, or --units eu",
        )
    catalog = load_catalog(settings.sku_list)
    made = generate_planograms(catalog, STANDARDS[settings.units], seed=settings.seed)
    with StepProgress(console, "planning", total=len(catalog), unit="SKUs") as progress:
        return _write(settings.out, _advancing(made, progress), map(product_of, catalog), writer)


def convert_file(settings: PlanogramConvertSettings) -> WrittenPlanograms:
    """Write the planograms of a file in another format. Raises SynthError for what cannot be read or written."""
    writer = _writer_of(settings.out)
    catalog = load_catalog(settings.sku_list) if settings.sku_list is not None else None
    found = load_planograms(settings.file, catalog)
    lost = writer.losses(found.planograms)
    written = _write(settings.out, _with_own_names(found.planograms), found.products, writer)
    return replace(written, lost={**found.left_out, **lost})


def print_written(console: Console, written: WrittenPlanograms) -> None:
    """Print what was written and what was lost."""
    for what, number in written.lost.items():
        line = f"not in {written.out.name}: {count_of(number, what, spec=',')}"
        console.print(line, style="yellow", highlight=False, markup=False)
    counts = counts_of(planogram=written.planograms, position=written.positions, spec=",")
    console.print(f"wrote {written.out}: {counts}", highlight=False, markup=False)


def _writer_of(path: Path) -> Any:
    """Return the module of the format of a new file. Raises SynthError for an unknown ending and an existing file."""
    modules = [module for name in FORMATS.names() if hasattr(module := FORMATS.load(name), "write_planograms")]
    writer = next((module for module in modules if path.suffix.lower() in module.SUFFIXES), None)
    if writer is None:
        raise SynthError(
            "planograms cannot be written in this format",
            code="planogram-format-unknown",
            where=str(path),
            found=path.suffix or "no ending",
            expected=f"a file ending in {', '.join(module.SUFFIXES[0] for module in modules)}",
        )
    if path.exists():
        raise SynthError("the file exists already", code="output-exists", where=str(path), hint="give another name")
    return writer


def _write(
    out: Path, planograms: Iterable[Planogram], products: Iterable[PlanogramProduct], writer: Any
) -> WrittenPlanograms:
    """Write a file part by part, whole or not at all; nothing is kept of a planogram that is written."""
    counts: Counter[str] = Counter()

    def counted() -> Iterator[Planogram]:
        for planogram in planograms:
            counts.update(planograms=1, positions=planogram.position_count)
            yield planogram

    limit = writer.MAX_BYTES
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out) as file:
        for part in writer.write_planograms(counted(), products):
            counts["bytes"] += file.write(part)
            if counts["bytes"] > limit.maximum:
                hint = "write a .csv, or several files from parts of the SKU list"
                what = f"the planograms are too many for one {out.suffix} file"
                expected = f"at most {limit.maximum:,} bytes"
                raise SynthError(what, code="limit-exceeded", where=str(out), expected=expected, hint=hint)
    return WrittenPlanograms(out, counts["planograms"], counts["positions"], counts["bytes"], {})


def _advancing(planograms: Iterable[Planogram], progress: StepProgress) -> Iterator[Planogram]:
    for planogram in planograms:
        progress.count(planogram.position_count)
        yield planogram


def _with_own_names(planograms: Iterable[Planogram]) -> Iterator[Planogram]:
    """Number planograms of one name, which a CSV would join."""
    seen: Counter[str] = Counter()
    for planogram in planograms:
        seen[planogram.name] += 1
        number = seen[planogram.name]
        yield planogram if number == 1 else replace(planogram, name=f"{planogram.name} ({number})")
