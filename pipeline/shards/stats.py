"""`synth data stats`: what a data set of any size holds, counted in flat memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.errors import SynthError
from assets.files.scratch import scratch_folder
from assets.limits import DATASET_INSTANCES
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.coco_stream import find_splits, head_of, records_of
from dataset.shards.index import Record, has_index, read_categories, read_index
from dataset.shards.parts import read_part
from dataset.storage.path import StoragePath
from dataset.tables import write_table
from dataset.values import is_set, number, sku_text, whole_number
from pipeline.shards.spool import IdSpool
from render.recipes import RECIPES

# Square pixels, as COCO divides.
SIZES = (("small (under 32 x 32 px)", 0.0), ("medium", 32.0**2), ("large (96 x 96 px and more)", 96.0**2))
AT_ONCE = 4096
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
TABLE_COLUMNS = ("sku", "name", "category_id", "boxes", "ignored", "pictures", "mean_area", "mean_visibility")


@dataclass
class Stats:
    """Counts of a data set. K categories: keys, names, ids; per category, (K,): boxes, ignored among them, pictures,
    sum of areas, sum of visibilities and how many have one.

    images, annotations: by split. recipes: numbers of images that name one. sizes: (3,) boxes by COCO's sizes.
    visibility, truncation: (7,) by SHARES and unknown last. products: (10001,) pictures by their number of boxes.
    """

    ids: NDArray[np.int64]
    keys: list[str]
    names: list[str]
    images: dict[str, int] = field(default_factory=dict)
    annotations: dict[str, int] = field(default_factory=dict)
    recipes: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SIZES), np.int64))
    visibility: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SHARES), np.int64))
    truncation: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SHARES), np.int64))
    products: NDArray[np.int64] = field(default_factory=lambda: np.zeros(DATASET_INSTANCES.most + 1, np.int64))

    def __post_init__(self) -> None:
        count = len(self.ids)
        self.boxes, self.ignored, self.pictures, self.seen = (np.zeros(count, np.int64) for _ in range(4))
        self.area, self.visible = np.zeros(count), np.zeros(count)
        self._label = {int(number): label for label, number in enumerate(self.ids)}

    def add(self, split: str, images: int, annotations: Sequence[Record]) -> None:
        """Takes in images and annotations."""
        self.images[split] = self.images.get(split, 0) + images
        self.annotations[split] = self.annotations.get(split, 0) + len(annotations)
        for record in annotations:
            self._add(record)

    def _add(self, record: Record) -> None:
        area, visibility = _area_of(record), number(record.get("visibility"))
        self.sizes[sum(area >= least for _, least in SIZES[1:])] += 1
        self.visibility[_slot(visibility)] += 1
        self.truncation[_slot(number(record.get("truncation")))] += 1
        label = self._label.get(whole_number(record.get("category_id")) or 0)
        if label is None:
            self.unknown += 1
            return
        self.boxes[label] += 1
        self.ignored[label] += is_set(record.get("ignore")) or is_set(record.get("iscrowd"))
        self.area[label] += area if area == area else 0.0
        if visibility == visibility:
            self.visible[label] += visibility
            self.seen[label] += 1

    def labels_of(self, records: Sequence[Record]) -> NDArray[np.int64]:
        """(N,) int64 the labels of annotations, -1 where the category is unknown."""
        found = (self._label.get(whole_number(record.get("category_id")) or 0, -1) for record in records)
        return np.fromiter(found, np.int64, len(records))


def _area_of(record: Record) -> float:
    """Square pixels of an annotation: its `area`, or where it has none that of its box; nan where it has neither."""
    area, box = number(record.get("area")), record.get("bbox")
    if area == area or not isinstance(box, list) or len(box) != 4:
        return area
    width, height = number(box[2]), number(box[3])
    return width * height if min(width, height) >= 0 else math.nan


def count_data(source: str, console: Console) -> Stats:
    """The statistics of a sharded data set at any place, or of an ordinary one on disk."""
    place = StoragePath(source)
    if has_index(place):
        return _count_shards(place, console)
    return _count_plain(Path(source), console)


def _count_shards(place: StoragePath, console: Console) -> Stats:
    index = read_index(place)
    stats = _empty(read_categories(place), str(place))
    with StepProgress(console, "counting", total=len(index.shards), unit="shards") as progress:
        for entry in index.shards:
            part = read_part(place, entry)
            stats.add(entry.split, len(part.images), part.annotations)
            stats.recipes.update(filter(None, map(_recipe_of, part.images)))
            by_image: dict[Any, list[Record]] = {whole_number(image.get("id")): [] for image in part.images}
            for record in part.annotations:
                by_image.setdefault(whole_number(record.get("image_id")), []).append(record)
            for records in by_image.values():
                stats.products[min(len(records), DATASET_INSTANCES.most)] += 1
                labels = np.unique(stats.labels_of(records))
                stats.pictures[labels[labels >= 0]] += 1
            progress.advance()
    return stats


def _count_plain(path: Path, console: Console) -> Stats:
    splits = find_splits(path)
    stats = _empty(head_of(splits[0].file).categories, str(path))
    for split in splits:
        console.print(f"counting {split.file.name}", highlight=False)
        ids = np.sort(np.array(list(_image_ids(split.file, stats.recipes)), np.int64))
        counts = np.zeros(len(ids), np.int64)
        stats.add(split.name, len(ids), ())
        with scratch_folder("stats") as folder:
            pairs = IdSpool(Path(folder))
            for some in _batches(records_of(split.file, "annotations")):
                stats.add(split.name, 0, some)
                images = np.array([whole_number(record.get("image_id")) or 0 for record in some], np.int64)
                places = np.minimum(np.searchsorted(ids, images), len(ids) - 1)
                known = ids[places] == images
                np.add.at(counts, places[known], 1)
                labels = stats.labels_of(some)
                pairs.add((places * len(stats.ids) + labels)[known & (labels >= 0)])
            # Which picture has which SKU: each pair once, in whatever order they came.
            for found in pairs.distinct():
                np.add.at(stats.pictures, found % len(stats.ids), 1)
        stats.products += np.bincount(
            np.minimum(counts, DATASET_INSTANCES.most), minlength=DATASET_INSTANCES.most + 1
        ).astype(np.int64)
    return stats


def _image_ids(file: Path, recipes: Counter[str]) -> Iterator[int]:
    """The ids of the images of a COCO file; what recipes they name is counted on the way."""
    for record in records_of(file, "images"):
        if recipe := _recipe_of(record):
            recipes[recipe] += 1
        yield whole_number(record.get("id")) or 0


def _recipe_of(image: Record) -> str:
    """The recipe that an image of ours was made by; of others any text may stand there."""
    recipe = image.get("recipe")
    return recipe if isinstance(recipe, str) and recipe in RECIPES else ""


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """The records, some thousands at a time."""
    while some := list(islice(records, AT_ONCE)):
        yield some


def _empty(categories: Sequence[Record], where: str) -> Stats:
    records = sorted(
        (one for one in categories if type(one.get("id")) is int and whole_number(one["id"]) is not None),
        key=lambda one: int(one["id"]),
    )
    if not records:
        raise SynthError("the data set has no categories", code="dataset-empty", where=where)
    keys = [sku_text(one.get("sku")) or sku_text(one.get("name")) or str(one["id"]) for one in records]
    names = [sku_text(one.get("name")) or key for one, key in zip(records, keys, strict=True)]
    return Stats(np.array([one["id"] for one in records], np.int64), keys, names)


def _slot(share: float) -> int:
    """Place in SHARES: [0, 0.1), ..., [0.9, 1], and unknown."""
    return len(SHARES) - 1 if not 0 <= share <= 1 else min(sum(share >= edge for edge in SHARES[1:]), len(SHARES) - 2)


def print_stats(stats: Stats, console: Console, *, below: int) -> None:
    """Tables: splits, boxes by size, visibility and truncation, SKUs, products per picture."""
    splits = _table("split", "images", "annotations")
    for name in sorted(stats.images):
        splits.add_row(name, f"{stats.images[name]:,}", f"{stats.annotations.get(name, 0):,}")
    console.print(splits, highlight=False)
    if len(stats.recipes) > 1:
        made = _table("recipe", "images", "share")
        for name, count in sorted(stats.recipes.items()):
            made.add_row(name, f"{count:,}", f"{count / stats.recipes.total():.1%}")
        console.print(made, highlight=False)
    total = max(int(stats.sizes.sum()), 1)
    sizes = _table("boxes by size", "count", "share")
    for (name, _), count in zip(SIZES, stats.sizes, strict=True):
        sizes.add_row(name, f"{count:,}", f"{count / total:.1%}")
    console.print(sizes, highlight=False)
    shares = _table("share of a product", "visible", "cut off by the border")
    for place, edge in enumerate(SHARES[:-1]):
        visible, cut = stats.visibility[place], stats.truncation[place]
        shares.add_row(f"{edge:.0%} to {SHARES[place + 1]:.0%}", f"{visible / total:.1%}", f"{cut / total:.1%}")
    shares.add_row("not told", f"{stats.visibility[-1] / total:.1%}", f"{stats.truncation[-1] / total:.1%}")
    console.print(shares, highlight=False)
    console.print(_skus(stats, below), highlight=False)


def stats_fields(stats: Stats, *, below: int) -> dict[str, Any]:
    """The same numbers by name, as `synth data stats --json` prints them. Shares of boxes: by SHARES, unknown last."""
    return {
        "images": sum(stats.images.values()),
        "annotations": sum(stats.annotations.values()),
        "splits": {
            name: {"images": count, "annotations": stats.annotations.get(name, 0)}
            for name, count in sorted(stats.images.items())
        },
        "recipes": stats.recipes,
        "sizes": dict(zip(("small", "medium", "large"), stats.sizes, strict=True)),
        "visibility": stats.visibility,
        "truncation": stats.truncation,
        "skus": len(stats.ids),
        "skus_never_seen": (stats.boxes == 0).sum(),
        "skus_below": (stats.boxes < below).sum(),
        "boxes_of_unknown_categories": stats.unknown,
    }


def _skus(stats: Stats, below: int) -> Table:
    table = _table("", "least", "median", "mean", "most")
    for name, column in (("boxes of a SKU", stats.boxes), ("pictures of a SKU", stats.pictures)):
        table.add_row(
            name, f"{column.min():,}", f"{np.median(column):,.6g}", f"{column.mean():,.1f}", f"{column.max():,}"
        )
    held = np.flatnonzero(stats.products)
    if len(held):
        reached = np.cumsum(stats.products)
        middle = int(np.searchsorted(reached, reached[-1] / 2))
        mean = float((stats.products * np.arange(len(stats.products))).sum() / reached[-1])
        table.add_row("products of a picture", f"{held[0]:,}", f"{middle:,}", f"{mean:,.1f}", f"{held[-1]:,}")
    never, few = int((stats.boxes == 0).sum()), int((stats.boxes < below).sum())
    words = f"{count_of(len(stats.ids), 'SKU', spec=',')}: {never:,} never seen, "
    words += f"{few:,} with fewer than {count_of(below, 'box')}"
    unknown = f"; {count_of(stats.unknown, 'box', spec=',')} of unknown categories" if stats.unknown else ""
    table.caption, table.caption_justify = words + unknown, "left"
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=not place)
    return table


def write_sku_table(stats: Stats, path: Path) -> None:
    """A row for each SKU, as CSV or, where the name ends so, as Parquet."""
    columns = (
        stats.keys,
        stats.names,
        stats.ids,
        stats.boxes,
        stats.ignored,
        stats.pictures,
        (stats.area / np.maximum(stats.boxes, 1)).round(3),
        np.where(stats.seen > 0, stats.visible / np.maximum(stats.seen, 1), np.nan).round(6),
    )
    write_table(path, dict(zip(TABLE_COLUMNS, columns, strict=True)))
