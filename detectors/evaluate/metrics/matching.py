"""The COCO rule of who found what: by falling score, each detection takes the box it overlaps most (Lin et al. 2014).

The rule is greedy within one image and class, so the r-th detections of all images and classes are settled together:
as many steps as the fullest image has detections of one class, whatever the number of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.metrics.align import Aligned, Bools, Floats, Ints
from detectors.evaluate.metrics.overlap import Pairs, overlapping

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
# COCO looks at this many detections per image and class, the highest scores first.
MAX_FOUND = 100


@dataclass(frozen=True)
class Candidates:
    """What the detections that count could be matched to, before it is said which boxes are ignored.

    rows: (M,) int64, the detections that count. step: (M,) int64, how many of the same image and class score higher.
    pairs: of places in `rows` and boxes of the truth.
    """

    rows: Ints
    step: Ints
    pairs: Pairs


@dataclass(frozen=True)
class Matches:
    """What became of M detections at T thresholds of overlap.

    rows: (M,) int64, which detections. box: (T, M) int32, the box of the truth that it took, -1 for none.
    right, wrong: (T, M) bool; what is neither is not counted.
    """

    rows: Ints
    box: NDArray[np.int32]
    right: Bools
    wrong: Bools


def find_candidates(data: Aligned, least: float = float(THRESHOLDS[0]), most: int = MAX_FOUND) -> Candidates:
    """The pairs of one image and class that overlap by at least `least`.

    A box of unknown class, which can only be an ignored one, stands in every class.
    """
    group = data.found.image * len(data.classes) + data.found.label
    step = ranks(group, data.scores)
    rows = np.flatnonzero(step < most)
    named = data.truth.label >= 0
    truth_group = np.where(named, data.truth.image * len(data.classes) + data.truth.label, -1)
    found = data.found.take(rows)
    pairs = [overlapping(found.xyxy, group[rows], data.truth.xyxy, truth_group, data.ignored, least)]
    if not named.all():
        nameless = np.where(named, -1, data.truth.image)
        pairs.append(overlapping(found.xyxy, found.image, data.truth.xyxy, nameless, data.ignored, least))
    return Candidates(rows, step[rows], Pairs.join(pairs))


def match(
    data: Aligned, candidates: Candidates, *, left_out: Bools | None = None, outside: Bools | None = None
) -> Matches:
    """Settles who found what at every threshold.

    left_out: (A,), boxes ignored on top of those that are (outside an area range): found, they count for nothing.
    outside: (D,), detections that are not counted as wrong when they take no box.
    """
    ignored = data.ignored if left_out is None else data.ignored | left_out
    box = settle(candidates.pairs, candidates.step, ignored, data.ignored, THRESHOLDS)
    taken = box >= 0
    # With no box at all there is nothing to look up, and index -1 would fail.
    counted = ~np.append(ignored, True)[box]
    wrong = ~taken if outside is None else ~taken & ~outside[candidates.rows]
    return Matches(candidates.rows, box, taken & counted, wrong)


def settle(pairs: Pairs, step: Ints, ignored: Bools, crowd: Bools, thresholds: Floats) -> NDArray[np.int32]:
    """(T, M) int32 box that each detection takes, -1 for none.

    Among the free boxes it prefers those not ignored, then the largest overlap, then the later one. A crowd is never
    used up. step: (M,) int64, detections of one step never compete.
    """
    order = np.lexsort((pairs.second, pairs.overlap, ~ignored[pairs.second], pairs.first, step[pairs.first]))
    first, second, overlap = pairs.first[order], pairs.second[order], pairs.overlap[order]
    enough = overlap[:, None] >= np.minimum(thresholds, 1 - 1e-10)
    free = np.ones((len(ignored), len(thresholds)), bool)
    chosen = np.full((len(step), len(thresholds)), -1, np.int32)
    borders = np.flatnonzero(np.diff(step[first], prepend=-1, append=-1)) if len(first) else np.zeros(0, np.int64)
    columns = np.arange(len(thresholds))
    for begin, end in pairwise(borders):
        starts = np.flatnonzero(np.diff(first[begin:end], prepend=-1))
        can = enough[begin:end] & free[second[begin:end]]
        last = np.maximum.reduceat(np.where(can, np.arange(begin, end)[:, None], -1), starts)
        box = np.where(last >= 0, second[last], -1)
        chosen[first[begin + starts]] = box
        uses = (box >= 0) & ~crowd[box]
        free[box[uses], np.broadcast_to(columns, box.shape)[uses]] = False
    return np.ascontiguousarray(chosen.T)


def ranks(group: Ints, scores: Floats) -> Ints:
    """(D,) how many rows of the same group score higher; equal scores count in the order of the rows."""
    order = np.lexsort((-scores, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return rank
