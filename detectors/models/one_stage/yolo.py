"""A small current YOLO: one stage without anchors, with a decoupled head and task-aligned target assignment.

Versions 1 to 4 as published are `yolov1` to `yolov4`. This one is after YOLOX (Ge et al. 2021, arXiv 2107.08430): a
top-down and bottom-up pyramid, separate branches for class and box, no anchors. Targets are assigned as in TOOD (Feng
et al. 2021, arXiv 2108.07755): of the cells whose centre lies in a box, those whose class score and overlap agree best
with it are its positives. Written from the papers.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import torch
import torchvision
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.interface import (
    DetectionStage,
    DetectorOptions,
    Explanation,
    SoftHead,
    SoftOutputs,
    options_of,
)
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    covered_by,
    normalised,
    select_boxes,
    suppress_by_class,
    timm_stages,
)
from detectors.models.spec import ModelSpec
from detectors.models.stages import DECODED, detections_stage, head_stage

LONG_SIDE = 640
FIXED_SIZE = None
LEARNING_RATE = 5e-4
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
DEFAULT_BACKBONE = "mobilenetv3_large_100"
STRIDES = (8, 16, 32)
# Probability of each class that the untrained head predicts (Lin et al. 2017).
PRIOR = 0.01
# Exponents of class score and overlap in the alignment metric, and positive cells per box; as published in TOOD.
ALPHA, BETA, TOP = 1.0, 6.0, 13
# Weights of the losses.
CLASS_WEIGHT, BOX_WEIGHT = 1.0, 2.0
MOSTLY_IGNORED = 0.5
CELLS = "Cells of the feature maps; in training those that agree best with a box are assigned to it."


class Options(DetectorOptions):
    """Options of the network."""

    width: int = Field(96, ge=16, le=512, multiple_of=16, description="Channels of the pyramid and the head.")
    depth: int = Field(2, ge=1, le=6, description="Convolutions in each branch of the head.")
    nms: float = Field(0.6, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")


class Cells(NamedTuple):
    """The cells of all levels. points: (A, 2) centres in pixels. strides: (A,) pixels."""

    points: Tensor
    strides: Tensor


def _convolution(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    # Group norm, because detection batches are small, and so that a network trained on few images behaves the same in
    # evaluation.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False),
        nn.GroupNorm(16, outputs),
        nn.SiLU(),
    )


class _Pyramid(nn.Module):
    """Path aggregation network (Liu et al. 2018) over the stages of a timm model: top-down, then bottom-up."""

    def __init__(self, backbone: str, width: int) -> None:
        super().__init__()
        self.body, channels = timm_stages(backbone, STRIDES[0])
        self.lateral = nn.ModuleList(_convolution(count, width, 1) for count in channels)
        self.down = nn.ModuleList(_convolution(2 * width, width) for _ in channels[1:])
        self.shrink = nn.ModuleList(_convolution(width, width, stride=2) for _ in channels[1:])
        self.up = nn.ModuleList(_convolution(2 * width, width) for _ in channels[1:])

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [one(stage) for one, stage in zip(self.lateral, self.body(images), strict=True)]
        for level in range(len(maps) - 1, 0, -1):
            coarse = functional.interpolate(maps[level], size=maps[level - 1].shape[-2:])
            maps[level - 1] = self.down[level - 1](torch.cat([maps[level - 1], coarse], 1))
        for level in range(1, len(maps)):
            fine = self.shrink[level - 1](maps[level - 1])
            maps[level] = self.up[level - 1](torch.cat([maps[level], fine], 1))
        return maps


class _Head(nn.Module):
    """Separate branches, shared by all levels, for class logits and for distances to the four sides in strides."""

    def __init__(self, width: int, depth: int, classes: int) -> None:
        super().__init__()
        self.of_class = nn.Sequential(*(_convolution(width, width) for _ in range(depth)))
        self.of_box = nn.Sequential(*(_convolution(width, width) for _ in range(depth)))
        self.cls_logits = nn.Conv2d(width, classes, 1)
        self.sides = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B, A, classes) logits and (B, A, 4) positive distances."""
        logits = [self.cls_logits(self.of_class(one)).flatten(2) for one in maps]
        sides = [functional.softplus(self.sides(self.of_box(one)).float() + 1).flatten(2) for one in maps]
        return torch.cat(logits, 2).transpose(1, 2), torch.cat(sides, 2).transpose(1, 2)


