"""Finding apart from naming: is there a product, and which one is it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from detectors.data.image_set import Classes
from detectors.evaluate.metrics.align import Aligned, BoxColumns, Ints
from detectors.evaluate.metrics.curves import Ranked, average_precision, mean_over_classes, rank
from detectors.evaluate.metrics.matching import Matches, find_candidates, match, ranks
from detectors.evaluate.metrics.overlap import overlapping

# Detections of whatever class that overlap more than this show the same product.
SAME_PRODUCT = 0.7


@dataclass(frozen=True)
class Localization:
    """All classes as one. kept: (F,) int64 rows of the detections left. matches, ranked: of those, classes as one."""

    kept: Ints
    matches: Matches
    ranked: Ranked
    ap: float
    ap50: float


@dataclass(frozen=True)
class Verdicts:
    """Boxes and detections one by one, all int64 rows.

    found_rows, found_boxes: (H,) detections and the boxes that they found, by whatever name.
    nothing: (B,) detections where there is no box. missed: (M,) boxes that nothing found.
    """

    found_rows: Ints
    found_boxes: Ints
    nothing: Ints
    missed: Ints


@dataclass(frozen=True)
class Confusion:
    """How often boxes of one class were called another one: true key, found key, how often."""

    true: str
    found: str
    count: int


@dataclass(frozen=True)
class Naming:
    """What the boxes were called that were found (overlap 0.5, score at least the threshold).

    found: how many boxes. right: how many of them by the right name. confusions: the others, most frequent first.
    missed: boxes not found, background: detections where no box is, each by class key, most frequent first.
    """

    found: int
    right: int
    confusions: tuple[Confusion, ...]
    missed: dict[str, int]
    background: dict[str, int]

    @property
    def share(self) -> float:
        """The share of found boxes with the right name (top-1), nan where none was found."""
        return self.right / self.found if self.found else float("nan")


def find_products(data: Aligned) -> Localization:
    """Who finds a product, whatever it is called: of detections that overlap by over 0.7 the best scored one stays."""
    kept = suppress(data.found, data.scores)
    one = replace(
        data,
        classes=Classes(("product",), ("product",)),
        known=1,
        truth=replace(data.truth, label=np.zeros(len(data.truth), np.int64)),
        found=replace(data.found.take(kept), label=np.zeros(len(kept), np.int64)),
        scores=data.scores[kept],
    )
    matches = match(one, find_candidates(one))
    ranked = rank(one, matches)
    table = average_precision(ranked)
    return Localization(kept, matches, ranked, mean_over_classes(table), mean_over_classes(table[0]))


def suppress(boxes: BoxColumns, scores: np.ndarray, most: float = SAME_PRODUCT) -> Ints:
    """(F,) rows, rising, that no higher scored row of the same image overlaps by more than `most` (greedy NMS)."""
    none = np.zeros(len(boxes), bool)
    pairs = overlapping(boxes.xyxy, boxes.image, boxes.xyxy, boxes.image, none, most)
    step = ranks(boxes.image, scores)
    beats = (step[pairs.first] < step[pairs.second]) & (pairs.overlap > most)
    order = np.argsort(step[pairs.first[beats]], kind="stable")
    first, second = pairs.first[beats][order], pairs.second[beats][order]
    gone = np.zeros(len(boxes), bool)
    # The r-th detections of all images at once; those above them are settled by then.
    for run in np.split(np.arange(len(first)), np.flatnonzero(np.diff(step[first])) + 1):
        gone[second[run][~gone[first[run]]]] = True
    return np.flatnonzero(~gone)


def judge(data: Aligned, finding: Localization, threshold: float) -> Verdicts:
    """What to say of each box and each detection that scores at least `threshold`, at an overlap of 0.5."""
    rows, box = finding.kept[finding.matches.rows], finding.matches.box[0]
    sure = data.scores[rows] >= threshold
    hit = sure & finding.matches.right[0]
    missed = ~data.ignored
    missed[box[hit]] = False
    nothing = rows[sure & finding.matches.wrong[0]]
    return Verdicts(rows[hit], box[hit].astype(np.int64), nothing, np.flatnonzero(missed))


def name_products(data: Aligned, verdicts: Verdicts) -> Naming:
    """What found products were called."""
    true, called = data.truth.label[verdicts.found_boxes], data.found.label[verdicts.found_rows]
    return Naming(
        len(true),
        int((true == called).sum()),
        _confusions(data, true[true != called], called[true != called]),
        _by_key(data, data.truth.label[verdicts.missed]),
        _by_key(data, data.found.label[verdicts.nothing]),
    )


def _confusions(data: Aligned, true: Ints, called: Ints) -> tuple[Confusion, ...]:
    pairs, counts = np.unique(true * len(data.classes) + called, return_counts=True)
    keys = data.classes.keys
    return tuple(
        Confusion(keys[pairs[place] // len(keys)], keys[pairs[place] % len(keys)], int(counts[place]))
        for place in np.argsort(-counts, kind="stable")
    )


def _by_key(data: Aligned, labels: Ints) -> dict[str, int]:
    present, counts = np.unique(labels, return_counts=True)
    return {data.classes.keys[present[place]]: int(counts[place]) for place in np.argsort(-counts, kind="stable")}
