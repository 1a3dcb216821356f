"""YOLOv2: five anchors at every cell of one grid, fitted to the training boxes, with a passthrough of finer features.

Redmon and Farhadi 2017, "YOLO9000" (arXiv 1612.08242): Darknet-19 with batch norm, three 3x3 convolutions, and between
them the map of stride 16, rearranged to stride 32. A box is bx = sigmoid(tx) + cx, by = sigmoid(ty) + cy in cells and
bw = pw exp(tw), bh = ph exp(th); the anchor whose shape fits an object best, in the cell of its centre, is responsible
for it and learns its IoU as objectness. The paper names no loss: it is that of Darknet, squared errors of sigmoid(tx),
sigmoid(ty), tw and th, of objectness with weight 5 (1 where there is no object, 0 if the box overlaps one by more than
0.6), and cross-entropy of the softmax over classes. For the first 12,800 images every box that is responsible for
nothing is drawn to its anchor with weight 0.01.
"""

from __future__ import annotations

import sys
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.darknet.anchors import AnchorOptions, Shapes, clustered_options
from detectors.models.darknet.backbones import Darknet19, make_backbone
from detectors.models.darknet.grid import (
    AssignedPlaces,
    GridOutputs,
    background_places,
    decode_boxes,
    encode_boxes,
    match_objects,
    paired_overlap,
)
from detectors.models.darknet.heads import AnchorYolo
from detectors.models.darknet.input_shapes import RandomShapes
from detectors.models.darknet.layers import LayerStyle
from detectors.models.interface import SoftHead, SoftOutputs, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, suppress_by_class
from detectors.models.spec import ModelSpec

LONG_SIDE = 416
FIXED_SIZE = None
LEARNING_RATE = 1e-3
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
BACKBONE_STRIDES = (16, 32)
SMALLEST = {"width": 0.125}
# Published in cells of 32 pixels.
CELL = 32
PAPER_CELLS = ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071))
OBJECT, NO_OBJECT, NEAR = 5.0, 1.0, 0.6
# Number of images for which boxes are drawn to their anchors, and the weight of it.
PRIOR_IMAGES, PRIOR = 12_800, 0.01


