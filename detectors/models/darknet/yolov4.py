"""YOLOv4: YOLOv3's scales over CSPDarknet-53 with pyramid pooling and path aggregation; each bag item is an option.

Bochkovskiy, Wang and Liao 2020, "YOLOv4: Optimal Speed and Accuracy of Object Detection" (arXiv 2004.10934). On by
default is what costs little: Mish, complete IoU as the loss of boxes, distance IoU in suppression, grid sensitivity
(centres s * sigmoid(t) - (s - 1) / 2 with s = 1.2, 1.1, 1.05 for strides 8, 16, 32), and several anchors per object,
all whose shape overlaps it by more than 0.213. Off by default: mosaic and CutMix, as augmentation has mosaics;
DropBlock, label smoothing and attention, for long trainings; cross mini-batch normalization, as a batch is
normalised as one; self-adversarial training and random shapes, which take time.

The learning rate falls along a cosine in every training here, after a warm-up, so there is no option for it. The
paper's weight of the box loss, 0.07, belongs to Darknet, whose gradients lack the factors of the sigmoid and of the
grid's size. Here gradients are whole, and the weight is the option `box_weight`: after 45 steps on four images that are
learned by heart AP is 0.89 with 2, 0.80 with 5, 0.58 with 0.5 and 0.32 with 0.07.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
import torchvision
from pydantic import Field
from torch import Tensor, nn

from detectors.augment.batch import cutmix_batch, mosaic_batch
from detectors.models.darknet.adversarial import deceive
from detectors.models.darknet.anchors import AnchorOptions, Shapes, clustered_options
from detectors.models.darknet.backbones import CspDarknet53, make_backbone
from detectors.models.darknet.grid import (
    AssignedPlaces,
    GridOutputs,
    anchors_above,
    decode_boxes,
    match_objects,
)
from detectors.models.darknet.heads import AnchorYolo
from detectors.models.darknet.input_shapes import RandomShapes
from detectors.models.darknet.layers import BlockDrop, CrossBatchNorm, LayerStyle, Leaky, begin_mini_batches
from detectors.models.darknet.necks import PathAggregation
from detectors.models.darknet.suppression import suppress_by_distance
from detectors.models.darknet.yolov3 import coordinate_loss, entropy_of_classes, entropy_of_objectness
from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, suppress_by_class
from detectors.models.spec import ModelSpec

LONG_SIDE = 512
FIXED_SIZE = None
LEARNING_RATE = 1e-3
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
BACKBONE_STRIDES = (8, 16, 32)
SMALLEST = {"width": 0.125}
PAPER = ((12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243), (459, 401))
SENSITIVITY = (1.2, 1.1, 1.05)

PairLoss = Callable[..., Tensor]
BOX_LOSSES: Mapping[str, PairLoss] = {
    "ciou": torchvision.ops.complete_box_iou_loss,
    "diou": torchvision.ops.distance_box_iou_loss,
    "giou": torchvision.ops.generalized_box_iou_loss,
}


class YoloV4Options(AnchorOptions):
    """Options of the network and its training."""

    COUNT: ClassVar[int] = 9
    PAPER: ClassVar[Shapes] = PAPER

    width: float = Field(1.0, gt=0, le=2, description="Factor on the published channels.")
    mish: bool = Field(default=True, description="Mish in the backbone instead of the leaky rectifier.")
    attention: bool = Field(default=False, description="Weight the maps of the heads point by point (SAM).")
    drop_block: float = Field(0.0, ge=0, lt=1, description="Share of the heads' maps that DropBlock drops; paper: 0.1.")
    grid_sensitivity: bool = Field(default=True, description="Let centres reach the border of their cells.")
    anchor_overlap: float = Field(
        0.213, ge=0, le=1, description="Overlap of shapes above which an anchor is responsible; 1: the best one alone."
    )
    box_loss: Literal["ciou", "diou", "giou", "squares"] = Field("ciou", description="Loss of boxes.")
    box_weight: float = Field(2.0, gt=0, le=100, description="Weight of the loss of boxes.")
    ignore: float = Field(0.7, gt=0, le=1, description="IoU with an object above which a box is not background.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Uncertainty of the classes' targets.")
    distance_nms: bool = Field(default=True, description="Suppress by distance IoU instead of IoU.")
    nms: float = Field(0.6, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")
    mosaic: float = Field(0.0, ge=0, le=1, description="Chance that an image is made of four of its batch.")
    cutmix: float = Field(0.0, ge=0, le=1, description="Chance that an image shows a part of another of its batch.")
    mini_batches: int = Field(
        1, ge=1, le=64, description="Parts of a batch, over which batch norm goes on (CmBN, Darknet's own backbone)."
    )
    adversarial: float = Field(
        0.0, ge=0, le=1, description="Chance of a self-adversarial step, which takes twice as long."
    )
    adversarial_step: float = Field(0.01, gt=0, le=1, description="How far it changes each value of an image in 0..1.")
    random_shapes: bool = Field(default=False, description="Train on another image size every ten batches.")


Options = YoloV4Options
options_from_data = clustered_options


class YoloV4(AnchorYolo):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: YoloV4Options) -> None:
        norm = CrossBatchNorm if options.mini_batches > 1 else nn.BatchNorm2d
        body = LayerStyle(norm, nn.Mish if options.mish else Leaky, options.width)
        backbone, channels = make_backbone(spec, BACKBONE_STRIDES, lambda: CspDarknet53(body))
        neck = PathAggregation(LayerStyle(norm, Leaky, options.width), channels, attention=options.attention)
        suppress = (suppress_by_distance if options.distance_nms else suppress_by_class)(options.nms)
        sensitivity = SENSITIVITY if options.grid_sensitivity else None
        super().__init__(spec, options.shapes, neck.channels, suppress, sensitivity)
        self.backbone, self.neck, self.options = backbone, neck, options
        self.drop = BlockDrop(options.drop_block) if options.drop_block else nn.Identity()
        self.shapes = RandomShapes() if options.random_shapes else None
        if options.anchor_overlap < 1:
            self.choose = anchors_above(options.anchor_overlap)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of strides 8, 16 and 32."""
        return [self.drop(one) for one in self.neck(self.backbone(self.normalised(images)))]

    def outputs(self, images: Tensor) -> GridOutputs:
        """Return what the heads say; in training mini-batches follow each other."""
        parts = min(self.options.mini_batches, len(images))
        if not self.training or parts <= 1:
            return super().outputs(images)
        chunks = images.chunk(parts)
        begin_mini_batches(self.modules(), len(chunks))
        maps = [torch.cat(level) for level in zip(*(self.features(one) for one in chunks), strict=True)]
        return self.outputs_of(maps, images.shape[-1], images.shape[-2])

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "box", "objectness" and "classification", sums over the places, mean over the images."""
        if self.training:
            images, targets = self._changed(images, targets)
        return self._losses_of(images, targets)

    def _changed(self, images: Tensor, targets: list[dict[str, Tensor]]) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Return a batch after the changes that the options ask for. Chance is torch's, which the step seeds."""
        options = self.options
        if options.mosaic:
            images, targets = mosaic_batch(images, targets, options.mosaic)
        if options.cutmix:
            images, targets = cutmix_batch(images, targets, options.cutmix)
        if self.shapes is not None:
            images, targets = self.shapes(images, targets)
        if options.adversarial and float(torch.rand((), device="cpu")) < options.adversarial:
            nothing = [_without_objects(target) for target in targets]
            loss = lambda altered: self._losses_of(altered, nothing)["objectness"]  # noqa: E731
            images = deceive(self, images, loss, options.adversarial_step)
        return images, targets

    def _losses_of(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        options = self.options
        outputs = self.outputs(images)
        matches = match_objects(outputs.places, targets, self.choose)
        if options.box_loss == "squares":
            box = coordinate_loss(outputs, matches, images.shape[-1] * images.shape[-2])
        else:
            box = overlap_loss(outputs, matches, BOX_LOSSES[options.box_loss])
        found = {
            "box": options.box_weight * box,
            "objectness": entropy_of_objectness(outputs, matches, targets, options.ignore),
            "classification": entropy_of_classes(outputs, matches, options.label_smoothing),
        }
        return {name: loss / len(images) for name, loss in found.items()}


def overlap_loss(outputs: GridOutputs, matches: AssignedPlaces, loss: PairLoss) -> Tensor:
    """Return the sum over responsible places of a loss between predicted boxes and objects, such as complete IoU."""
    boxes = decode_boxes(outputs.raw, outputs.places)[matches.images, matches.places]
    return loss(boxes, matches.boxes, reduction="sum")


def _without_objects(target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the target of an image in which no object is to be seen; ignored regions stay."""
    return {name: value if name == "ignored" else value[:0] for name, value in target.items()}


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 8 to 32 over CSPDarknet-53 or any timm backbone with stages."""
    return YoloV4(spec, options_of(sys.modules[__name__], spec))
