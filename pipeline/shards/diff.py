"""`synth data diff`: what changed between two data sets, or two versions of one: images, boxes and classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.progress import StepProgress
from dataset.formats import open_labels
from dataset.records import ImageLabels, names_by_id, sku_of
from dataset.store import DataStore, StoredImage
from dataset.tables import write_table

# Boxes that overlap less (intersection over union) are other boxes.
SAME_BOX = 0.5
# Edges that differ by less, in pixels, are the same: formats round.
TOLERANCE = 0.01
IMAGES = ("same", "changed", "renamed", "in another split", "added", "removed")
BOXES = ("same", "moved", "of another class", "ignored or no longer", "added", "removed")
CLASSES = ("same", "under another id", "added", "removed")


@dataclass(frozen=True)
class Difference:
    """One thing that differs. kind: "image", "box" or "class". change: in words. image: split and name, "" for a class.

    sku: of a box or class. detail: before and after.
    """

    kind: str
    change: str
    image: str
    sku: str = ""
    detail: str = ""


@dataclass
class DiffSummary:
    """Counts of images, boxes and classes by change."""

    images: dict[str, int] = field(default_factory=lambda: dict.fromkeys(IMAGES, 0))
    boxes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BOXES, 0))
    classes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    differences: list[Difference] = field(default_factory=list, repr=False)

    @property
    def equal(self) -> bool:
        return not self.differences


@dataclass(frozen=True)
class _Kept:
    """What is remembered of an image. boxes: (N, 4) xyxy pixels. skus, ignored: of each box."""

    split: str
    name: str
    digest: bytes
    boxes: NDArray[np.float64]
    skus: tuple[str, ...]
    ignored: tuple[bool, ...]

    @property
    def shown(self) -> str:
        return f"{self.split}/{self.name}"


def diff_data(before: str | Path, after: str | Path, console: Console) -> DiffSummary:
    """Compare two data sets of any formats.

    Images belong together by split and name, else by name alone, else by the bytes of their files; boxes of a pair of
    images by their overlap (Hungarian matching), of one class first.
    """
    stores = [open_labels(before), open_labels(after)]
    old, new = (list(_read(store, title, console)) for store, title in zip(stores, ("before", "after"), strict=True))
    summary = DiffSummary()
    _compare_classes(stores[0], stores[1], summary)
    pairs, removed, added = _pair_images(old, new)
    for one, other in pairs:
        _compare_images(one, other, summary)
    for change, images in (("removed", removed), ("added", added)):
        for image in images:
            summary.images[change] += 1
            summary.boxes[change] += len(image.boxes)
            summary.differences.append(Difference("image", change, image.shown))
    return summary


def _read(store: DataStore, title: str, console: Console) -> Iterator[_Kept]:
    names = names_by_id(store.categories)
    total = sum(part.count for part in store.parts)
    with StepProgress(console, f"reading {title}", total=total, unit="images") as progress:
        for part in store.parts:
            for image in part.stored_images():
                yield _keep(part.split, image, names)
                progress.advance()


def _keep(split: str, image: StoredImage, names: dict[int | None, str]) -> _Kept:
    labels: ImageLabels = image.labels
    records = [one for one in labels.annotations if one.bbox is not None]
    boxes = np.array([one.bbox for one in records], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    digest = hashlib.blake2b(image.read(), digest_size=16).digest()
    skus, ignored = tuple(sku_of(one, names) for one in records), tuple(one.ignored for one in records)
    return _Kept(split, (labels.image.file_name or "").replace("\\", "/"), digest, boxes, skus, ignored)


def _pair_images(
    old: Sequence[_Kept], new: Sequence[_Kept]
) -> tuple[list[tuple[_Kept, _Kept]], list[_Kept], list[_Kept]]:
    """Return pairs, and what is left of both sets."""
    pairs: list[tuple[_Kept, _Kept]] = []
    for key in (lambda one: one.shown, lambda one: one.name, lambda one: one.digest):
        waiting: dict[object, list[_Kept]] = {}
        for one in old:
            waiting.setdefault(key(one), []).append(one)
        rest = []
        for other in new:
            found = waiting.get(key(other))
            if found:
                pairs.append((found.pop(0), other))
            else:
                rest.append(other)
        old, new = [one for left in waiting.values() for one in left], rest
    return pairs, list(old), list(new)


def _compare_images(one: _Kept, other: _Kept, summary: DiffSummary) -> None:
    changes = []
    if one.name != other.name:
        changes.append(("renamed", other.shown))
    elif one.split != other.split:
        changes.append(("in another split", other.split))
    if one.digest != other.digest:
        changes.append(("changed", "other bytes"))
    for change, detail in changes:
        summary.images[change] += 1
        summary.differences.append(Difference("image", change, one.shown, "", detail))
    summary.images["same"] += not changes
    _compare_boxes(one, other, summary)


def _compare_boxes(one: _Kept, other: _Kept, summary: DiffSummary) -> None:
    rows, columns = _match(one, other)
    for row, column in zip(rows, columns, strict=True):
        sku, box, after = one.skus[row], one.boxes[row], other.boxes[column]
        changes = []
        if sku != other.skus[column]:
            changes.append(("of another class", f"{sku} -> {other.skus[column]}"))
        if np.abs(box - after).max() > TOLERANCE:
            changes.append(("moved", f"{_corners(box)} -> {_corners(after)}"))
        if one.ignored[row] != other.ignored[column]:
            changes.append(("ignored or no longer", "ignored" if other.ignored[column] else "counts"))
        for change, detail in changes:
            summary.boxes[change] += 1
            summary.differences.append(Difference("box", change, one.shown, sku, detail))
        summary.boxes["same"] += not changes
    for change, kept, taken in (("removed", one, rows), ("added", other, columns)):
        for place in sorted(set(range(len(kept.boxes))) - set(taken)):
            summary.boxes[change] += 1
            detail = _corners(kept.boxes[place])
            summary.differences.append(Difference("box", change, kept.shown, kept.skus[place], detail))


def _match(one: _Kept, other: _Kept) -> tuple[list[int], list[int]]:
    """Return places of boxes that belong together: the most overlap in all, a box of the same class before others."""
    from scipy.optimize import linear_sum_assignment

    if not len(one.boxes) or not len(other.boxes):
        return [], []
    low = np.maximum(one.boxes[:, None, :2], other.boxes[None, :, :2])
    high = np.minimum(one.boxes[:, None, 2:], other.boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas = [np.clip(kept.boxes[:, 2:] - kept.boxes[:, :2], 0, None).prod(1) for kept in (one, other)]
    overlap = common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9)
    same = np.array(one.skus)[:, None] == np.array(other.skus)[None]
    good = overlap >= SAME_BOX
    rows, columns = linear_sum_assignment(np.where(good, overlap + same, 0.0), maximize=True)
    kept = good[rows, columns]
    return rows[kept].tolist(), columns[kept].tolist()


def _corners(box: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.6g}" for value in box)


def _compare_classes(one: DataStore, other: DataStore, summary: DiffSummary) -> None:
    old, new = ({kind.key or "?": kind.id for kind in store.categories} for store in (one, other))
    for key in sorted(old.keys() | new.keys()):
        if key in old and key in new:
            change = "same" if old[key] == new[key] else "under another id"
        else:
            change = "removed" if key in old else "added"
        summary.classes[change] += 1
        if change != "same":
            detail = f"{old.get(key, '-')} -> {new.get(key, '-')}"
            summary.differences.append(Difference("class", change, "", key, detail))


def print_diff(summary: DiffSummary, console: Console) -> None:
    """A table of what changed."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "change", "count"):
        table.add_column(name, justify="right" if name == "count" else "left")
    for kind, counts in (("images", summary.images), ("boxes", summary.boxes), ("classes", summary.classes)):
        for change, count in counts.items():
            if count or change == "same":
                table.add_row(kind if change == "same" else "", change, f"{count:,}")
    console.print(table, highlight=False)


def write_diff(summary: DiffSummary, path: Path) -> None:
    """A row for each difference, as CSV or, where the name ends so, as Parquet."""
    rows = summary.differences
    columns = ("kind", "change", "image", "sku", "detail")
    write_table(path, {name: [getattr(row, name) for row in rows] for name in columns})
