"""Flat drawings of the planograms of a file: `synth planogram show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from assets.errors import unknown_name
from assets.planogram import load_planograms
from assets.planogram.check import Misfit, find_misfits
from assets.planogram.products import sizes_of
from assets.planogram.types import Planogram, PlanogramSet
from assets.plurals import count_of
from pipeline.planograms.draw import FaceOf, PlanogramDrawing, draw_planogram
from pipeline.planograms.settings import PlanogramShowSettings


@dataclass(frozen=True)
class ShownPlanograms:
    """What was drawn. planograms: of the file. shown: names of those drawn. misfits: in them."""

    out: Path
    planograms: int
    shown: tuple[str, ...]
    misfits: int


def show_planograms(settings: PlanogramShowSettings, console: Console) -> ShownPlanograms:
    """Draw planograms of a file from the front, side by side. Raises SynthError for a name that is not in the file."""
    from pipeline.preview.sheet import save_sheet, sheet_of_rows

    catalog = load_catalog(settings.sku_list) if settings.sku_list is not None else None
    found = load_planograms(settings.file, catalog)
    chosen = _chosen(found, settings)
    misfits = list(find_misfits(PlanogramSet(tuple(chosen), found.products), catalog))
    with _faces(settings, catalog) as face_of:
        tiles = [
            draw_planogram(planogram, _drawing(planogram, found, catalog, misfits, face_of, settings))
            for planogram in track(chosen, "drawing", console=console, transient=True)
        ]
    left_out = f", {len(chosen)} of {count_of(len(found.planograms), 'planogram')}" * (
        len(chosen) < len(found.planograms)
    )
    wrong = f", {count_of(len(misfits), 'misfit')} (red)" if misfits else ""
    save_sheet(
        sheet_of_rows([[_padded(tile, tiles) for tile in tiles]], f"{settings.file.name}{left_out}{wrong}"),
        settings.out,
    )
    return ShownPlanograms(settings.out, len(found.planograms), tuple(plan.name for plan in chosen), len(misfits))


def _chosen(found: PlanogramSet, settings: PlanogramShowSettings) -> list[Planogram]:
    known = [planogram.name for planogram in found.planograms]
    for name in settings.names:
        if name not in known:
            raise unknown_name("planogram", name, known)
    wanted = [plan for plan in found.planograms if not settings.names or plan.name in settings.names]
    return wanted[: settings.limit]


@contextmanager
def _faces(settings: PlanogramShowSettings, catalog: Catalog | None) -> Iterator[FaceOf]:
    """Open a function that returns faces of the products of the list; without a list there are none."""
    if catalog is None or not settings.faces:
        yield lambda sku, orientation: None
        return
    from pipeline.planograms.faces import open_painter

    known = frozenset(catalog.keys)
    with open_painter(catalog, settings.cache) as painter:

        @cache
        def face_of(sku: str, orientation: str) -> Image.Image | None:
            return painter.face(sku, orientation) if sku in known else None

        yield face_of


def _drawing(
    planogram: Planogram,
    found: PlanogramSet,
    catalog: Catalog | None,
    misfits: Sequence[Misfit],
    face_of: FaceOf,
    settings: PlanogramShowSettings,
) -> PlanogramDrawing:
    names = {product.keys[0]: product.name for product in found.products}
    if catalog is not None:
        known = frozenset(catalog.keys)
        keys = {position.sku for _, position in planogram.positions()} & known
        names |= {key: catalog.find(key).name for key in keys}
    wrong = {(one.shelf, one.position) for one in misfits if one.planogram == planogram.name}
    return PlanogramDrawing(sizes_of(found, catalog), face_of, names, wrong, settings.pixels)


def _padded(tile: Image.Image, tiles: Sequence[Image.Image]) -> Image.Image:
    """Return a tile as high as the highest one, standing on the same floor."""
    padded = Image.new("RGB", (tile.width, max(other.height for other in tiles)), (255, 255, 255))
    padded.paste(tile, (0, padded.height - tile.height))
    return padded
