"""YOLOv1: one grid over the image, two boxes and one set of class probabilities per cell, by sum-squared error.

Redmon, Divvala, Girshick and Farhadi 2016, "You Only Look Once" (arXiv 1506.02640): 24 convolutions and two fully
connected layers give, of each of 7 x 7 cells of a 448 x 448 image, B = 2 boxes with a confidence and C class
probabilities. The cell with the centre of an object is responsible for it, by that of its boxes which overlaps it most;
the confidence it learns is that overlap.

The paper stretches images to a square; here they keep their aspect ratio and are padded, as for all detectors, and the
grid follows from the input size. Where two objects have their centre in one cell, the first listed one counts, as in
Darknet. Any timm backbone takes the place of the first 20 convolutions, those that the paper pretrains.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from detectors.models.darknet.backbones import FirstDarknet, make_backbone
from detectors.models.darknet.grid import paired_overlap
from detectors.models.darknet.layers import LEAK, LayerStyle
from detectors.models.ignoring import ignored_in
from detectors.models.interface import DetectionStage, DetectorOptions, Explanation, SoftHead, SoftOutputs, options_of
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    covered_by,
    normalised,
    select_boxes,
    suppress_by_class,
)
from detectors.models.spec import ModelSpec
from detectors.models.stages import DECODED, detections_stage

LONG_SIDE = 448
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
BACKBONE_STRIDES = (32,)
SMALLEST = {"width": 0.125, "hidden": 256, "stride": 32, "dropout": 0.0}
# Boxes of a cell.
BOXES = 2
CELLS = "Cells of the grid: the one with the centre of a product is responsible for it."
# Weights of box coordinates, and of the confidence of boxes that are responsible for nothing.
COORDINATES, NO_OBJECT = 5.0, 0.5
MOSTLY_IGNORED = 0.5
# Probabilities further from 0 and 1 than this have finite logits.
NEARLY = 1e-4


class YoloV1Options(DetectorOptions):
    """Options of the network."""

    width: float = Field(1.0, gt=0, le=2, description="Factor on the published channels of the convolutions.")
    hidden: int = Field(4096, ge=16, le=8192, description="Width of the first fully connected layer.")
    stride: int = Field(64, ge=32, le=64, multiple_of=32, description="Pixels of a cell: 64 as published, or 32.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of the first fully connected layer that is dropped.")
    norm: bool = Field(default=False, description="Batch norm in the convolutions, which the paper did without.")
    nms: float = Field(0.5, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")


Options = YoloV1Options


class CellOutputs(NamedTuple):
    """What the network says of S cells, float32. boxes: (B, S, 2, 5) x and y in the cell, root of width and height
    relative to the image, and confidence. classes: (B, S, C) probabilities. None is bounded: the layer is linear.
    """

    boxes: Tensor
    classes: Tensor


class YoloV1(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: YoloV1Options) -> None:
        super().__init__()
        self.spec, self.suppress = spec, suppress_by_class(options.nms)
        style = LayerStyle(norm=nn.BatchNorm2d if options.norm else None, width=options.width)
        self.backbone, channels = make_backbone(spec, BACKBONE_STRIDES, lambda: FirstDarknet(style))
        width = style.channels(1024)
        self.neck = nn.Sequential(
            style.conv(channels[-1], width),
            style.conv(width, width, stride=options.stride // 32),
            style.conv(width, width),
            style.conv(width, width),
        )
        # Rows and columns.
        self.grid = tuple(math.ceil(side / options.stride) for side in (spec.height, spec.width))
        cells = self.grid[0] * self.grid[1]
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(width * cells, options.hidden), nn.LeakyReLU(LEAK), nn.Dropout(options.dropout)
        )
        # Together the one layer of the paper.
        self.boxes = nn.Linear(options.hidden, cells * BOXES * 5)
        self.cls_logits = nn.Linear(options.hidden, cells * spec.classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the one map that the fully connected layers take."""
        return [self.neck(self.backbone(normalised(images, self.spec))[-1])]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "box", "objectness" and "classification", sums of squared errors, mean over the images."""
        outputs = self.outputs(images)
        found = [self._image_losses(*one) for one in zip(outputs.boxes, outputs.classes, targets, strict=True)]
        sums = torch.stack([torch.stack(row) for row in found]).sum(0) / len(images)
        return {"box": COORDINATES * sums[0], "objectness": sums[1], "classification": sums[2]}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes that remain after suppression within each class; scores are p(class) * confidence."""
        outputs = self.outputs(images)
        scores = outputs.classes[:, :, None].clamp(0, 1) * outputs.boxes[..., 4:].clamp(0, 1)
        boxes = self.decode(outputs.boxes).flatten(1, 2)
        size = (self.spec.width, self.spec.height)
        return [select_boxes(*one, size, self.suppress) for one in zip(scores.flatten(1, 2), boxes, strict=True)]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the probabilities as logits, and the boxes with their confidence, of both boxes of all cells."""
        outputs = self.outputs(images)
        classes = outputs.classes[:, :, None].expand(-1, -1, BOXES, -1).flatten(0, 2)
        quality = torch.logit(outputs.boxes[..., 4].flatten(), NEARLY)
        boxes = self.decode(outputs.boxes).flatten(0, 2)
        return SoftOutputs({"places": SoftHead(torch.logit(classes, NEARLY), boxes, quality=quality)})

    def explain(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Explanation:
        """Return the cells with the objects that they are responsible for, their boxes, and what remains of these."""
        outputs = self.outputs(images)
        boxes = self.decode(outputs.boxes).flatten(0, 2)
        owner = self._objects_of_cells(targets[0]["boxes"]) if targets else None
        scores = (outputs.classes[:, :, None].clamp(0, 1) * outputs.boxes[..., 4:].clamp(0, 1)).flatten(0, 2)
        best, labels = scores.max(1)
        return Explanation(
            (
                DetectionStage("cells", CELLS, self._cell_boxes(boxes), matched=owner),
                DetectionStage("before suppression", DECODED, boxes, best, labels),
                detections_stage(self, images),
            )
        )

    def outputs(self, images: Tensor) -> CellOutputs:
        """Return what the network says of (B, 3, H, W) images in 0..1 of the spec's size."""
        hidden = self.hidden(self.features(images)[0])
        cells = self.grid[0] * self.grid[1]
        boxes = self.boxes(hidden).float().reshape(len(images), cells, BOXES, 5)
        return CellOutputs(boxes, self.cls_logits(hidden).float().reshape(len(images), cells, self.spec.classes))

    def decode(self, said: Tensor) -> Tensor:
        """Return (..., S, 2, 4) xyxy boxes in pixels of (..., S, 2, 5) outputs."""
        size = said.new_tensor([self.spec.width, self.spec.height])
        centres = (said[..., :2] + self._corners(said)[:, None]) * self._cell_size(said)
        half = said[..., 2:4].square() * size / 2
        return torch.cat([centres - half, centres + half], -1)

    def _image_losses(self, said: Tensor, classes: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the sums of squared errors of coordinates, confidences (weighted) and classes of one image."""
        found = self.decode(said.detach())
        owner = self._objects_of_cells(target["boxes"])
        cell = (owner >= 0).nonzero()[:, 0]
        truth, labels = target["boxes"][owner[cell]], target["labels"][owner[cell]]
        box, overlap = _responsible(found[cell], truth)
        wanted, kept = torch.zeros_like(said[..., 4]), self._background(found, target)
        wanted[cell, box] = overlap
        weight = NO_OBJECT * kept.to(said.dtype)
        weight[cell, box] = 1.0
        confidence = ((said[..., 4] - wanted).square() * weight).sum()
        coordinates = (said[cell, box, :4] - self._encode(truth, cell)).square().sum()
        hot = torch.nn.functional.one_hot(labels, self.spec.classes).to(classes.dtype)
        return coordinates, confidence, (classes[cell] - hot).square().sum()

    def _encode(self, boxes: Tensor, cell: Tensor) -> Tensor:
        """Return (M, 4) what decodes to (M, 4) boxes at (M,) cells."""
        size = boxes.new_tensor([self.spec.width, self.spec.height])
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / self._cell_size(boxes) - self._corners(boxes)[cell]
        return torch.cat([centres, ((boxes[:, 2:] - boxes[:, :2]) / size).clamp(min=0).sqrt()], 1)

    def _objects_of_cells(self, boxes: Tensor) -> Tensor:
        """Return (S,) the object whose centre lies in a cell, the first of several, -1 for none."""
        rows, columns = self.grid
        column, row = ((boxes[:, :2] + boxes[:, 2:]) / 2 / self._cell_size(boxes)).floor().long().unbind(1)
        cell = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
        order = torch.arange(len(boxes), device=boxes.device)
        first = order.new_full((rows * columns,), len(boxes)).scatter_reduce(0, cell, order, "amin")
        return torch.where(first < len(boxes), first, -1)

    def _background(self, found: Tensor, target: dict[str, Tensor]) -> Tensor:
        """Return (S, 2) whether a box counts as background: not if it or its cell lies mostly in an ignored region."""
        regions = ignored_in(target)
        of_boxes = covered_by(found.flatten(0, 1), regions).view(found.shape[:2])
        of_cells = covered_by(self._cell_boxes(found), regions)
        return (of_boxes <= MOSTLY_IGNORED) & (of_cells <= MOSTLY_IGNORED)[:, None]

    def _cell_boxes(self, like: Tensor) -> Tensor:
        """Return (S, 4) xyxy pixels of the cells."""
        corners, size = self._corners(like), self._cell_size(like)
        return torch.cat([corners * size, (corners + 1) * size], 1)

    def _corners(self, like: Tensor) -> Tensor:
        """Return (S, 2) column and row of the cells, row by row."""
        rows, columns = (torch.arange(count, device=like.device, dtype=like.dtype) for count in self.grid)
        return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2).reshape(-1, 2)

    def _cell_size(self, like: Tensor) -> Tensor:
        """Return (2,) width and height of a cell in pixels: the grid divides the image evenly."""
        rows, columns = self.grid
        return like.new_tensor([self.spec.width / columns, self.spec.height / rows])


def _responsible(found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return (M,) which of (M, 2, 4) boxes is responsible for (M, 4) objects, and its IoU.

    The one of the higher IoU; if neither overlaps the object, the one whose corners are nearer.
    """
    pairs = truth[:, None].expand_as(found)
    overlap = paired_overlap(found, pairs)
    apart = (found - pairs).square().sum(2)
    # Of no object the two have no largest.
    if not len(truth):
        return overlap.new_zeros(0, dtype=torch.long), overlap.new_zeros(0)
    chosen = torch.where(overlap.amax(1) > 0, overlap.argmax(1), apart.argmin(1))
    return chosen, overlap.gather(1, chosen[:, None])[:, 0]


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: 24 convolutions, or four over a timm backbone, and two fully connected layers."""
    return YoloV1(spec, options_of(sys.modules[__name__], spec))
