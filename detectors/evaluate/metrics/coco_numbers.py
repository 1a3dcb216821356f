"""The twelve COCO box numbers by class, equal to those of pycocotools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, Bools, Floats, Ints, align
from detectors.evaluate.metrics.curves import Ranked, average_precision, rank
from detectors.evaluate.metrics.matching import Candidates, Matches, find_candidates, match

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
# Square pixels; all boxes, and the borders of small, medium and large, with COCO's own end.
SIZES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))


@dataclass(frozen=True)
class CocoRun:
    """The COCO numbers of every class that occurs in the truth.

    labels: (K,) int64. boxes: (K,) int64, how many each has. values: (12, K) in the order of NAMES, nan where a class
    has no box of that size.
    """

    labels: Ints
    boxes: Ints
    values: Floats

    def numbers(self) -> dict[str, float]:
        """The twelve numbers: means over the classes in which each is defined, nan where there is none."""
        return {name: _mean(row) for name, row in zip(NAMES, self.values, strict=True)}

    def of_class(self, name: str) -> Floats:
        """(K,) one of the twelve numbers."""
        row: Floats = self.values[NAMES.index(name)]
        return row


def coco_numbers(truth: ImageSet, found: Predictions) -> dict[str, float]:
    """AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl as pycocotools gives them for boxes.

    nan where a number is not defined (there is no box of that size). Ignored boxes are crowds of their class, or of
    every class where their class is unknown. Sizes are those of ImageSet.areas.
    Source: Lin et al. 2014, "Microsoft COCO"; cocodataset.org/#detection-eval.
    """
    data = align(truth, found)
    return run_coco(data, find_candidates(data)).numbers()


def run_coco(data: Aligned, candidates: Candidates) -> CocoRun:
    """The twelve numbers by class. candidates: of `find_candidates`."""
    labels = data.counted()
    values = dict.fromkeys(NAMES, np.full(len(labels), np.nan))
    for size, (matches, left_out) in zip(("", "s", "m", "l"), match_by_size(data, candidates), strict=True):
        ranked = rank(data, matches, left_out)
        present = np.searchsorted(labels, ranked.labels)
        table = average_precision(ranked)
        numbers = {f"AP{size}": table.mean(axis=0)}
        if size:
            numbers[f"AR{size}"] = _recall(data, matches, ranked)
        else:
            numbers |= {"AP50": table[0], "AP75": table[5]}
            numbers |= {f"AR{most}": _recall(data, matches, ranked, candidates.step < most) for most in (1, 10, 100)}
        for name, row in numbers.items():
            values[name] = np.full(len(labels), np.nan)
            values[name][present] = row
    boxes = np.searchsorted(labels, data.truth.label[~data.ignored])
    return CocoRun(labels, np.bincount(boxes, minlength=len(labels)), np.stack(list(values.values())))


def match_by_size(data: Aligned, candidates: Candidates) -> Iterator[tuple[Matches, Bools]]:
    """For each range of SIZES the matches within it, and (A,) the boxes of the truth outside of it."""
    for low, high in SIZES:
        left_out = (data.truth.area < low) | (data.truth.area > high)
        outside = (data.found.area < low) | (data.found.area > high)
        yield match(data, candidates, left_out=left_out, outside=outside), left_out


def _recall(data: Aligned, matches: Matches, ranked: Ranked, chosen: Bools | None = None) -> Floats:
    """The share of the boxes of each class of `ranked` that the chosen detections find, mean over the thresholds."""
    found = matches.right.sum(axis=0) if chosen is None else matches.right.sum(axis=0) * chosen
    hits = np.bincount(data.found.label[matches.rows], found, minlength=len(data.classes))[ranked.labels]
    return hits / np.bincount(ranked.box_class) / len(matches.right)


def _mean(row: Floats) -> float:
    return float(np.nanmean(row)) if not np.isnan(row).all() else float("nan")
