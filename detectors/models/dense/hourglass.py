"""Stacked hourglass (Newell et al. 2016): heat maps of the corners of products' cuboids, grouped by their centres.

arXiv 1603.06937. For whole images with many products the heat maps of the eight corners stand beside those of the
centres of boxes, their sizes, and the ways from centre to corners; each corner takes the peak of its heat map nearest
to where its centre says that it is, as in CenterNet (Zhou et al. 2019, arXiv 1904.07850, section 5.2).
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import torch
import torchvision
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dataset.categories import CORNER_NAMES
from detectors.models.dense.hourglass_stack import Stack, Stem
from detectors.models.interface import DetectorOptions, SoftHead, SoftOutputs, options_of
from detectors.models.one_stage.centernet import (
    HEAT_BIAS,
    SIZE_WEIGHT,
    STRIDE,
    Peaks,
    boxes_of_peaks,
    centres_of,
    counted_cells,
    focal_loss,
    heat_map,
)
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, MAX_DETECTIONS, MIN_SCORE, normalised
from detectors.models.spec import ModelSpec

LONG_SIDE = 512
FIXED_SIZE = None
LEARNING_RATE = 2.5e-4
NEEDS_MASKS = False
NEEDS_KEYPOINTS = True
TAKES_BACKBONE = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
SMALLEST = {"stacks": 2, "width": 32}
CORNERS = len(CORNER_NAMES)
# Standard deviation of the Gaussian around a corner, in cells.
SIGMA = 1.0
# Peaks of corners below this, or further from the box than this share of its sides, are not taken.
MIN_CORNER, REACH = 0.1, 0.5
# Peaks of each corner that are considered.
MAX_PEAKS = 200
# Pixels to a peak that is out of reach.
FAR = 1e8
# How far a corner moves towards its higher neighbour, in cells.
SHIFT = 0.25


class Options(DetectorOptions):
    """Options of the network."""

    stacks: int = Field(2, ge=1, le=8, description="Hourglasses behind each other.")
    width: int = Field(256, ge=16, le=512, multiple_of=16, description="Channels of the hourglasses.")


class HourglassDetector(nn.Module):
    """The network (interface.SoftDetector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Stem(options.width)
        heads = (
            ("cls_logits", spec.classes),
            ("sizes", 2),
            ("offsets", 2),
            ("corners", CORNERS),
            ("ways", 2 * CORNERS),
        )
        self.stack = Stack(options.width, options.stacks, heads)
        for layers in self.stack.heads:
            nn.init.constant_(layers["cls_logits"].bias, HEAT_BIAS)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the map of stride 4 of the last hourglass."""
        return [self.stack(self.backbone(normalised(images, self.spec)))[0]]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the means over the hourglasses of five losses, by object or corner.

        "classification", "size", "offset": as CenterNet's. "corners": squared distance of the heat maps, over corners.
        "ways": L1 distance from centres to corners in cells, over corners.
        """
        predictions = self._predict(images)
        shape = predictions[0]["cls_logits"].shape[1:]
        with torch.no_grad():
            truths = [truth_of(target, shape) for target in targets]
        each = [_losses(one, truths) for one in predictions]
        return {name: torch.stack([losses[name] for losses in each]).mean() for name in each[0]}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes at the peaks of the centres, with their corners."""
        last = self._predict(images)[-1]
        peaks = Peaks(last["cls_logits"], last["sizes"], last["offsets"])
        scores, boxes = peaks.heat.sigmoid(), boxes_of_peaks(peaks)
        tops = scores * (functional.max_pool2d(scores, 3, 1, 1) == scores)
        return [self._select(*one) for one in zip(tops, boxes, last["corners"], last["ways"], strict=True)]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the logits and boxes of all cells."""
        last = self._predict(images)[-1]
        logits = last["cls_logits"].flatten(2).transpose(1, 2).flatten(0, 1)
        boxes = boxes_of_peaks(Peaks(last["cls_logits"], last["sizes"], last["offsets"]))
        return SoftOutputs({"cells": SoftHead(logits, boxes.flatten(0, 1))})

    def _predict(self, images: Tensor) -> list[dict[str, Tensor]]:
        _, predictions = self.stack(self.backbone(normalised(images, self.spec)))
        return [{name: value.float() for name, value in one.items()} for one in predictions]

    def _select(self, tops: Tensor, boxes: Tensor, corners: Tensor, ways: Tensor) -> dict[str, Tensor]:
        """Return the detections of an image. tops: (C, h, w) peaks. boxes: (h w, 4). corners, ways: (8 or 16, h, w)."""
        cells = tops[0].numel()
        best, places = tops.flatten().topk(min(MAX_DETECTIONS, tops.numel()))
        good = best > MIN_SCORE
        best, places = best[good], places[good]
        labels, cell = places // cells, places % cells
        whole = boxes[cell]
        size = (self.spec.height, self.spec.width)
        points = place_corners(corners, ways.flatten(1)[:, cell].T.reshape(-1, CORNERS, 2), cell, whole)
        boxes = torchvision.ops.clip_boxes_to_image(whole, size)
        return {"boxes": boxes, "labels": labels, "scores": best, "keypoints": points}


class Truth(NamedTuple):
    """What the heads should say of an image. heat: (C, h, w), kept: (h, w) cells that count. corners: (8, h, w).

    columns, rows: (N,) cells of the centres. within, sides: (N, 2) cells. ways: (N, 8, 2) cells. known: (N, 8) bool.
    """

    heat: Tensor
    kept: Tensor
    corners: Tensor
    columns: Tensor
    rows: Tensor
    within: Tensor
    sides: Tensor
    ways: Tensor
    known: Tensor


def truth_of(target: dict[str, Tensor], shape: torch.Size) -> Truth:
    """Return the truth of one image for maps of (C, h, w). Corners with COCO's flags 1 and 2 count, absent ones not."""
    boxes = target["boxes"]
    points = target.get("keypoints", boxes.new_zeros(len(boxes), CORNERS, 3))
    columns, rows, within, sides = centres_of(boxes, shape)
    centres = torch.stack([columns, rows], 1)[:, None] + 0.5
    heat = heat_map(target, shape, "exact")
    return Truth(
        *(heat, counted_cells(target, shape), corner_maps(points, shape)),
        *(columns, rows, within, sides, points[..., :2] / STRIDE - centres, points[..., 2] > 0),
    )


def corner_maps(points: Tensor, shape: torch.Size) -> Tensor:
    """Return (8, h, w) heat maps: a Gaussian of SIGMA cells around each labelled corner, the larger where two overlap.

    points: (N, 8, 3) x, y in pixels and COCO's flag. The Gaussian's middle is the corner itself, not that of its cell,
    so that the neighbours tell on which side of the cell it lies.
    """
    across, down = (torch.arange(side, device=points.device) + 0.5 for side in (shape[-1], shape[-2]))
    apart_x = (across - points[..., 0, None] / STRIDE).square()
    apart_y = (down - points[..., 1, None] / STRIDE).square()
    bumps = torch.exp(-(apart_y[..., :, None] + apart_x[..., None, :]) / (2 * SIGMA**2))
    bumps = bumps * (points[..., 2, None, None] > 0)
    return bumps.amax(0) if len(points) else points.new_zeros(CORNERS, *shape[-2:])


def _losses(found: dict[str, Tensor], truths: list[Truth]) -> dict[str, Tensor]:
    """Return the losses of one hourglass."""
    heat = torch.stack([truth.heat for truth in truths])
    kept = torch.stack([truth.kept for truth in truths])[:, None]
    corners = torch.stack([truth.corners for truth in truths])
    objects = max(1, sum(len(truth.columns) for truth in truths))
    known = max(1, sum(int(truth.known.sum()) for truth in truths))
    apart = (found["corners"] - corners).square() * (kept | (corners > 0.5))
    losses = {
        "classification": (focal_loss(found["cls_logits"], heat) * (kept | (heat == 1))).sum() / objects,
        "corners": apart.sum() / known,
    }
    sums = {"size": found["sizes"].sum() * 0, "offset": found["offsets"].sum() * 0, "ways": found["ways"].sum() * 0}
    for place, one in enumerate(truths):
        at = (place, slice(None), one.rows, one.columns)
        sums["size"] = sums["size"] + (found["sizes"][at].T - one.sides).abs().sum()
        sums["offset"] = sums["offset"] + (found["offsets"][at].T - one.within).abs().sum()
        ways = found["ways"][at].T.reshape(-1, CORNERS, 2)
        sums["ways"] = sums["ways"] + ((ways - one.ways).abs() * one.known[..., None]).sum()
    losses["size"] = SIZE_WEIGHT * sums["size"] / objects
    losses["offset"] = sums["offset"] / objects
    losses["ways"] = SIZE_WEIGHT * sums["ways"] / known
    return losses


def place_corners(heat: Tensor, ways: Tensor, cells: Tensor, boxes: Tensor) -> Tensor:
    """Return (D, 8, 3) x, y in pixels and scores of the corners of D detections.

    heat: (8, h, w). ways: (D, 8, 2) from the middle of each detection's cell, in cells. cells: (D,) numbers of them.
    boxes: (D, 4) pixels. A corner is the peak nearest to where its way leads, among those of at least MIN_CORNER that
    lie in the box or up to REACH of its sides beside it; where there is none it is where its way leads.
    """
    width = heat.shape[2]
    middle = torch.stack([cells % width, cells // width], 1) + 0.5
    led = (middle[:, None] + ways) * STRIDE
    peaks, scores = corner_peaks(heat)
    apart = (led[:, :, None] - peaks[None]).norm(dim=3)
    spare = REACH * (boxes[:, 2:] - boxes[:, :2])
    low, high = boxes[:, None, None, :2] - spare[:, None, None], boxes[:, None, None, 2:] + spare[:, None, None]
    allowed = ((peaks[None] >= low) & (peaks[None] <= high)).all(3) & (scores >= MIN_CORNER)[None]
    nearest = torch.where(allowed, apart, FAR).min(dim=2)
    number = torch.arange(CORNERS, device=heat.device)
    taken = (nearest.values < FAR)[..., None]
    here = _at(heat, led)
    points = torch.where(taken, peaks[number, nearest.indices], led)
    score = torch.where(taken[..., 0], scores[number, nearest.indices], here)
    return torch.cat([points, score.clamp(0, 1)[..., None]], 2)


def corner_peaks(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Return (8, K, 2) x, y in pixels and (8, K) heights of the highest cells that no neighbour exceeds.

    Each is moved by a quarter of a cell towards the higher neighbour in both directions (section 3.1 of the paper).
    """
    count, height, width = heat.shape
    tops = torch.where(functional.max_pool2d(heat[None], 3, 1, 1)[0] == heat, heat, -FAR).flatten(1)
    scores, places = tops.topk(min(MAX_PEAKS, tops.shape[1]))
    rows, columns = places // width, places % width
    side, above = heat.new_zeros(count, height, 1), heat.new_zeros(count, 1, width + 2)
    wide = torch.cat([above, torch.cat([side, heat, side], 2), above], 1)
    number = torch.arange(count, device=heat.device)[:, None]
    across = wide[number, rows + 1, columns + 2] - wide[number, rows + 1, columns]
    down = wide[number, rows + 2, columns + 1] - wide[number, rows, columns + 1]
    points = torch.stack([columns + 0.5 + SHIFT * across.sign(), rows + 0.5 + SHIFT * down.sign()], 2)
    return points * STRIDE, scores


def _at(heat: Tensor, points: Tensor) -> Tensor:
    """Return the (D, 8) values of (8, h, w) heat maps at (D, 8, 2) pixels, those of the border outside."""
    columns = (points[..., 0] / STRIDE).long().clamp(0, heat.shape[2] - 1)
    rows = (points[..., 1] / STRIDE).long().clamp(0, heat.shape[1] - 1)
    return heat[torch.arange(CORNERS, device=heat.device), rows, columns]


def build(spec: ModelSpec) -> nn.Module:
    """Build the network."""
    return HourglassDetector(spec, options_of(sys.modules[__name__], spec))
