"""Shared by detectors of given regions: matching and sampling regions, coding boxes, choosing detections."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from detectors.models.ignoring import MOSTLY, Target, ignored_in
from detectors.models.parts import MAX_DETECTIONS, MIN_SCORE, covered_by

BACKGROUND = 0
# Boxes grow by at most this factor, as in torchvision, so that an untrained network gives finite ones.
MAX_GROWTH = math.log(1000 / 16)
# Pairs of a region and a class that are compared with each other, the best ones.
CANDIDATES = 5000


class Matched(NamedTuple):
    """Regions of one image with the targets that overlap them most.

    boxes: (R, 4). overlap: (R,) IoU with the nearest target, 0 without any. labels, truth: (R,) its class from 1 and
    (R, 4) its box, of no use where the overlap is 0. ignored: (R,) whether more than half of the region is ignored.
    """

    boxes: Tensor
    overlap: Tensor
    labels: Tensor
    truth: Tensor
    ignored: Tensor

    def take(self, rows: Tensor) -> Matched:
        """Return some of the regions."""
        return Matched(*(column[rows] for column in self))


def match_regions(proposals: Tensor, target: Target) -> Matched:
    """Match proposals, and the boxes of the targets beside them, to the targets of an image."""
    truth = target["boxes"]
    boxes = torch.cat([proposals, truth])
    ignored = covered_by(boxes, ignored_in(target)) > MOSTLY
    if not len(truth):
        nothing = boxes.new_zeros(len(boxes))
        return Matched(boxes, nothing, nothing.long(), boxes, ignored)
    overlap, nearest = torchvision.ops.box_iou(boxes, truth).max(1)
    return Matched(boxes, overlap, target["labels"][nearest] + 1, truth[nearest], ignored)


def sample_regions(
    matched: Matched, *, positives: int, total: int, positive: float, background: tuple[float, float]
) -> tuple[Matched, Tensor]:
    """Sample at most `positives` regions that overlap a target by `positive` and fill up to `total` with background.

    background: the least overlap, included, and the largest, excluded. Where no region overlaps a target so much, all
    of less overlap are background, so that images without targets teach something. Returns the regions, positives
    first, and their (R,) labels, 0 for background. Random numbers are torch's, of the CPU.
    """
    overlap = matched.overlap
    is_positive = overlap >= positive
    is_background = (overlap < background[1]) & ~is_positive & ~matched.ignored
    if (is_background & (overlap >= background[0])).any():
        is_background &= overlap >= background[0]
    chosen = _sample(is_positive, positives)
    others = _sample(is_background, total - len(chosen))
    rows = torch.cat([chosen, others])
    labels = matched.labels[rows].clone()
    labels[len(chosen) :] = BACKGROUND
    return matched.take(rows), labels


def _sample(wanted: Tensor, count: int) -> Tensor:
    rows = torch.nonzero(wanted)[:, 0]
    return rows[torch.randperm(len(rows))[:count].to(rows.device)]


def encode_boxes(boxes: Tensor, truth: Tensor) -> Tensor:
    """Return (R, 4) targets of regression: ((Gx - Px) / Pw, (Gy - Py) / Ph, ln(Gw / Pw), ln(Gh / Ph))."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    aim, extent = (truth[:, :2] + truth[:, 2:]) / 2, (truth[:, 2:] - truth[:, :2]).clamp(min=1e-3)
    return torch.cat([(aim - centre) / size, (extent / size).log()], 1)


def decode_boxes(boxes: Tensor, codes: Tensor) -> Tensor:
    """Return (..., 4) boxes from regions of the same shape, or one that broadcasts to it, and codes."""
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    middle = centre + codes[..., :2] * size
    half = size * codes[..., 2:].clamp(max=MAX_GROWTH).exp() / 2
    return torch.cat([middle - half, middle + half], -1)


def select_detections(scores: Tensor, boxes: Tensor, size: tuple[int, int], nms: float) -> dict[str, Tensor]:
    """Return the detections of one image after non-maximum suppression within each class.

    scores: (R, C) of classes from 0. boxes: (R, C, 4), or (R, 1, 4) if all classes share them. size: width and height.
    """
    flat = scores.flatten()
    best, places = flat.topk(min(CANDIDATES, len(flat)))
    good = best > MIN_SCORE
    best, places = best[good], places[good]
    rows, labels = places // scores.shape[1], places % scores.shape[1]
    chosen = boxes[rows, labels if boxes.shape[1] > 1 else 0]
    chosen = torchvision.ops.clip_boxes_to_image(chosen, (size[1], size[0]))
    kept = torchvision.ops.boxes.batched_nms(chosen, best, labels, nms)[:MAX_DETECTIONS]
    return {"boxes": chosen[kept], "labels": labels[kept], "scores": best[kept]}
