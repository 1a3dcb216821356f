"""Precision, recall and average precision, over all classes and thresholds at once, with images weighted or not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.evaluate.metrics.align import Aligned, Bools, Floats, Ints
from detectors.evaluate.metrics.matching import Matches

# COCO reads precision at these 101 recalls; the same floats as there, so that ties fall the same way.
RECALLS: Floats = np.linspace(0.0, 1.0, 101)
# Where no score is any better than another (nothing found): the usual middle.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class OperatingPoint:
    """The score above which detections are believed, and what comes of it at an overlap of 0.5.

    chosen_here: the threshold is the best for this very set, which flatters it a little.
    best_threshold, best_f1: the best there is on this set.
    """

    threshold: float
    chosen_here: bool
    precision: float
    recall: float
    f1: float
    best_threshold: float
    best_f1: float


@dataclass(frozen=True)
class Ranked:
    """M matched detections by class, then by falling score, then by id of the image, to weigh images.

    labels: (K,) int64, the classes that count, rising. begin: (K,) int64, first row of each class.
    image: (M,) int64. scores: (M,). right, wrong: (T, M) bool.
    box_class, box_image: (B,) int64, place in `labels` and image of every box that counts.
    """

    labels: Ints
    begin: Ints
    image: Ints
    scores: Floats
    right: Bools
    wrong: Bools
    box_class: Ints
    box_image: Ints


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every score that detections have, pooled over classes.

    scores: (S,) falling. precision, recall, f1: (S,) of all detections that score at least as much.
    """

    scores: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    def best(self) -> tuple[float, float]:
        """The score with the best F1 and that F1; nan where there is nothing to choose from."""
        if not len(self.f1):
            return float("nan"), float("nan")
        place = int(np.argmax(self.f1))
        return float(self.scores[place]), float(self.f1[place])


def rank(data: Aligned, matches: Matches, left_out: Bools | None = None) -> Ranked:
    """Matched detections ordered for `average_precision`. left_out: as given to `match`."""
    boxes = np.flatnonzero(~(data.ignored if left_out is None else data.ignored | left_out))
    labels, box_class = np.unique(data.truth.label[boxes], return_inverse=True)
    place = np.searchsorted(labels, data.found.label[matches.rows])
    place[place == len(labels)] = -1
    counts = np.append(labels, -1)[place] == data.found.label[matches.rows]
    kept = np.flatnonzero(counts)
    ids = data.image_ids[data.found.image[matches.rows[kept]]]
    kept = kept[np.lexsort((ids, -data.scores[matches.rows[kept]], place[kept]))]
    rows = matches.rows[kept]
    begin = np.searchsorted(place[kept], np.arange(len(labels)))
    right, wrong = matches.right[:, kept], matches.wrong[:, kept]
    image = data.found.image[rows]
    return Ranked(labels, begin, image, data.scores[rows], right, wrong, box_class, data.truth.image[boxes])


def shorten(ranked: Ranked) -> Ranked:
    """Without the detections after the last right one of each class: they change no average precision.

    Most low scores go, which is what makes a thousand resamples cheap.
    """
    size = len(ranked.image)
    place = np.arange(size)
    hit = ranked.right.any(axis=0)
    ends = np.append(ranked.begin, size)[1:]
    group = np.repeat(np.arange(len(ranked.labels)), ends - ranked.begin)
    last = np.full(len(ranked.labels), -1)
    np.maximum.at(last, group[hit], place[hit])
    keep = place <= last[group]
    begin = np.searchsorted(group[keep], np.arange(len(ranked.labels)))
    return Ranked(
        ranked.labels,
        begin,
        ranked.image[keep],
        ranked.scores[keep],
        np.ascontiguousarray(ranked.right[:, keep]),
        np.ascontiguousarray(ranked.wrong[:, keep]),
        ranked.box_class,
        ranked.box_image,
    )


