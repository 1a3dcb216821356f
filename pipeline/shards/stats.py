"""`synth data stats`: what a data set of any size holds, counted in flat memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.errors import SynthError
from assets.limits import DATASET_INSTANCES
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.formats import open_labels
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels
from dataset.tables import write_table
from dataset.values import number, sku_text, whole_number
from render.recipes import RECIPES

# Square pixels, as COCO divides.
SIZES = (("small (under 32 x 32 px)", 0.0), ("medium", 32.0**2), ("large (96 x 96 px and more)", 96.0**2))
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
TABLE_COLUMNS = ("sku", "name", "category_id", "boxes", "ignored", "images", "mean_area", "mean_visibility")


@dataclass
class Stats:
    """Counts of a data set. K categories: keys, names, ids; per category, (K,): boxes, ignored, images_of_sku,
    sum of areas, sum of visibilities and how many have one.

    images, annotations: by split. recipes: numbers of images that name one. sizes: (3,) boxes by COCO's sizes.
    visibility, truncation: (7,) by SHARES and unknown last. products: (10001,) images by their number of boxes.
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
    products: NDArray[np.int64] = field(default_factory=lambda: np.zeros(DATASET_INSTANCES.maximum + 1, np.int64))

    def __post_init__(self) -> None:
        count = len(self.ids)
        self.boxes, self.ignored, self.images_of_sku, self.seen = (np.zeros(count, np.int64) for _ in range(4))
        self.area, self.visible = np.zeros(count), np.zeros(count)
        self._label = {int(number): label for label, number in enumerate(self.ids)}

    def add(self, split: str, labels: ImageLabels) -> None:
        """Count an image and its annotations."""
        self.images[split] = self.images.get(split, 0) + 1
        self.annotations[split] = self.annotations.get(split, 0) + len(labels.annotations)
        recipe = labels.image.recipe
        if recipe is not None and recipe in RECIPES:  # of others any text may stand there
            self.recipes[recipe] += 1
        self.products[min(len(labels.annotations), DATASET_INSTANCES.maximum)] += 1
        seen = {label for record in labels.annotations if (label := self._add(record)) is not None}
        self.images_of_sku[sorted(seen)] += 1

    def _add(self, record: AnnotationRecord) -> int | None:
        """Count an annotation; return its label, None if its category is unknown."""
        area, visibility = _area_of(record), number(record.visibility)
        self.sizes[sum(area >= least for _, least in SIZES[1:])] += 1
        self.visibility[_slot(visibility)] += 1
        self.truncation[_slot(number(record.truncation))] += 1
        label = self._label.get(whole_number(record.value("category_id")) or 0)
        if label is None:
            self.unknown += 1
            return None
        self.boxes[label] += 1
        self.ignored[label] += record.ignored
        self.area[label] += area if area == area else 0.0
        if visibility == visibility:
            self.visible[label] += visibility
            self.seen[label] += 1
        return label


def _area_of(record: AnnotationRecord) -> float:
    """Square pixels of an annotation: its `area`, or where it has none that of its box; nan where it has neither."""
    area = number(record.area)
    if area == area or record.bbox is None:
        return area
    width, height = number(record.bbox[2]), number(record.bbox[3])
    return width * height if min(width, height) >= 0 else math.nan


def count_data(source: str, console: Console) -> Stats:
    """The statistics of a sharded data set at any location, or of an ordinary one on disk."""
    store = open_labels(source)
    stats = _empty(store.categories, store.where)
    total = sum(part.count for part in store.parts)
    with StepProgress(console, "counting", total=total, unit="images") as progress:
        for part in store.parts:
            for labels in part.labels():
                stats.add(part.split, labels)
                progress.advance()
    return stats


def _empty(categories: Sequence[CategoryRecord], where: str) -> Stats:
    records = {one.id: one for one in categories if one.id is not None}
    if not records:
        raise SynthError("the data set has no categories", code="dataset-empty", where=where)
    ids = sorted(records)
    keys = [records[number].key or str(number) for number in ids]
    names = [sku_text(records[number].value("name")) or key for number, key in zip(ids, keys, strict=True)]
    return Stats(np.array(ids, np.int64), keys, names)


def _slot(share: float) -> int:
    """Place in SHARES: [0, 0.1), ..., [0.9, 1], and unknown."""
    return len(SHARES) - 1 if not 0 <= share <= 1 else min(sum(share >= edge for edge in SHARES[1:]), len(SHARES) - 2)


def print_stats(stats: Stats, console: Console, *, below: int) -> None:
    """Tables: splits, boxes by size, visibility and truncation, SKUs, products per image."""
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
    shares.add_row("unknown", f"{stats.visibility[-1] / total:.1%}", f"{stats.truncation[-1] / total:.1%}")
    console.print(shares, highlight=False)
    console.print(_skus(stats, below), highlight=False)


@dataclass(frozen=True)
class SplitCounts:
    """Numbers of images and annotations of a split."""

    images: int
    annotations: int


@dataclass(frozen=True)
class StatsSummary:
    """Counts of a data set. recipes: images by recipe. sizes: boxes by size. visibility, truncation: boxes by SHARES,
    unknown last."""

    images: int
    annotations: int
    splits: Mapping[str, SplitCounts]
    recipes: Mapping[str, int]
    sizes: Mapping[str, int]
    visibility: Sequence[int]
    truncation: Sequence[int]
    skus: int
    skus_never_seen: int
    skus_below: int
    boxes_of_unknown_categories: int


def summarize_stats(stats: Stats, *, below: int) -> StatsSummary:
    """Return what `synth data stats --json` prints. below: number of boxes that a SKU should have."""
    splits = {name: SplitCounts(count, stats.annotations.get(name, 0)) for name, count in sorted(stats.images.items())}
    return StatsSummary(
        images=sum(stats.images.values()),
        annotations=sum(stats.annotations.values()),
        splits=splits,
        recipes=stats.recipes,
        sizes=dict(zip(("small", "medium", "large"), stats.sizes.tolist(), strict=True)),
        visibility=stats.visibility.tolist(),
        truncation=stats.truncation.tolist(),
        skus=len(stats.ids),
        skus_never_seen=int((stats.boxes == 0).sum()),
        skus_below=int((stats.boxes < below).sum()),
        boxes_of_unknown_categories=stats.unknown,
    )


def _skus(stats: Stats, below: int) -> Table:
    table = _table("", "least", "median", "mean", "most")
    for name, column in (("boxes of a SKU", stats.boxes), ("images of a SKU", stats.images_of_sku)):
        table.add_row(
            name, f"{column.min():,}", f"{np.median(column):,.6g}", f"{column.mean():,.1f}", f"{column.max():,}"
        )
    held = np.flatnonzero(stats.products)
    if len(held):
        reached = np.cumsum(stats.products)
        middle = int(np.searchsorted(reached, reached[-1] / 2))
        mean = float((stats.products * np.arange(len(stats.products))).sum() / reached[-1])
        table.add_row("products of an image", f"{held[0]:,}", f"{middle:,}", f"{mean:,.1f}", f"{held[-1]:,}")
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
        stats.images_of_sku,
        (stats.area / np.maximum(stats.boxes, 1)).round(3),
        np.where(stats.seen > 0, stats.visible / np.maximum(stats.seen, 1), np.nan).round(6),
    )
    write_table(path, dict(zip(TABLE_COLUMNS, columns, strict=True)))
