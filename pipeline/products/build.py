"""Prebuild of a list's products by worker processes for `synth assets build`; finished ones stay cached."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from assets.catalog.sku_lists import SkuSource
from assets.errors import SynthError, printable
from assets.files.atomic import sweep_cache
from assets.files.scratch import scratch_folder
from assets.interrupt import never
from assets.options import Option
from assets.progress import Reporter, duration_text
from pipeline.run.settings import Cache
from pipeline.workers.pool import Outcome, run_scenes
from pipeline.workers.process import SceneFunctions

if TYPE_CHECKING:
    from assets.catalog.types import Catalog
    from assets.library import Library

# Size of a retailer's catalogue, for which the disk space is extrapolated.
MANY_SKUS = 170_000
# Products on the contact sheet of a build.
SHEET_PRODUCTS = 60
# Of the notes on the products.
MAX_NAMED = 3
MAX_LINES = 100


@dataclass(frozen=True)
class ProductBuildSettings:
    """What workers need to know. notes: a folder for their notes. The rest as in RunSettings, for those who watch."""

    sku_list: SkuSource
    out: Path
    notes: Path
    workers: int
    threads: int = 1
    timeout_s: float = 300.0
    memory_mb: int = 2048


@dataclass(frozen=True)
class AssetBuildSettings:
    """Settings of a build: all products of a list, the first `limit`, or those of `skus`."""

    sku_list: Annotated[SkuSource, Option("SKU list.", "Data", parse="sku_list", argument=True)]
    limit: Annotated[int | None, Option("Only the first N SKUs.", minimum=1, metavar="N")] = None
    skus: Annotated[tuple[str, ...], Option("Only this SKU. Repeatable.", name="--sku")] = ()
    workers: Annotated[int, Option("Parallel build processes.", "Compute", parse="workers", default="auto")] = 1
    cache: Cache = Path()

    def positions(self, catalog: Catalog) -> list[int]:
        """Return the positions of the products. Raises SynthError for SKUs that are not in the list."""
        if self.skus:
            return [catalog.position(sku) for sku in dict.fromkeys(self.skus)]
        return list(range(len(catalog)))[: self.limit]


@dataclass
class BuildSummary:
    """Result of a build. sizes: bytes of each cached product. notes: (SKU, what is doubtful)."""

    skus: int
    built: int = 0
    found: int = 0
    drawn: int = 0
    sizes: list[int] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def build_assets(settings: AssetBuildSettings, reporter: Reporter, *, stop: Callable[[], bool] = never) -> BuildSummary:
    """Build and cache the products of a list that are not cached yet.

    stop: once it returns True, products in progress are finished and no more are started. A bad product does not end
    the build: it is in the summary. Raises SynthError for an invalid list and for SKUs that are not in it.
    """
    from assets.catalog.load import load_catalog

    catalog, cache = load_catalog(settings.sku_list), settings.cache
    positions = settings.positions(catalog)
    summary = BuildSummary(len(positions))
    needed = [position for position in positions if _needs_build(catalog, position)]
    summary.drawn = len(positions) - len(needed)
    cache.mkdir(parents=True, exist_ok=True)
    sweep_cache(cache)
    started = time.monotonic()
    with scratch_folder("build") as notes:
        workers = max(min(settings.workers, len(needed)), 1)
        work = ProductBuildSettings(settings.sku_list, cache, Path(notes), workers)
        try:
            with (
                reporter.scenes(len(needed), 0, doing="building", noun="product") as progress,
                closing(run_scenes(BUILDING, work, needed, stop=lambda in_progress: stop())) as outcomes,
            ):
                for outcome in outcomes:
                    _count_outcome(outcome, catalog, summary)
                    progress.advance(failed=bool(outcome.reason))
        except KeyboardInterrupt:
            summary.interrupted = True
        summary.notes = _read_notes(work.notes)
    summary.seconds = time.monotonic() - started
    summary.failures.sort()
    summary.interrupted |= summary.built + summary.found + len(summary.failures) < len(needed)
    return summary


def _needs_build(catalog: Catalog, position: int) -> bool:
    from assets.packages.store import has_images

    sku = catalog[position]
    return bool(sku.mesh) or has_images(sku)


def _count_outcome(outcome: Outcome, catalog: Catalog, summary: BuildSummary) -> None:
    if outcome.reason:
        summary.failures.append((catalog.keys[outcome.index], " ".join(outcome.reason.split())))
        return
    summary.built += outcome.images
    summary.found += 1 - outcome.images
    summary.sizes.append(outcome.annotations)


def _read_notes(folder: Path) -> list[tuple[str, str]]:
    lines = [line for file in sorted(folder.iterdir()) for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted((sku, note) for sku, note in map(json.loads, lines))


_library: list[Library] = []


def _open_library(settings: ProductBuildSettings) -> None:
    import cv2

    from assets.backdrops.collection import Backdrops
    from assets.catalog.load import load_catalog
    from assets.library import Library

    cv2.setNumThreads(settings.threads)  # it would take all cores in every worker
    _library[:] = [Library(load_catalog(settings.sku_list), Backdrops.open(), cache_dir=settings.out, memory_mb=1)]


def _build_one(settings: ProductBuildSettings, position: int) -> tuple[int, int]:
    """Build a product unless it is cached: return 1 if it was built, else 0, and its bytes on disk."""
    from assets.packages.build import build_package
    from assets.packages.facts import package_doubts
    from assets.packages.packshots.art import read_art
    from assets.packages.store import stored_package

    (library,) = _library
    sku = library.catalog[position]
    try:
        path = library.stored_path(sku)
        if path is None:
            raise SynthError("nothing to build", code="nothing-to-build", where=f"SKU {sku.sku!r}")
        if path.exists():
            return 0, path.stat().st_size
        if sku.mesh:
            library.product(sku.sku)
        else:
            art = read_art(sku, library.catalog.root_of(sku.sku))
            stored_package(path, lambda: build_package(sku, art))
            _write_notes(settings.notes, [(sku.sku, note) for note in package_doubts(sku, art)])
    except SynthError as error:
        row = library.catalog.place_of(sku.sku)
        where = error.where if error.where and row in error.where else f"{row}: {error.where}"
        raise error.with_where(where) from error
    return 1, path.stat().st_size


def _write_notes(folder: Path, notes: list[tuple[str, str]]) -> None:
    if notes:
        with (folder / str(os.getpid())).open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(note)}\n" for note in notes)


BUILDING = SceneFunctions(scene=_build_one, start=_open_library)


def print_build(reporter: Reporter, sku_list: SkuSource, summary: BuildSummary) -> None:
    """Print what was built, its size, what is doubtful and what failed."""
    for line in note_lines(summary.notes):
        reporter.say(f"note: {line}")
    for sku, reason in summary.failures:
        reporter.say(printable(f"failed: {sku}: {reason}"))
    parts = [f"{summary.built} built", f"{summary.found} cached before"]
    parts += [f"{summary.drawn} without mesh and images, drawn on demand"] if summary.drawn else []
    parts += [f"{len(summary.failures)} failed"] if summary.failures else []
    reporter.say(f"{sku_list}: {', '.join(parts)}, in {duration_text(summary.seconds)}{_rate_text(summary)}")
    if summary.sizes:
        each = sum(summary.sizes) / len(summary.sizes)
        reporter.say(f"{each / 1000:.1f} kB per product on disk: {each * MANY_SKUS / 1e9:.1f} GB for {MANY_SKUS:,}")
    if summary.interrupted:
        reporter.say("interrupted: the same command resumes there")


def _rate_text(summary: BuildSummary) -> str:
    made = summary.built / max(summary.seconds, 1e-9) * 60
    return f", {made:.0f} SKUs per minute" if summary.built else ""


def plot_built(settings: AssetBuildSettings, out: Path) -> Path:
    """Write a contact sheet of the requested products, evenly spaced samples of many; return `out`."""
    import numpy as np

    from assets.catalog.load import load_catalog
    from pipeline.preview.sheet import save_sheet, sheet_of
    from pipeline.products.tiles import product_tiles

    catalog = load_catalog(settings.sku_list)
    positions = settings.positions(catalog)
    chosen = [positions[round(at)] for at in np.linspace(0, len(positions) - 1, min(SHEET_PRODUCTS, len(positions)))]
    tiles = list(product_tiles(catalog, sorted(set(chosen)), settings.cache))
    return save_sheet(sheet_of(tiles, 3, f"{settings.sku_list.name}: {len(tiles)} of {len(positions)} products"), out)


def note_lines(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines for (SKU, note) pairs: one per note, with the number and some of its SKUs."""
    skus: dict[str, list[str]] = {}
    for sku, note in notes:
        skus.setdefault(note, []).append(sku)
    lines = [_note_line(note, named) for note, named in sorted(skus.items(), key=lambda item: -len(item[1]))]
    more = [f"and {len(lines) - MAX_LINES} more kinds of notes"] if len(lines) > MAX_LINES else []
    return [*lines[:MAX_LINES], *more]


def _note_line(note: str, skus: list[str]) -> str:
    if len(skus) == 1:
        return printable(f"{skus[0]}: {note}")
    named = ", ".join(skus[:MAX_NAMED]) + ", …" * (len(skus) > MAX_NAMED)
    return printable(f"{len(skus)} SKUs ({named}): {note}")