class YoloV2Options(AnchorOptions):
    """Options of the network."""

    COUNT: ClassVar[int] = 5
    PAPER: ClassVar[Shapes] = tuple((CELL * width, CELL * height) for width, height in PAPER_CELLS)

    width: float = Field(1.0, gt=0, le=2, description="Factor on the published channels.")
    passthrough: int = Field(
        64, ge=8, le=512, multiple_of=4, description="Channels of the finer map before it is rearranged."
    )
    nms: float = Field(0.5, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")
    random_shapes: bool = Field(default=False, description="Train on another image size every ten batches.")


Options = YoloV2Options
options_from_data = clustered_options


class YoloV2(AnchorYolo):
    """The network (interface.Detector). seen: number of images trained on, counted over all processes."""

    def __init__(self, spec: ModelSpec, options: YoloV2Options) -> None:
        style = LayerStyle(width=options.width)
        width = style.channels(1024)
        super().__init__(spec, options.shapes, [width], suppress_by_class(options.nms))
        self.backbone, (fine, coarse) = make_backbone(spec, BACKBONE_STRIDES, lambda: Darknet19(style))
        passed = style.channels(options.passthrough)
        self.deepen = nn.Sequential(style.conv(coarse, width), style.conv(width, width))
        self.passthrough = style.conv(fine, passed, 1)
        self.join = style.conv(width + 4 * passed, width)
        self.shapes = RandomShapes() if options.random_shapes else None
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the one map of stride 32."""
        fine, coarse = self.backbone(self.normalised(images))
        deep = self.deepen(coarse)
        passed = rearrange(_cut_to(self.passthrough(fine), 2 * deep.shape[2], 2 * deep.shape[3]))
        return [self.join(torch.cat([passed, deep], 1))]

    def class_scores(self, outputs: GridOutputs) -> Tensor:
        """Return (B, N, C) probabilities of the classes of an object: one of them."""
        return outputs.classes.softmax(-1)

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return classes and objectness as one softmax with background in column 0, and the boxes, of all places."""
        outputs = self.outputs(images)
        there = functional.logsigmoid(outputs.objectness)[..., None] + outputs.classes.log_softmax(-1)
        logits = torch.cat([functional.logsigmoid(-outputs.objectness)[..., None], there], -1)
        boxes = decode_boxes(outputs.raw, outputs.places)
        return SoftOutputs({"places": SoftHead(logits.flatten(0, 1), boxes.flatten(0, 1), background=0)})

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "box", "objectness", "classification" and "prior", sums over the places, mean over the images."""
        if self.shapes is not None and self.training:
            images, targets = self.shapes(images, targets)
        outputs = self.outputs(images)
        matches = match_objects(outputs.places, targets, self.choose)
        found = {
            "objectness": objectness_loss(outputs, matches, targets),
            **object_losses(outputs, matches),
            "prior": PRIOR * self._prior_active() * prior_loss(outputs, matches),
        }
        if self.training:
            self.get_buffer("seen").add_(len(images) * _processes())
        return {name: loss / len(images) for name, loss in found.items()}

    def _prior_active(self) -> Tensor:
        return (self.get_buffer("seen") < PRIOR_IMAGES).float()


def objectness_loss(outputs: GridOutputs, matches: AssignedPlaces, targets: list[dict[str, Tensor]]) -> Tensor:
    """Return the weighted squared errors of objectness: the IoU of responsible places, 0 of the background."""
    boxes = decode_boxes(outputs.raw.detach(), outputs.places)
    weight = NO_OBJECT * background_places(outputs.places, boxes, targets, NEAR).float()
    wanted = torch.zeros_like(weight)
    at = (matches.images, matches.places)
    weight[at] = OBJECT
    wanted[at] = paired_overlap(boxes[at], matches.boxes)
    return (weight * (outputs.objectness.sigmoid() - wanted).square()).sum()


def object_losses(outputs: GridOutputs, matches: AssignedPlaces) -> dict[str, Tensor]:
    """Return squared errors of the boxes of responsible places, and the cross-entropy of their classes."""
    at = (matches.images, matches.places)
    wanted = encode_boxes(matches.boxes, outputs.places, matches.places)
    box = (outputs.raw[at][:, :2].sigmoid() - wanted[:, :2]).square().sum()
    box = box + (outputs.raw[at][:, 2:] - wanted[:, 2:]).square().sum()
    return {
        "box": box,
        "classification": functional.cross_entropy(outputs.classes[at], matches.labels, reduction="sum"),
    }


def prior_loss(outputs: GridOutputs, matches: AssignedPlaces) -> Tensor:
    """Return squared errors of the boxes of all other places against their anchors in the middle of their cells."""
    apart = (outputs.raw[..., :2].sigmoid() - 0.5).square().sum(-1) + outputs.raw[..., 2:].square().sum(-1)
    others = torch.ones_like(apart)
    others[matches.images, matches.places] = 0
    return (apart * others).sum()


def rearrange(maps: Tensor) -> Tensor:
    """Return (B, C, H, W) maps as (B, 4 C, H / 2, W / 2), C divisible by 4, H and W even, in the order of Darknet.

    Darknet's reorg layer reads its input as if it were (B, C / 4, 2 H, 2 W), takes every second row and column of that,
    and calls the result (B, 4 C, H / 2, W / 2): not the same as pixel_unshuffle, and what its weights are made for.
    """
    batch, channels, height, width = maps.shape
    split = maps.reshape(batch, channels // 4, height, 2, width, 2)
    return split.permute(0, 3, 5, 1, 2, 4).reshape(batch, 4 * channels, height // 2, width // 2)


def _cut_to(maps: Tensor, height: int, width: int) -> Tensor:
    """Return maps with zeros below and at the right, or cut there, so that two of its cells make a coarser one."""
    for axis, size in ((2, height), (3, width)):
        lacking = int(size - maps.shape[axis])
        if lacking < 0:
            maps = maps.narrow(axis, 0, int(size))
        elif lacking > 0:
            # Not functional.pad, which the ONNX exporter warns of.
            maps = torch.cat([maps, torch.zeros_like(maps.narrow(axis, 0, lacking))], axis)
    return maps


def _processes() -> int:
    """Return the number of processes that share the training."""
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: stride 32 over Darknet-19 or any timm backbone with stages of strides 16 and 32."""
    return YoloV2(spec, options_of(sys.modules[__name__], spec))
