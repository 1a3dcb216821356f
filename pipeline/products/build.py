"""`synth assets build`: the products of a list made ahead, by workers, each kept once it is there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assets.catalog.sku_lists import SkuSource
from assets.errors import SynthError, printable
from assets.files.atomic import sweep_cache
from assets.files.scratch import scratch_folder
from assets.interrupt import never
from assets.progress import duration_text
from pipeline.products.notes import note_lines
from pipeline.run.progress import Reporter
from pipeline.workers.pool import Outcome, run_scenes
from pipeline.workers.process import SceneFunctions

if TYPE_CHECKING:
    from assets.catalog.types import Catalog
    from assets.library import Library

# Retailers' catalogues: what the bytes are told for.
MANY_SKUS = 170_000
# The picture of what was built shows so many products.
SHEET_PRODUCTS = 60


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


@dataclass
class BuildSummary:
    """What became of the products. sizes: bytes of each that is kept. notes: (SKU, what is doubtful)."""

    skus: int
    built: int = 0
    found: int = 0
    drawn: int = 0
    sizes: list[int] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def build_assets(
    sku_list: SkuSource,
    cache: Path,
    reporter: Reporter,
    *,
    workers: int = 1,
    limit: int | None = None,
    keys: Sequence[str] = (),
    stop: Callable[[], bool] = never,
) -> BuildSummary:
    """Makes and keeps the products of a list that are not kept yet: of all, of the first `limit`, or of `keys`.

    stop: once it says True, products under way are finished and no more are begun. A bad product ends nothing: it is in
    the summary. Raises SynthError for a bad list and for keys that are not in it.
    """
    from assets.catalog.load import load_catalog

    catalog = load_catalog(sku_list)
    places = [catalog.position(key) for key in dict.fromkeys(keys)] if keys else list(range(len(catalog)))[:limit]
    summary = BuildSummary(len(places))
    kept = [place for place in places if _is_kept(catalog, place)]
    summary.drawn = len(places) - len(kept)
    cache.mkdir(parents=True, exist_ok=True)
    sweep_cache(cache)
    started = time.monotonic()
    with scratch_folder("build") as notes:
        settings = ProductBuildSettings(sku_list, cache, Path(notes), max(min(workers, len(kept)), 1))
        try:
            with (
                reporter.scenes(len(kept), 0, doing="building", noun="product") as progress,
                closing(run_scenes(BUILDING, settings, kept, stop=lambda under_way: stop())) as outcomes,
            ):
                for outcome in outcomes:
                    _count(outcome, catalog, summary)
                    progress.advance(failed=bool(outcome.reason))
        except KeyboardInterrupt:
            summary.interrupted = True
        summary.notes = _collected(settings.notes)
    summary.seconds = time.monotonic() - started
    summary.failures.sort()
    summary.interrupted |= summary.built + summary.found + len(summary.failures) < len(kept)
    return summary


def _is_kept(catalog: Catalog, place: int) -> bool:
    from assets.packages.store import has_pictures

    sku = catalog[place]
    return bool(sku.mesh) or has_pictures(sku)


def _count(outcome: Outcome, catalog: Catalog, summary: BuildSummary) -> None:
    if outcome.reason:
        summary.failures.append((catalog.keys[outcome.index], " ".join(outcome.reason.split())))
        return
    summary.built += outcome.images
    summary.found += 1 - outcome.images
    summary.sizes.append(outcome.annotations)


def _collected(folder: Path) -> list[tuple[str, str]]:
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


def _build_one(settings: ProductBuildSettings, place: int) -> tuple[int, int]:
    """Makes a product unless it is kept already: whether it was made (1 or 0), and its bytes on disk."""
    from assets.packages.build import build_package
    from assets.packages.facts import package_doubts
    from assets.packages.packshots.art import read_art
    from assets.packages.store import stored_package

    (library,) = _library
    sku = library.catalog[place]
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
    """What was made, what it takes, what is doubtful and what is wrong, in words."""
    for line in note_lines(summary.notes):
        reporter.say(f"note: {line}")
    for sku, reason in summary.failures:
        reporter.say(printable(f"failed: {sku}: {reason}"))
    parts = [f"{summary.built} built", f"{summary.found} there before"]
    parts += [f"{summary.drawn} without mesh and pictures, drawn when asked for"] if summary.drawn else []
    parts += [f"{len(summary.failures)} failed"] if summary.failures else []
    reporter.say(f"{sku_list}: {', '.join(parts)}, in {duration_text(summary.seconds)}{_rate(summary)}")
    if summary.sizes:
        each = sum(summary.sizes) / len(summary.sizes)
        reporter.say(f"{each / 1000:.1f} kB a product on disk: {each * MANY_SKUS / 1e9:.1f} GB for {MANY_SKUS:,}")
    if summary.interrupted:
        reporter.say("interrupted: the same command resumes there")


def _rate(summary: BuildSummary) -> str:
    made = summary.built / max(summary.seconds, 1e-9) * 60
    return f", {made:.0f} SKUs a minute" if summary.built else ""


def plot_built(sku_list: SkuSource, cache: Path, out: Path, *, limit: int | None, keys: Sequence[str]) -> Path:
    """A contact sheet of what was asked for, evenly spaced samples where that is much; returns `out`."""
    import numpy as np

    from assets.catalog.load import load_catalog
    from pipeline.preview.sheet import save_sheet, sheet_of
    from pipeline.products.tiles import product_tiles

    catalog = load_catalog(sku_list)
    places = [catalog.position(key) for key in keys] if keys else list(range(len(catalog)))[:limit]
    chosen = [places[round(at)] for at in np.linspace(0, len(places) - 1, min(SHEET_PRODUCTS, len(places)))]
    tiles = list(product_tiles(catalog, sorted(set(chosen)), cache))
    return save_sheet(sheet_of(tiles, 3, f"{sku_list.name}: {len(tiles)} of {len(places)} products"), out)
