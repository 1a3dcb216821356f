"""`synth data diff`: what changed between two data sets, or two versions of one: images, boxes and classes."""

from __future__ import annotations

import hashlib
import marshal
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.files.scratch import scratch_folder
from assets.progress import StepProgress
from dataset.formats import open_labels
from dataset.records import ImageLabels, names_by_id, sku_of
from dataset.spool import BlockFile, hash64
from dataset.store import DataStore, StoredImage
from dataset.tables import stream_table

# Boxes that overlap less (intersection over union) are other boxes.
SAME_BOX = 0.5
# Edges that differ by less, in pixels, are the same: formats round.
TOLERANCE = 0.01
IMAGES = ("same", "changed", "renamed", "in another split", "added", "removed")
BOXES = ("same", "moved", "of another class", "ignored or no longer", "added", "removed")
# Images of two sets belong together by the first of these that they share.
KEYS = ("shown", "name", "digest")
TABLE_COLUMNS = ("kind", "change", "image", "sku", "detail")
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
    differences: int = 0

    @property
    def equal(self) -> bool:
        return not self.differences


class _Comparison:
    """Counts of what was found; every difference is also given to a function."""

    def __init__(self, tell: Callable[[Difference], None]) -> None:
        self.summary, self._tell = DiffSummary(), tell

    def add(self, counts: dict[str, int], difference: Difference) -> None:
        """Count a difference among images, boxes or classes."""
        counts[difference.change] += 1
        self.summary.differences += 1
        self._tell(difference)


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


class _KeptImages:
    """What is remembered of all images of a set: on disk but for hashes that pairs are found by."""

    def __init__(self, path: Path) -> None:
        self._file = BlockFile(path)
        self.hashes = {name: array("q") for name in KEYS}

    def __len__(self) -> int:
        return len(self._file)

    def add(self, image: _Kept) -> None:
        for name, values in self.hashes.items():
            values.append(hash64(getattr(image, name)))
        boxes = image.boxes.tobytes()
        self._file.add(marshal.dumps((image.split, image.name, image.digest, boxes, image.skus, image.ignored)))

    def __getitem__(self, place: int) -> _Kept:
        split, name, digest, boxes, skus, ignored = marshal.loads(self._file.read(place))
        return _Kept(split, name, digest, np.frombuffer(boxes, np.float64).reshape(-1, 4), skus, ignored)

    def close(self) -> None:
        self._file.close()


def diff_data(
    before: str | Path,
    after: str | Path,
    console: Console,
    tell: Callable[[Difference], None] = lambda difference: None,
) -> DiffSummary:
    """Compare two data sets of any formats, in flat memory but for some numbers of each image.

    Images belong together by split and name, else by name alone, else by the bytes of their files; boxes of a pair of
    images by their overlap (Hungarian matching), of one class first. tell: called with each difference.
    """
    stores = [open_labels(source, console=console) for source in (before, after)]
    found = _Comparison(tell)
    with (
        scratch_folder("diff") as folder,
        closing(_KeptImages(Path(folder) / "before")) as old,
        closing(_KeptImages(Path(folder) / "after")) as new,
    ):
        for kept, store, title in zip((old, new), stores, ("before", "after"), strict=True):
            for image in _read(store, title, console):
                kept.add(image)
        _compare_classes(stores[0], stores[1], found)
        pairs, removed, added = _pair_images(old, new)
        for place, other in pairs:
            _compare_images(old[place], new[other], found)
        for change, images, places in (("removed", old, removed), ("added", new, added)):
            for place in places:
                image = images[place]
                found.summary.boxes[change] += len(image.boxes)
                found.add(found.summary.images, Difference("image", change, image.shown))
    return found.summary


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


def _pair_images(old: _KeptImages, new: _KeptImages) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Return pairs of places, and what is left of both sets."""
    pairs: list[tuple[int, int]] = []
    left, coming = range(len(old)), range(len(new))
    for key in KEYS:
        waiting: dict[int, deque[int]] = {}
        for place in left:
            waiting.setdefault(old.hashes[key][place], deque()).append(place)
        rest = []
        for other in coming:
            found = waiting.get(new.hashes[key][other])
            if found:
                pairs.append((found.popleft(), other))
            else:
                rest.append(other)
        left, coming = sorted(place for places in waiting.values() for place in places), rest  # type: ignore[assignment]
    return pairs, list(left), list(coming)


def _compare_images(one: _Kept, other: _Kept, found: _Comparison) -> None:
    changes = []
    if one.name != other.name:
        changes.append(("renamed", other.shown))
    elif one.split != other.split:
        changes.append(("in another split", other.split))
    if one.digest != other.digest:
        changes.append(("changed", "other bytes"))
    for change, detail in changes:
        found.add(found.summary.images, Difference("image", change, one.shown, "", detail))
    found.summary.images["same"] += not changes
    _compare_boxes(one, other, found)


def _compare_boxes(one: _Kept, other: _Kept, found: _Comparison) -> None:
    rows, columns = _match(one, other)
    counts = found.summary.boxes
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
            found.add(counts, Difference("box", change, one.shown, sku, detail))
        counts["same"] += not changes
    for change, kept, taken in (("removed", one, rows), ("added", other, columns)):
        for place in sorted(set(range(len(kept.boxes))) - set(taken)):
            found.add(counts, Difference("box", change, kept.shown, kept.skus[place], _corners(kept.boxes[place])))


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


def _compare_classes(one: DataStore, other: DataStore, found: _Comparison) -> None:
    old, new = ({kind.key or "?": kind.id for kind in store.categories} for store in (one, other))
    for key in sorted(old.keys() | new.keys()):
        if key in old and key in new:
            change = "same" if old[key] == new[key] else "under another id"
        else:
            change = "removed" if key in old else "added"
        if change == "same":
            found.summary.classes[change] += 1
        else:
            detail = f"{old.get(key, '-')} -> {new.get(key, '-')}"
            found.add(found.summary.classes, Difference("class", change, "", key, detail))


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


@contextmanager
def diff_table(path: Path | None) -> Iterator[Callable[[Difference], None]]:
    """Give a function that writes a row for each difference, as CSV or, where the name ends so, as Parquet."""
    if path is None:
        yield lambda difference: None
        return
    with stream_table(path, TABLE_COLUMNS) as add_row:
        yield lambda one: add_row([getattr(one, name) for name in TABLE_COLUMNS])