class Yolo(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, self.nms = spec, options.nms
        self.backbone = _Pyramid(spec.backbone or DEFAULT_BACKBONE, options.width)
        self.head = _Head(options.width, options.depth, spec.classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the three feature maps of the pyramid."""
        return self.backbone(normalised(images, self.spec))

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification" (cross-entropy with the overlap as target) and "box" (generalized IoU loss)."""
        cells, logits, boxes = self._predict(images)
        pairs = list(zip(logits.float(), boxes, targets, strict=True))
        assigned = [_assign(cells, one.detach(), found.detach(), target) for one, found, target in pairs]
        quality = torch.stack([wanted for wanted, _, _ in assigned])
        kept = torch.stack([used for _, used, _ in assigned])[..., None]
        total = quality.sum().clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits(logits.float(), quality, reduction="none")
        # Without this weight easy background would dominate the loss (varifocal loss, Zhang et al. 2021).
        weight = torch.where(quality > 0, 1.0, logits.float().sigmoid().detach().square())
        classification = (entropy * weight * kept).sum() / total
        box = boxes.sum() * 0
        for (_, found, target), (wanted, _, owner) in zip(pairs, assigned, strict=True):
            rows = owner >= 0
            if rows.any():
                truth = target["boxes"][owner[rows]]
                apart = torchvision.ops.generalized_box_iou_loss(found[rows], truth)
                box = box + (apart * wanted[rows].amax(1)).sum()
        return {"classification": CLASS_WEIGHT * classification, "box": BOX_WEIGHT * box / total}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes that remain after non-maximum suppression within each class."""
        _, logits, boxes = self._predict(images)
        width, height = self.spec.width, self.spec.height
        suppress = suppress_by_class(self.nms)
        pairs = zip(logits.float().sigmoid(), boxes, strict=True)
        return [select_boxes(*one, (width, height), suppress) for one in pairs]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the logits and boxes of all cells."""
        _, logits, boxes = self._predict(images)
        return SoftOutputs({"cells": SoftHead(logits.float().flatten(0, 1), boxes.flatten(0, 1))})

    def explain(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Explanation:
        """Return the cells with the boxes that they are assigned to, their boxes, and what remains of these."""
        cells, logits, boxes = self._predict(images)
        half = cells.strides[:, None] / 2
        squares = torch.cat([cells.points - half, cells.points + half], 1)
        owner = _assign(cells, logits[0].float(), boxes[0], targets[0])[2] if targets else None
        head = SoftHead(logits[0].float(), boxes[0])
        first = DetectionStage("cells", CELLS, squares, matched=owner)
        return Explanation((first, head_stage(head, "before suppression", DECODED), detections_stage(self, images)))

    def _predict(self, images: Tensor) -> tuple[Cells, Tensor, Tensor]:
        """Return the cells, (B, A, classes) logits and (B, A, 4) float32 boxes in pixels."""
        maps = self.features(images)
        logits, sides = self.head(maps)
        cells = _cells(maps)
        reach = sides * cells.strides[:, None]
        return cells, logits, torch.cat([cells.points - reach[..., :2], cells.points + reach[..., 2:]], 2)


def _cells(maps: list[Tensor]) -> Cells:
    points, strides = [], []
    for one, stride in zip(maps, STRIDES[-len(maps) :], strict=True):
        rows, columns = (torch.arange(side, device=one.device) for side in one.shape[-2:])
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2).reshape(-1, 2)
        points.append((grid + 0.5) * stride)
        strides.append(torch.full((len(grid),), float(stride), device=one.device))
    return Cells(torch.cat(points), torch.cat(strides))


@torch.no_grad()
def _assign(cells: Cells, logits: Tensor, boxes: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return (A, classes) target scores, (A,) whether a cell counts in the loss, (A,) its box or -1, of one image."""
    truth, labels = target["boxes"], target["labels"]
    wanted = torch.zeros_like(logits)
    owner = torch.full((len(logits),), -1, dtype=torch.long, device=logits.device)
    # A cell that lies mostly in an ignored box is not background. It extends half a stride around its centre.
    half = cells.strides[:, None] / 2
    used = covered_by(torch.cat([cells.points - half, cells.points + half], 1), target["ignored"]) <= MOSTLY_IGNORED
    if not len(truth):
        return wanted, used, owner
    overlap = torchvision.ops.box_iou(truth, boxes)
    inside = _inside(cells, truth)
    aligned = logits.sigmoid()[:, labels].T.pow(ALPHA) * overlap.pow(BETA) * inside
    # An untrained network's overlaps are all alike: prefer the cells nearest to the centre of the box.
    near = (cells.points - (truth[:, None, :2] + truth[:, None, 2:]) / 2).norm(dim=2) / cells.strides
    order = torch.where(inside, aligned + 1e-9 / (1 + near), -1.0)
    best, places = order.topk(min(TOP, order.shape[1]), dim=1)
    chosen = torch.zeros_like(inside).scatter_(1, places, best > 0)
    # A cell chosen by several boxes is assigned to the one that its prediction overlaps most.
    rivals = torch.where(chosen, overlap + 1e-9, -1.0)
    most, which = rivals.max(dim=0)
    rows = most > 0
    owner[rows] = which[rows]
    # Scaled so that the target of each box's best cell is its overlap.
    scale = overlap.masked_fill(~chosen, 0).amax(1) / aligned.masked_fill(~chosen, 0).amax(1).clamp(min=1e-12)
    places_of = owner[rows]
    quality = (aligned * scale[:, None])[places_of, torch.nonzero(rows)[:, 0]].clamp(0.05, 1)
    wanted[torch.nonzero(rows)[:, 0], labels[places_of]] = quality
    return wanted, used | rows, owner


def _inside(cells: Cells, truth: Tensor) -> Tensor:
    """Return (N, A) whether a cell's centre lies in a box; a box without any gets the nearest, fine levels first."""
    points = cells.points
    inside = ((points > truth[:, None, :2]) & (points < truth[:, None, 2:])).all(2)
    empty = ~inside.any(1)
    middle = (truth[:, None, :2] + truth[:, None, 2:]) / 2
    nearest = ((points - middle).norm(dim=2) + cells.strides).argmin(1)
    inside[empty, nearest[empty]] = True
    return inside


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 8 to 32 over any timm backbone with stages."""
    return Yolo(spec, options_of(sys.modules[__name__], spec))
