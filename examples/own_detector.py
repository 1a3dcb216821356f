"""A detector of one file: products as points at their centres, without anchors and without suppression of doubles.

After CenterNet (Zhou et al. 2019, arXiv 1904.07850), over a small network that needs no pretrained weights.
"""

from __future__ import annotations

import math
import sys

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.interface import DetectorOptions, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, MAX_DETECTIONS, MIN_SCORE, covered_by
from detectors.models.spec import ModelSpec

LONG_SIDE = 320
FIXED_SIZE = None
LEARNING_RATE = 2e-3
NEEDS_MASKS = False
# It has a network of its own, and takes no --backbone.
TAKES_BACKBONE = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD

STRIDE = 4
# A class is as rare as this before anything is learned (Lin et al. 2017).
PRIOR = 0.01
# Standard deviation of the peak around a centre, as a share of the box's sides.
SPREAD = 0.1
SIDES_WEIGHT = 0.2


class Options(DetectorOptions):
    """What `--detector-option NAME=VALUE` may set."""

    width: int = Field(32, ge=16, le=256, multiple_of=16, description="Channels of the network.")
    depth: int = Field(4, ge=1, le=6, description="Convolutions after the stem, each of twice the dilation.")


def build(spec: ModelSpec) -> nn.Module:
    """The network with random weights."""
    return Points(spec, options_of(sys.modules[__name__], spec))


class Points(nn.Module):
    """Says for each cell of 4 px how surely a product of each class has its centre there, and how far it reaches."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, width = spec, options.width
        stem = (convolution(3, width, stride=2), convolution(width, width, stride=2))
        # Dilations 1, 2, 4, 8: cells see 120 px around them, more than most products have at this size.
        self.backbone = nn.Sequential(*stem, *(convolution(width, width, 1, 2**step) for step in range(options.depth)))
        # Layers named `cls_logits` are never taken over from a detector of other classes.
        self.cls_logits = nn.Conv2d(width, spec.classes, 1)
        self.sides = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - PRIOR) / PRIOR))

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the one map of features (B, C, h, w)."""
        mean, std = (images.new_tensor(row)[:, None, None] for row in (self.spec.mean, self.spec.std))
        return [self.backbone((images - mean) / std)]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification" (focal, less so near a centre) and "box" (L1 of the sides)."""
        logits, sides = self.predict(images)
        cells = centres(logits)
        classification, box = logits.sum() * 0, sides.sum() * 0
        for scores, reach, target in zip(logits.sigmoid(), sides, targets, strict=True):
            peaks, used = peaks_of(scores, cells, target)
            positive = -((1 - scores) ** 2) * scores.clamp(min=1e-6).log()
            negative = -((1 - peaks) ** 4) * scores**2 * (1 - scores).clamp(min=1e-6).log()
            classification = classification + (torch.where(peaks == 1, positive, negative) * used).sum()
            rows, columns = cell_of(target["boxes"], scores)
            wanted = distances(target["boxes"], cells[rows, columns]).clamp(min=0) / STRIDE
            box = box + (reach[:, rows, columns].T - wanted).abs().sum()
        total = max(1, sum(len(target["boxes"]) for target in targets))
        return {"classification": classification / total, "box": SIDES_WEIGHT * box / total}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes of all cells that are surer of a class than their neighbours."""
        logits, sides = self.predict(images)
        scores = logits.sigmoid()
        scores = scores * (scores == functional.max_pool2d(scores, 3, stride=1, padding=1))
        return [self.select(*one, centres(logits)) for one in zip(scores, sides, strict=True)]

    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, classes, h, w) logits and (B, 4, h, w) distances to the sides in cells, float32."""
        (features,) = self.features(images)
        return self.cls_logits(features).float(), functional.softplus(self.sides(features).float() + 1)

    def select(self, scores: Tensor, sides: Tensor, cells: Tensor) -> dict[str, Tensor]:
        """Return the best detections of one image."""
        flat = scores.flatten(1).T.flatten()
        best, places = flat.topk(min(MAX_DETECTIONS, len(flat)))
        places, best = places[best > MIN_SCORE], best[best > MIN_SCORE]
        at, labels = places // len(scores), places % len(scores)
        reach = sides.flatten(1).T[at] * STRIDE
        points = cells.flatten(0, 1)[at]
        limits = reach.new_tensor([self.spec.width, self.spec.height] * 2)
        boxes = torch.cat([points - reach[:, :2], points + reach[:, 2:]], 1)
        return {"boxes": boxes.clamp(min=0).minimum(limits), "labels": labels, "scores": best}


def convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3 with its norm, by groups since batches are small."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(layer, nn.GroupNorm(8, outputs), nn.SiLU())


def centres(maps: Tensor) -> Tensor:
    """(h, w, 2) x and y of the centres of cells, pixels."""
    rows, columns = (torch.arange(side, device=maps.device) for side in maps.shape[-2:])
    return (torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2) + 0.5) * STRIDE


def cell_of(boxes: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the cells in which the centres of (N, 4) boxes lie."""
    places = ((boxes[:, :2] + boxes[:, 2:]) / 2 / STRIDE).long()
    return places[:, 1].clamp(0, maps.shape[-2] - 1), places[:, 0].clamp(0, maps.shape[-1] - 1)


def distances(boxes: Tensor, points: Tensor) -> Tensor:
    """(N, 4) distances from points to the left, upper, right and lower side of their boxes, pixels."""
    return torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], 1)


@torch.no_grad()
def peaks_of(scores: Tensor, cells: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(classes, h, w) what scores are to become: 1 at a centre, falling around it; and which of them count."""
    boxes, labels = target["boxes"], target["labels"]
    corners = torch.cat([cells - STRIDE / 2, cells + STRIDE / 2], 2).flatten(0, 1)
    # What lies mostly in an ignored region is not background.
    used = (covered_by(corners, target["ignored"]) <= 0.5).reshape(1, *scores.shape[1:]).expand(scores.shape).clone()
    peaks = torch.zeros_like(scores)
    for box, label in zip(boxes, labels, strict=True):
        apart = (cells - (box[:2] + box[2:]) / 2) / (SPREAD * (box[2:] - box[:2])).clamp(min=STRIDE / 4)
        peaks[label] = torch.maximum(peaks[label], torch.exp(-apart.square().sum(2) / 2).clamp(max=0.99))
    rows, columns = cell_of(boxes, scores)
    peaks[labels, rows, columns] = 1
    used[labels, rows, columns] = True
    return peaks, used
