"""Metrics of masks: accuracy and overlap of pixels by class (mIoU), and panoptic quality (PQ) of single products.

Images are gone through one by one and only counts are kept, so that memory does not grow with their pixels.
Sources: Long et al. 2015 (arXiv 1411.4038), section 5, for pixels; Kirillov et al. 2019 (arXiv 1801.00868) for PQ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.masks import decode_mask
from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, Floats, Ints, falling_scores
from detectors.evaluate.metrics.table import MetricKind

# Of a segment that higher scores leave less of, nothing is kept; one that lies more in ignored regions is not wrong.
MOSTLY = 0.5


@dataclass(frozen=True)
class PixelEvidence:
    """Counts of N images; K: number of classes, background the class 0 before them.

    pixels: (P, 4) int64: image, class of the truth, class found, how many pixels. segments: (S, 4) float64: image,
    class without background, 1 for a pair that match and 0 for a segment that matches none, overlap of the pair or 0.
    """

    images: int
    classes: int
    pixels: Ints
    segments: Floats


def gather_pixels(truth: ImageSet, found: Predictions, data: Aligned, threshold: float) -> PixelEvidence | None:
    """Compare all masks; None where the detections or the labelled products have none.

    data: of `align`. threshold: score from which detections count; all count if together they say what each pixel is.
    """
    if found.masks is None or truth.missing_masks:
        return None
    order = falling_scores(found)
    first = np.searchsorted(data.found.image, np.arange(len(truth) + 1))
    pixels: list[Ints] = []
    segments: list[tuple[float, ...]] = []
    for image in range(len(truth)):
        rows = np.arange(first[image], first[image + 1])
        if not found.pixelwise:
            rows = rows[data.scores[rows] >= threshold]
        masks = [found.masks[int(order[row])] for row in rows]
        counts, pairs = _compare(_painted_truth(truth, data, image), masks, data.found.label[rows], truth.sizes[image])
        pixels.append(np.column_stack([np.full(len(counts), image, np.int64), counts]))
        segments += [(image, *pair) for pair in pairs]
    columns = np.concatenate([np.zeros((0, 4), np.int64), *pixels])
    return PixelEvidence(len(truth), len(data.classes), columns, np.array(segments, np.float64).reshape(-1, 4))


@dataclass(frozen=True)
class _Painted:
    """Segments of an image. numbers: (H, W) int32, 0 for none, k for segment k - 1. labels: of them, from 0.

    void: (H, W) bool, pixels that do not count.
    """

    numbers: NDArray[np.int32]
    labels: Ints
    void: NDArray[np.bool_]


def _painted_truth(truth: ImageSet, data: Aligned, image: int) -> _Painted:
    width, height = (int(side) for side in truth.sizes[image])
    numbers, void = np.zeros((height, width), np.int32), np.zeros((height, width), bool)
    span = truth.span(image)
    rows = np.arange(span.start, span.stop)
    for row in rows[data.ignored[rows]]:
        if truth.masks[int(row)]:
            void |= decode_mask(truth.masks[int(row)], height, width).astype(bool)
        else:
            x0, y0, x1, y1 = np.round(truth.boxes[row]).astype(int)
            void[y0:y1, x0:x1] = True
    kept = rows[~data.ignored[rows]]
    for number, row in enumerate(kept, start=1):
        numbers[decode_mask(truth.masks[int(row)], height, width).astype(bool)] = number
    void[numbers > 0] = False
    return _Painted(numbers, data.truth.label[kept], void)


def _compare(
    truth: _Painted, masks: list[bytes], labels: Ints, size: NDArray[np.int32]
) -> tuple[Ints, list[tuple[float, float, float]]]:
    """Return rows (class of truth, class found, pixels) and rows (class, matched, overlap) of segments."""
    width, height = (int(side) for side in size)
    numbers = np.zeros((height, width), np.int32)
    whole = [0]
    for number, counts in enumerate(masks, start=1):
        mask = decode_mask(counts, height, width).astype(bool)
        whole.append(int(mask.sum()))
        numbers[mask & (numbers == 0)] = number  # a higher score came before
    of_truth, of_found = np.append(0, truth.labels + 1), np.append(0, labels + 1)
    counted = ~truth.void
    names = of_truth[truth.numbers[counted]] * (of_found.max(initial=0) + 1) + of_found[numbers[counted]]
    kinds, pixels = np.unique(names, return_counts=True)
    rows = np.column_stack([*np.divmod(kinds, of_found.max(initial=0) + 1), pixels]).astype(np.int64)
    common = np.zeros((len(of_truth), len(of_found)), np.int64)
    np.add.at(common, (truth.numbers[counted], numbers[counted]), 1)
    painted = np.bincount(numbers.ravel(), minlength=len(of_found))
    there = (painted > 0) & (painted >= MOSTLY * np.array(whole))
    return rows, _match(common, of_truth, of_found, painted, there)


def _match(
    common: Ints, of_truth: Ints, of_found: Ints, painted: Ints, there: NDArray[np.bool_]
) -> list[tuple[float, float, float]]:
    """Match segments of one class that overlap by more than half, which are never two for one.

    common: (1 + T, 1 + F) pixels that count of each pair, 0 for no segment. painted: (1 + F,) pixels of what was found.
    """
    mine, theirs = common.sum(1), common.sum(0)
    union = mine[:, None] + theirs[None] - common
    overlap = np.where(union > 0, common / np.maximum(union, 1), 0)
    matched = (overlap > MOSTLY) & (of_truth[:, None] == of_found[None]) & there[None]
    matched[0] = matched[:, 0] = False
    missed = (mine > 0) & ~matched.any(1)
    # What lies mostly in ignored regions is not wrong.
    extra = there & ~matched.any(0) & (painted - theirs <= MOSTLY * painted)
    missed[0] = extra[0] = False
    rows = [(float(of_truth[one] - 1), 1.0, float(overlap[one, other])) for one, other in np.argwhere(matched)]
    labels = [*of_truth[missed], *of_found[extra]]
    return rows + [(float(label - 1), 0.0, 0.0) for label in labels]


def _pixel_sums(evidence: PixelEvidence, weights: Ints) -> tuple[Floats, Floats, Floats]:
    """Return (1 + K,) pixels of each class in the truth, found, and right, weighted by image."""
    image, true, found, pixels = evidence.pixels.T
    amount, size = weights[image] * pixels.astype(np.float64), evidence.classes + 1
    right = true == found
    return sums(true, amount, size), sums(found, amount, size), sums(true[right], amount[right], size)


def sums(places: Ints, amounts: Floats, size: int) -> Floats:
    """Return (size,) the sums of the amounts of equal places."""
    return np.bincount(places, amounts, size).astype(np.float64)


def _of_truth(totals: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    """Return the sums of the classes that the truth has pixels of."""
    there = totals[0] > 0
    return totals[0][there], totals[1][there], totals[2][there]


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def pixel_accuracy(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the share of pixels whose class is right: sum of n_ii over sum of t_i."""
    truth, _, right = _pixel_sums(evidence, weights)
    return float(right.sum() / truth.sum()) if truth.sum() else float("nan")


