"""COCO's twelve numbers over any number of images, boxes and classes, in memory for some classes and some images.

Images are matched a few at a time; what each detection found waits on disk by class; then each class is gone through by
falling score, once. Equal to pycocotools (Lin et al. 2014), which holds everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, align
from detectors.evaluate.metrics.coco_numbers import NAMES, SIZES, CocoRun, match_by_size
from detectors.evaluate.metrics.curves import RECALLS, OperatingPoint
from detectors.evaluate.metrics.matching import THRESHOLDS, find_candidates
from detectors.evaluate.metrics.stream_rows import ROW, Rows, RowSpool

SHAPE = (len(SIZES), len(THRESHOLDS))
BITS = SHAPE[0] * SHAPE[1]
# Rows of one class that are looked at in one go: each takes a kilobyte while it is.
BLOCK = 16_384
# Steps of the score at which the best threshold is looked for.
STEPS = 1000


class StreamedCoco:
    """Takes images with their detections in, a few at a time, and tells COCO's numbers at the end.

    classes: how many; labels of truth and detections are places among the same ones. folder: on disk, for what waits.
    threshold: score above which detections are believed.
    """

    def __init__(self, folder: Path, classes: int, *, threshold: float) -> None:
        self._spool = RowSpool(folder)
        self.threshold = threshold
        self.boxes = np.zeros((len(SIZES), classes), np.int64)
        self.found = np.zeros(classes, np.int64)
        self.images = self.ignored = self.detections = self.believed = 0
        self._steps = np.zeros((2, STEPS + 1), np.int64)

    def add(self, truth: ImageSet, found: Predictions) -> None:
        """More images. Raises SynthError where the detections do not belong to them."""
        data = align(truth, found)
        self.images += data.images
        self.detections += len(data.found)
        self.ignored += int(data.ignored.sum())
        for place, (low, high) in enumerate(SIZES):
            counted = ~data.ignored & (data.truth.area >= low) & (data.truth.area <= high)
            self.boxes[place] += np.bincount(data.truth.label[counted], minlength=self.boxes.shape[1])
        rows = _rows_of(data)
        self._operate(rows)
        self._spool.add(rows)

    def finish(self) -> CocoRun:
        """The numbers of every class that occurs in the truth; what waited on disk is used up."""
        labels = np.flatnonzero(self.boxes[0])
        values = np.where(self.boxes[RANGES][:, labels] > 0, 0.0, np.nan)
        place_of = np.full(self.boxes.shape[1], -1, np.int64)
        place_of[labels] = np.arange(len(labels))
        for blocks in self._spool.parts():
            curves: dict[int, _Curve] = {}
            for rows in blocks:
                for label, some in _by_label(rows):
                    if place_of[label] >= 0:
                        curve = curves.setdefault(label, _Curve(self.boxes[:, label]))
                        for first in range(0, len(some), BLOCK):
                            curve.go_on(some[first : first + BLOCK])
            for label, curve in curves.items():
                values[:, place_of[label]] = curve.values()
        return CocoRun(labels, self.boxes[0, labels], values)

    def operating(self) -> OperatingPoint:
        """At the threshold; and the best F1, looked for in steps of a thousandth of the score."""
        boxes = int(self.boxes[0].sum())
        right, wrong = (counts[::-1].cumsum()[::-1] for counts in self._steps)
        f1 = 2 * right / np.maximum(right + wrong + boxes, 1)
        best = len(f1) - 1 - int(np.argmax(f1[::-1]))
        hits = int(self.found.sum())
        precision = hits / self.believed if self.believed else float("nan")
        recall = hits / boxes if boxes else float("nan")
        own = 2 * hits / max(self.believed + boxes, 1)
        return OperatingPoint(self.threshold, False, precision, recall, own, best / STEPS, float(f1[best]))

    def _operate(self, rows: Rows) -> None:
        right, wrong = (_unpacked(rows[name][:, :1])[:, 0] for name in ("right", "wrong"))
        steps = np.clip(np.floor(rows["score"].astype(np.float64) * STEPS), 0, STEPS).astype(np.int64)
        for counts, chosen in zip(self._steps, (right, wrong), strict=True):
            counts += np.bincount(steps[chosen], minlength=STEPS + 1)
        enough = rows["score"] >= self.threshold
        self.believed += int((enough & (right | wrong)).sum())
        self.found += np.bincount(rows["label"][enough & right], minlength=len(self.found))


# The range of area that each of the twelve numbers is about.
RANGES = np.array([0, 0, 0, 1, 2, 3, 0, 0, 0, 1, 2, 3])


def _rows_of(data: Aligned) -> Rows:
    """What every detection that counts has found, at every threshold in every range of area."""
    candidates = find_candidates(data)
    rows = np.zeros(len(candidates.rows), ROW)
    right = np.zeros((len(rows), *SHAPE), bool)
    wrong = np.zeros((len(rows), *SHAPE), bool)
    for place, (matches, _) in enumerate(match_by_size(data, candidates)):
        right[:, place], wrong[:, place] = matches.right.T, matches.wrong.T
    rows["label"] = data.found.label[candidates.rows]
    rows["score"] = data.scores[candidates.rows]
    rows["image"] = data.image_ids[data.found.image[candidates.rows]]
    rows["step"] = candidates.step
    rows["right"], rows["wrong"] = (np.packbits(bits.reshape(-1, BITS), axis=1) for bits in (right, wrong))
    return rows


def _unpacked(packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, axis=1).astype(bool)


def _by_label(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """The rows of each label, in their order."""
    order = np.argsort(rows["label"], kind="stable")
    rows = rows[order]
    borders = np.flatnonzero(np.diff(rows["label"], prepend=-1, append=-1))
    for first, last in pairwise(borders):
        yield int(rows["label"][first]), rows[first:last]


class _Curve:
    """Precision over recall of one class, built up by falling score.

    The precision at a recall is the best one at that recall or any higher: each block can only raise what was reached.
    """

    def __init__(self, boxes: NDArray[np.int64]) -> None:
        self.boxes = boxes
        self.right, self.wrong = np.zeros(SHAPE), np.zeros(SHAPE)
        self.first = np.zeros((2, SHAPE[1]))
        self.precision = np.zeros((*SHAPE, len(RECALLS)))

    def go_on(self, rows: Rows) -> None:
        """The next detections by falling score."""
        hits = _unpacked(rows["right"]).reshape(-1, *SHAPE)
        misses = _unpacked(rows["wrong"]).reshape(-1, *SHAPE)
        right = self.right + np.cumsum(hits, axis=0)
        wrong = self.wrong + np.cumsum(misses, axis=0)
        precision = right / (right + wrong + np.spacing(1))
        best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        for place in np.flatnonzero(self.boxes):
            recall = right[:, place] / self.boxes[place]
            for threshold in range(SHAPE[1]):
                at = np.searchsorted(recall[:, threshold], RECALLS, side="left")
                reached = at < len(rows)
                held = self.precision[place, threshold]
                held[reached] = np.maximum(held[reached], best[at[reached], place, threshold])
        self.first += np.stack([hits[rows["step"] < most, 0].sum(axis=0) for most in (1, 10)])
        self.right, self.wrong = right[-1], wrong[-1]

    def values(self) -> NDArray[np.float64]:
        """(12,) in the order of NAMES, nan where there is no box of that size."""
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = self.right.mean(axis=1) / self.boxes
            first = self.first.mean(axis=1) / self.boxes[0]
        whole = self.precision.mean(axis=(1, 2))
        numbers = [whole[0], self.precision[0, 0].mean(), self.precision[0, 5].mean(), *whole[1:]]
        numbers += [*first, recall[0], *recall[1:]]
        assert len(numbers) == len(NAMES)
        return np.where(self.boxes[RANGES] > 0, np.array(numbers), np.nan)
