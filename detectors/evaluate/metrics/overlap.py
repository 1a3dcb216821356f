"""Which detections touch which boxes: only the pairs that overlap, never a table of all against all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors.evaluate.metrics.align import Bools, Floats, Ints

# Pairs looked at in one go; bounds memory to about 100 MB.
PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """P pairs of overlapping boxes. first, second: (P,) int64 rows. overlap: (P,) float64, 0 to 1."""

    first: Ints
    second: Ints
    overlap: Floats

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def join(cls, parts: list[Pairs]) -> Pairs:
        """All parts behind each other."""
        empty = cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        parts = [empty, *parts]
        return cls(
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.second for part in parts]),
            np.concatenate([part.overlap for part in parts]),
        )


def overlapping(
    first: Floats, first_group: Ints, second: Floats, second_group: Ints, crowd: Bools, least: float
) -> Pairs:
    """The pairs of one group with an overlap of at least `least`.

    first: (D, 4) xyxy, second: (G, 4) xyxy, with their groups (D,) and (G,). crowd: (G,), where true the overlap
    is the intersection over the area of the first box, else intersection over union (as in pycocotools' bbIou).
    """
    order = np.argsort(second_group, kind="stable")
    begin = np.searchsorted(second_group[order], first_group, "left")
    count = np.searchsorted(second_group[order], first_group, "right") - begin
    parts = []
    for rows in _batches(count):
        left = np.repeat(rows, count[rows])
        within = np.arange(len(left)) - np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
        right = order[np.repeat(begin[rows], count[rows]) + within]
        overlap = pair_overlap(first[left], second[right], crowd[right])
        keep = overlap >= least
        parts.append(Pairs(left[keep], right[keep], overlap[keep]))
    return Pairs.join(parts)


def pair_overlap(first: Floats, second: Floats, crowd: Bools) -> Floats:
    """(P,) overlap of P pairs of xyxy boxes, with `crowd` as in `overlapping`."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared: Floats = np.maximum(sides[:, 0], 0) * np.maximum(sides[:, 1], 0)
    area = box_area(first)
    whole: Floats = np.where(crowd, area, area + box_area(second) - shared)
    # Where nothing is shared the whole may be nothing too.
    whole[shared <= 0] = 1
    return shared / whole


def box_area(boxes: Floats) -> Floats:
    """(N,) area of xyxy boxes."""
    sides: Floats = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


def _batches(count: Ints) -> Iterator[Ints]:
    """Rows that have partners, in runs of about PAIRS_AT_ONCE pairs."""
    rows = np.flatnonzero(count)
    run = np.cumsum(count[rows]) // PAIRS_AT_ONCE
    yield from np.split(rows, np.flatnonzero(np.diff(run)) + 1)
