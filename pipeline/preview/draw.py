"""`synth preview`: images of any data set with their instances drawn in, on one sheet without gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from assets.errors import SynthError
from dataset.formats import open_labels
from dataset.records import names_by_id, sku_of
from dataset.store import DataPart, DataStore, StoredImage
from pipeline.preview.sheet import fill_rows, save_sheet, sheet_of_rows
from pipeline.preview.tile import plot_tile, tile_size
from pipeline.preview.types import (
    PreviewImage,
    PreviewSettings,
    PreviewSource,
    check_skus,
    choose,
    kept_records,
    nothing_wanted,
)

SHEET_WIDTH = 1952
COLUMNS = 3
SHEET = "preview.png"
# Parts that are opened at most: a shard is fetched whole where it lies elsewhere.
MAX_PARTS = 4


def preview_set(place: str, out: Path | None, settings: PreviewSettings) -> Path:
    """Draw images, evenly spread over the data set at `place`, onto one PNG; return its path.

    place: a folder of `synth render`, any COCO file or folder with one, or shards on any storage. out: None for the
    folder of a rendered set, else here. Raises SynthError if there is nothing to draw.
    """
    store = open_labels(place, images=settings.images, unfinished=True)
    default = Path(place) / SHEET if not store.categories else Path(SHEET)
    return plot_sheet(chosen_images(store, settings), out or default, settings)


def chosen_images(store: DataStore, settings: PreviewSettings) -> PreviewSource:
    """The images to draw, of at most MAX_PARTS parts of the set, evenly spread.

    With filters the labels of parts are read until that many have something to show. Raises SynthError if there is
    nothing to draw.
    """
    full = [part for part in store.parts if part.count]
    if not full:
        raise SynthError("the data set has no images", code="dataset-empty", where=store.where)
    names = names_by_id(store.categories)
    if settings.skus and names:
        check_skus(settings, names.values(), store.where)
    if settings.filters:
        wanted = _wanted(store, full, names, settings)
    else:
        some = [full[int(place)] for place in np.linspace(0, len(full) - 1, min(MAX_PARTS, len(full)))]
        wanted = [(part, place) for part in some for place in range(part.count)]
    chosen = choose(wanted, settings.count)
    images = [
        _image(image, names, settings)
        for part in dict.fromkeys(part for part, _ in chosen)
        for image in part.stored_images({place for other, place in chosen if other is part})
    ]
    if settings.shop and all(image.shop is None for image in images):
        hint = "sets have them that were rendered with --shop, from the recipes of shops"
        raise SynthError(
            "the data set has no labels of price tags, gaps and shelf lines",
            code="shop-labels-missing",
            where=store.where,
            hint=hint,
        )
    return PreviewSource(Path(store.where).resolve().name, images, sum(part.count for part in full))


def _wanted(
    store: DataStore, parts: Sequence[DataPart], names: Mapping[int | None, str], settings: PreviewSettings
) -> list[tuple[DataPart, int]]:
    """The images with something to show. Raises SynthError if there are none, or a SKU is unknown."""
    wanted: list[tuple[DataPart, int]] = []
    known: set[str] = set()
    visibility_known = False
    for part in parts:
        for place, labels in enumerate(part.labels()):
            known.update(sku_of(record, names) for record in labels.annotations)
            visibility_known |= any(record.visibility is not None for record in labels.annotations)
            if kept_records(labels.annotations, names, settings):
                wanted.append((part, place))
        if len({id(part) for part, _ in wanted}) == min(MAX_PARTS, settings.count):
            break
    if settings.skus and not names:
        check_skus(settings, known, store.where)
    if not wanted:
        raise nothing_wanted(settings, store.where, visibility_known)
    return wanted


def _image(stored: StoredImage, names: Mapping[int | None, str], settings: PreviewSettings) -> PreviewImage:
    records = kept_records(stored.labels.annotations, names, settings)
    image = stored.labels.image
    shop = stored.read_shop() if settings.shop else None
    return PreviewImage(stored.where, stored.data, image.size, records, names, exact=image.rendered, shop=shop)


def plot_sheet(source: PreviewSource, out: Path, settings: PreviewSettings) -> Path:
    """Draw the images of a source onto one PNG at `out`; return `out`."""
    return save_sheet(sheet_of_images(source, settings), out)


def sheet_of_images(source: PreviewSource, settings: PreviewSettings) -> Image:
    """Draw the images of a source onto one sheet."""
    sizes = [tile_size(image) for image in source.images]
    rows = fill_rows(sizes, COLUMNS, SHEET_WIDTH)
    images = iter(source.images)
    tiles: list[list[Any]] = [[plot_tile(next(images), size, settings.style) for size in row] for row in rows]
    return sheet_of_rows(tiles, _title(source, settings))


def _title(source: PreviewSource, settings: PreviewSettings) -> str:
    what = f" with {settings.described()}" if settings.filters else ""
    return f"{source.name}: {len(source.images)} of {source.total} images{what}; dashed: marked ignore"
