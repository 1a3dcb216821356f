"""Metrics of keypoints, the corners of cuboids: average precision by object keypoint similarity (OKS), and PCK.

OKS as COCO defines it (cocodataset.org/#keypoints-eval, Ronchi and Perona 2017, arXiv 1707.05388): the mean over the
labelled corners of exp(-d^2 / (2 s^2 k^2)), where s^2 is the area of the product. k is 2 sigma for all corners alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, Bools, Floats, Ints, falling_scores
from detectors.evaluate.metrics.curves import Ranked, at_half, average_precision, mean_over_classes, rank, shorten
from detectors.evaluate.metrics.matching import MAX_FOUND, THRESHOLDS, Candidates, Matches, match, ranks
from detectors.evaluate.metrics.overlap import Pairs
from detectors.evaluate.metrics.pixels import sums
from detectors.evaluate.metrics.table import MetricKind

# Of COCO's sigmas, which run from 0.025 (eyes) to 0.107 (hips), a middle one: corners are exact, and often hidden.
SIGMA = 0.05
# Distance of a corner that counts as right, as a share of the longer side of its product's box (Yang and Ramanan 2013).
PCK_SHARE = 0.1


@dataclass(frozen=True)
class CornerEvidence:
    """What became of the detections by OKS, and of the corners. ranked: of the OKS, as of overlaps of boxes.

    right, labelled: (N,) corners of each image that are right, and all.
    """

    ranked: Ranked
    right: Floats
    labelled: Floats


def gather_corners(
    truth: ImageSet, found: Predictions, data: Aligned, matches: Matches, threshold: float
) -> CornerEvidence | None:
    """Compare all corners; None where truth or detections have none.

    data: of `align`. matches: by overlap of boxes; threshold: score from which they count. Both for PCK alone.
    """
    if found.keypoints is None or truth.keypoints is None:
        return None
    points = found.keypoints[falling_scores(found)].astype(np.float64)
    labelled = truth.keypoints[..., 2] > 0
    unknown = ~labelled.any(axis=1)
    candidates = similar(truth, points, data)
    ranked = rank(data, match(data, candidates, left_out=unknown), unknown)
    right, known = _corners_right(truth, points, data, matches, threshold)
    return CornerEvidence(ranked, right, known)


def similar(truth: ImageSet, points: Floats, data: Aligned) -> Candidates:
    """Return the pairs of one image and class whose OKS reaches the least threshold. points: (D, 8, 3) found."""
    group = data.found.image * len(data.classes) + data.found.label
    step = ranks(group, data.scores)
    rows = np.flatnonzero(step < MAX_FOUND)
    pairs = _same(data.found.image[rows], data.found.label[rows], data.truth.image, data.truth.label)
    values = keypoint_similarity(truth, points[rows[pairs[0]]], pairs[1])
    kept = values >= THRESHOLDS[0]
    return Candidates(rows, step[rows], Pairs(pairs[0][kept], pairs[1][kept], values[kept]))


def _same(image: Ints, label: Ints, other_image: Ints, other_label: Ints) -> tuple[Ints, Ints]:
    """Return the places of all pairs of one image whose labels agree, or of which the second has none."""
    order = np.argsort(other_image, kind="stable")
    begin = np.searchsorted(other_image[order], image, "left")
    count = np.searchsorted(other_image[order], image, "right") - begin
    first = np.repeat(np.arange(len(image)), count)
    within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    second = order[np.repeat(begin, count) + within]
    agree = (label[first] == other_label[second]) | (other_label[second] < 0)
    return first[agree], second[agree]


def keypoint_similarity(truth: ImageSet, points: Floats, rows: Ints) -> Floats:
    """Return the OKS of P pairs. points: (P, 8, 3) found. rows: (P,) annotations of the truth.

    Of a product without a labelled corner the distance is that to its box, twice as large on every side, as in COCO.
    """
    assert truth.keypoints is not None
    real = truth.keypoints[rows].astype(np.float64)
    labelled = real[..., 2] > 0
    boxes = truth.boxes[rows].astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    low, high = boxes[:, None, :2] - sides[:, None], boxes[:, None, 2:] + sides[:, None]
    beyond = np.maximum(low - points[..., :2], 0) + np.maximum(points[..., :2] - high, 0)
    none = ~labelled.any(axis=1)
    apart = np.where(none[:, None, None], beyond, points[..., :2] - real[..., :2])
    area = truth.areas[rows].astype(np.float64)[:, None] + np.spacing(1)
    each = np.exp(-(apart**2).sum(axis=2) / ((2 * SIGMA) ** 2) / area / 2)
    counted = labelled | none[:, None]
    return (each * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)


def _corners_right(
    truth: ImageSet, points: Floats, data: Aligned, matches: Matches, threshold: float
) -> tuple[Floats, Floats]:
    """Return (N,) corners that are right and all that are labelled, of products that are not ignored."""
    assert truth.keypoints is not None
    labelled = (truth.keypoints[..., 2] > 0) & ~data.ignored[:, None]
    image = truth.image_of_box()
    known = sums(image, labelled.sum(axis=1).astype(np.float64), len(truth))
    taken: Bools = matches.right[0] & (data.scores[matches.rows] >= threshold)
    box = matches.box[0][taken]
    apart = points[matches.rows[taken]][..., :2] - truth.keypoints[box][..., :2]
    reach = PCK_SHARE * (truth.boxes[box][:, 2:] - truth.boxes[box][:, :2]).max(axis=1)
    near = (np.linalg.norm(apart, axis=2) <= reach[:, None]) & labelled[box]
    return sums(image[box], near.sum(axis=1).astype(np.float64), len(truth)), known


def _share(right: Floats, known: Floats) -> float:
    return float(right.sum() / known.sum()) if known.sum() else float("nan")


# Of detectors that find the corners of cuboids, on sets that have them.
CORNER_METRICS: Mapping[str, MetricKind] = {
    "OKS-AP": MetricKind(
        "As AP, by the similarity of corners (OKS) in place of the overlap of boxes.",
        lambda found: mean_over_classes(average_precision(found.ranked)),
        lambda found: lambda weights: mean_over_classes(average_precision(shorten(found.ranked), weights)),
        head=True,
    ),
    "OKS-AP50": MetricKind(
        "As OKS-AP, where a similarity of one half is enough.",
        lambda found: mean_over_classes(average_precision(at_half(found.ranked))),
        lambda found: lambda weights: mean_over_classes(average_precision(shorten(at_half(found.ranked)), weights)),
    ),
    "PCK": MetricKind(
        "Labelled corners found within a tenth of the longer side of their product's box.",
        lambda found: _share(found.right, found.labelled),
        lambda found: lambda weights: _share(found.right * weights, found.labelled * weights),
        head=True,
    ),
}