def mean_accuracy(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the mean over classes of the share of their pixels that is right: n_ii / t_i."""
    truth, _, right = _pixel_sums(evidence, weights)
    return _mean(right[truth > 0] / truth[truth > 0])


def mean_iou(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the mean over classes of the truth, background among them, of n_ii / (t_i + sum_j n_ji - n_ii)."""
    truth, found, right = _of_truth(_pixel_sums(evidence, weights))
    return _mean(right / (truth + found - right))


def weighted_iou(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the same as `mean_iou`, each class weighted by its pixels in the truth."""
    truth, found, right = _of_truth(_pixel_sums(evidence, weights))
    return float((truth * right / (truth + found - right)).sum() / truth.sum()) if len(truth) else float("nan")


def _segment_sums(evidence: PixelEvidence, weights: Ints) -> tuple[Floats, Floats, Floats]:
    """Return of each class that has any segment: matched ones, half of the others, and the sum of overlaps."""
    image, label, matched, overlap = evidence.segments.T
    amount, place = weights[image.astype(np.int64)].astype(np.float64), label.astype(np.int64)
    hits = sums(place, amount * matched, evidence.classes)
    others = sums(place, amount * (1 - matched), evidence.classes) / 2
    overlaps = sums(place, amount * overlap, evidence.classes)
    known = hits + others > 0
    return hits[known], others[known], overlaps[known]


def panoptic_quality(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the mean over classes of the sum of overlaps over TP + FP / 2 + FN / 2."""
    hits, others, overlaps = _segment_sums(evidence, weights)
    return _mean(overlaps / (hits + others))


def segmentation_quality(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the mean over classes of the mean overlap of matched segments, 0 where none is."""
    hits, _, overlaps = _segment_sums(evidence, weights)
    return _mean(np.divide(overlaps, hits, out=np.zeros_like(hits), where=hits > 0))


def recognition_quality(evidence: PixelEvidence, weights: Ints) -> float:
    """Return the mean over classes of TP over TP + FP / 2 + FN / 2."""
    hits, others, _ = _segment_sums(evidence, weights)
    return _mean(hits / (hits + others))


def _kind(meaning: str, number: Callable[[PixelEvidence, Ints], float], *, head: bool = False) -> MetricKind:
    return MetricKind(
        meaning,
        lambda evidence: number(evidence, np.ones(evidence.images, np.int64)),
        lambda evidence: lambda weights: number(evidence, weights),
        head=head,
    )


# Of detectors that find masks, on sets that have them.
MASK_METRICS: Mapping[str, MetricKind] = {
    "mIoU": _kind("Overlap of the pixels of each class, mean over classes and background.", mean_iou, head=True),
    "pixel accuracy": _kind("Pixels whose class is right.", pixel_accuracy),
    "mean accuracy": _kind("Pixels whose class is right, mean over classes and background.", mean_accuracy),
    "weighted IoU": _kind("As mIoU, where each class counts by its pixels.", weighted_iou),
    "PQ": _kind("Panoptic quality of single products, mean over SKUs.", panoptic_quality, head=True),
    "SQ": _kind("Overlap of the masks of products found, mean over SKUs.", segmentation_quality),
    "RQ": _kind("Products found by masks that overlap by more than half (F1), mean over SKUs.", recognition_quality),
}
