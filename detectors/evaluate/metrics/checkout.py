"""Is the list right: the numbers of the RPC benchmark for counting products (Wei et al. 2019, arXiv 1901.07249)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.evaluate.metrics.align import Aligned, Bools, Ints
from detectors.evaluate.metrics.matching import Matches


@dataclass(frozen=True)
class Checkout:
    """How well the products of each image are counted.

    cacc: share of images where every count is right. acd: mean number of products counted too many or too few per
    image. mccd: for each class wrong counts over true ones, mean over classes. mciou: for each class the smaller over
    the larger of both counts, mean over classes.
    """

    cacc: float
    acd: float
    mccd: float
    mciou: float


@dataclass(frozen=True)
class Counts:
    """How many of each class an image shows and how many were found: C rows, those with any of either.

    image, label, true, found: (C,) int64. images: how many there are.
    """

    image: Ints
    label: Ints
    true: Ints
    found: Ints
    images: int

    def right(self) -> Bools:
        """(N,) images where every count is right."""
        wrong = np.bincount(self.image, self.true != self.found, minlength=self.images)
        return wrong == 0


def count_products(data: Aligned, matches: Matches, threshold: float) -> Counts:
    """Boxes and detections of every class in every image.

    Detections that score under the threshold or lie in an ignored box are not counted, nor are ignored boxes.
    """
    counted = (matches.right[0] | matches.wrong[0]) & (data.scores[matches.rows] >= threshold)
    boxes, rows = np.flatnonzero(~data.ignored), matches.rows[counted]
    width = len(data.classes)
    true = data.truth.image[boxes] * width + data.truth.label[boxes]
    found = data.found.image[rows] * width + data.found.label[rows]
    both, place = np.unique(np.concatenate([true, found]), return_inverse=True)
    return Counts(
        both // width,
        both % width,
        np.bincount(place[: len(true)], minlength=len(both)),
        np.bincount(place[len(true) :], minlength=len(both)),
        data.images,
    )


def checkout(data: Aligned, counts: Counts) -> Checkout:
    """The four numbers. Means over classes are over those that occur in the truth; nan where there is nothing."""
    if not counts.images:
        return Checkout(*[float("nan")] * 4)
    off = np.abs(counts.true - counts.found)
    labels = data.counted()
    place = np.searchsorted(labels, counts.label)
    known = np.append(labels, -1)[place] == counts.label

    def by_class(values: Ints) -> np.ndarray:
        return np.bincount(place[known], values[known], minlength=len(labels))

    total, smaller = by_class(counts.true), by_class(np.minimum(counts.true, counts.found))
    larger = by_class(np.maximum(counts.true, counts.found))
    some = len(labels) > 0
    return Checkout(
        float(counts.right().mean()),
        float(off.sum() / counts.images),
        float((by_class(off) / total).mean()) if some else float("nan"),
        float((smaller / larger).mean()) if some else float("nan"),
    )
