"""`synth preview`: pictures of any data set with their instances drawn in, on one sheet without gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset.layout import Layout
from dataset.shards.index import has_index
from dataset.storage.path import StoragePath
from pipeline.preview.coco import coco_pictures
from pipeline.preview.folder import rendered_pictures
from pipeline.preview.shards import shard_pictures
from pipeline.preview.sheet import fill_rows, save_sheet, sheet_of_rows
from pipeline.preview.tile import plot_tile, tile_size
from pipeline.preview.types import PreviewSettings, PreviewSource

SHEET_WIDTH = 1952
COLUMNS = 3
SHEET = "preview.png"


def preview_set(place: str, out: Path | None, settings: PreviewSettings) -> Path:
    """Draws pictures, evenly spread over the data set at `place`, onto one PNG; returns where it is.

    place: a folder of `synth render`, any COCO file or folder with one, or shards on any storage. out: None for the
    folder of a rendered set, else here. Raises SynthError where there is nothing to draw.
    """
    if has_index(StoragePath(place)):
        return plot_sheet(shard_pictures(StoragePath(place), settings), out or Path(SHEET), settings)
    path = Path(place)
    if is_rendered(path):
        return plot_sheet(rendered_pictures(path, settings), out or path / SHEET, settings)
    return plot_sheet(coco_pictures(path, settings), out or Path(SHEET), settings)


def is_rendered(path: Path) -> bool:
    """Whether `synth render` has written labels of single pictures into a folder."""
    return path.is_dir() and Layout(path).info.exists() and any((path / "labels").glob("*.json"))


def plot_sheet(source: PreviewSource, out: Path, settings: PreviewSettings) -> Path:
    """Draws the pictures of a source onto one PNG at `out`; returns `out`."""
    sizes = [tile_size(picture) for picture in source.pictures]
    rows = fill_rows(sizes, COLUMNS, SHEET_WIDTH)
    pictures = iter(source.pictures)
    tiles: list[list[Any]] = [[plot_tile(next(pictures), size, settings.style) for size in row] for row in rows]
    return save_sheet(sheet_of_rows(tiles, _title(source, settings)), out)


def _title(source: PreviewSource, settings: PreviewSettings) -> str:
    of = f" of {source.total}" if source.total is not None else ""
    what = f" with {settings.described()}" if settings.filters else ""
    return f"{source.name}: {len(source.pictures)}{of} pictures{what}; dashed: marked ignore"