def average_precision(ranked: Ranked, weights: Ints | None = None) -> Floats:
    """(T, K) average precision of each class at each threshold, as COCO reads it at 101 recalls.

    weights: (N,) how often each image counts; a class of no weight is nan.
    """
    count = len(ranked.labels)
    box_weight = None if weights is None else weights[ranked.box_image]
    boxes = np.bincount(ranked.box_class, box_weight, minlength=count).astype(np.float64)
    weight = np.ones(len(ranked.image)) if weights is None else weights[ranked.image].astype(np.float64)
    group = np.repeat(np.arange(count), np.diff(np.append(ranked.begin, len(ranked.image))))
    rows = zip(ranked.right, ranked.wrong, strict=True)
    return np.stack([_one_threshold(right, wrong, ranked.begin, group, weight, boxes) for right, wrong in rows])


def _one_threshold(right: Bools, wrong: Bools, begin: Ints, group: Ints, weight: Floats, boxes: Floats) -> Floats:
    """(K,) average precision at one threshold. group: (M,) place of each detection's class. boxes: (K,) weights.

    Only right detections are looked at: between them recall stands still and precision falls.
    """
    hit = np.flatnonzero(right)
    of = group[hit]
    first = np.flatnonzero(np.diff(of, prepend=-1))
    hits = np.cumsum(weight[hit])
    before = np.zeros(len(boxes))
    before[of[first]] = hits[first] - weight[hit[first]]
    hits -= before[of]
    misses = np.append(0.0, np.cumsum(wrong * weight))
    misses = misses[hit] - misses[begin][of]
    precision = hits / (hits + misses + np.spacing(1))
    # The best precision here or later in the class. One running maximum serves all classes when each lies 2 above
    # the class behind it; its place is looked up, so that nothing is rounded.
    lifted = precision + 2.0 * (len(boxes) - of)
    best = lifted == np.maximum.accumulate(lifted[::-1])[::-1]
    places = np.where(best, np.arange(len(hit)), len(hit))
    precision = precision[np.minimum.accumulate(places[::-1])[::-1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = np.searchsorted(RECALLS, hits / boxes[of], "right")
    gained = np.diff(reached, prepend=0)
    gained[first] = reached[first]
    total = np.bincount(of, precision * gained, minlength=len(boxes))
    return np.where(boxes > 0, total / len(RECALLS), np.nan)


def mean_over_classes(values: Floats) -> float:
    """Mean of a (T, K) table or a (K,) row over the classes that are defined; nan where none is."""
    table = np.atleast_2d(values)
    defined = ~np.isnan(table[0])
    return float(table[:, defined].mean()) if defined.any() else float("nan")


def pooled_curve(ranked: Ranked, threshold: int = 0) -> Curve:
    """The curve of all classes together at one threshold of overlap (the place in THRESHOLDS)."""
    order = np.argsort(-ranked.scores, kind="stable")
    hits = np.cumsum(ranked.right[threshold, order])
    misses = np.cumsum(ranked.wrong[threshold, order])
    # Equal scores stand or fall together: no threshold can part them.
    last = np.flatnonzero(np.diff(ranked.scores[order], append=-np.inf))
    hits, misses, boxes = hits[last], misses[last], len(ranked.box_class)
    precision = hits / np.maximum(hits + misses, 1)
    recall = hits / max(boxes, 1)
    return Curve(ranked.scores[order][last], precision, recall, 2 * hits / np.maximum(hits + misses + boxes, 1))


def at_half(ranked: Ranked) -> Ranked:
    """The same at an overlap of 0.5 alone."""
    return Ranked(**{**vars(ranked), "right": ranked.right[:1], "wrong": ranked.wrong[:1]})


def operate(curve: Curve, threshold: float | None) -> OperatingPoint:
    """What comes of believing scores from `threshold` on; None takes the best F1 of the curve."""
    best, best_f1 = curve.best()
    chosen = threshold if threshold is not None else DEFAULT_THRESHOLD if math.isnan(best) else best
    # The last score that is still believed; nothing is where every score is lower.
    place = int(np.searchsorted(-curve.scores, -chosen, "right")) - 1
    values = (curve.precision, curve.recall, curve.f1)
    precision, recall, f1 = (float(v[place]) for v in values) if place >= 0 else (math.nan, 0.0, 0.0)
    return OperatingPoint(float(chosen), threshold is None, precision, recall, f1, best, best_f1)
