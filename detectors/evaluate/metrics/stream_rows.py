"""Detections with what they found, on disk: dealt by class as they come, and given back by falling score.

Equal scores are given by rising id of their image, as COCO ranks them, and of one image in the order they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# image: its id. right, wrong: a bit for each of 4 ranges of area x 10 thresholds of overlap; neither: not counted.
ROW = np.dtype(
    [("label", "<i4"), ("score", "<f8"), ("image", "<i8"), ("step", "u1"), ("right", "u1", 5), ("wrong", "u1", 5)]
)
Rows = NDArray[np.void]
# Classes are dealt into so many files.
PARTS = 256
# Rows that wait in memory before they are dealt, and that are sorted in one go.
AT_ONCE = 200_000
SLOT_BITS = 16


class RowSpool:
    """Rows in files by their class: 31 bytes a detection on disk, and memory for some hundred thousand."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._waiting: list[Rows] = []
        self._count = 0

    def add(self, rows: Rows) -> None:
        """More rows, behind those that are there."""
        self._waiting.append(rows)
        self._count += len(rows)
        if self._count >= AT_ONCE:
            self._flush()

    def parts(self) -> Iterator[Iterator[Rows]]:
        """For each file of classes its rows in blocks, by falling score, then by id of the image."""
        self._flush()
        for part in range(PARTS):
            path = self.folder / f"{part:03d}"
            if path.exists():
                yield falling(path)
                path.unlink()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting, self._count = [], 0
        _deal(rows, rows["label"] % PARTS, self.folder, "{:03d}")


def falling(path: Path, level: int = 0) -> Iterator[Rows]:
    """The rows of a file in blocks of at most AT_ONCE, by falling score; more than that are first dealt by score."""
    count = path.stat().st_size // ROW.itemsize
    # Of nearly one score, of which there are hardly ever so many, all are sorted at once.
    if count <= AT_ONCE or level == 2:
        rows = np.fromfile(path, ROW)
        rows = rows[np.lexsort((rows["image"], -rows["score"]))]
        for first in range(0, count, AT_ONCE):
            yield rows[first : first + AT_ONCE]
    else:
        yield from _by_slots(path, level)


def _by_slots(path: Path, level: int) -> Iterator[Rows]:
    """Slots of neighbouring scores, each small enough to be sorted or, where its scores have one beginning, to be
    dealt again by their ends.
    """
    counts = np.zeros(1 << SLOT_BITS, np.int64)
    for rows in _pieces(path):
        counts += np.bincount(_slots(rows["score"], level), minlength=len(counts))
    # Slots are joined from the top down for as long as they fit into one.
    joined = np.zeros(len(counts), np.int64)
    number, held = 0, 0
    for slot in np.flatnonzero(counts)[::-1]:
        if held and held + counts[slot] > AT_ONCE:
            number, held = number + 1, 0
        held += counts[slot]
        joined[slot] = number
    for rows in _pieces(path):
        _deal(rows, joined[_slots(rows["score"], level)], path.parent, f"{path.name}-{{:06d}}")
    for place in range(number + 1):
        part = path.parent / f"{path.name}-{place:06d}"
        yield from falling(part, level + 1)
        part.unlink()


def _pieces(path: Path) -> Iterator[Rows]:
    for first in range(0, path.stat().st_size, AT_ONCE * ROW.itemsize):
        yield np.fromfile(path, ROW, AT_ONCE, offset=first)


def _slots(scores: NDArray[np.float64], level: int) -> NDArray[np.int64]:
    """The upper half of the bits of scores (as float32), or the lower one: as numbers they rise with the scores."""
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)  # no negative zero
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> SLOT_BITS if level == 0 else ordered & ((1 << SLOT_BITS) - 1)).astype(np.int64)


def _deal(rows: Rows, parts: NDArray[np.int64], folder: Path, name: str) -> None:
    """Appends rows to the files of their parts, in their order."""
    order = np.argsort(parts, kind="stable")
    rows, parts = rows[order], parts[order]
    borders = np.flatnonzero(np.diff(parts, prepend=-1, append=-1))
    for first, last in pairwise(borders):
        with (folder / name.format(int(parts[first]))).open("ab") as file:
            rows[first:last].tofile(file)
