"""YOLOv3: nine anchors, fitted to the training boxes, on three scales over Darknet-53, each class by itself.

Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement" (arXiv 1804.02767): three anchors at every cell of strides
8, 16 and 32, boxes as in YOLOv2. Of the nine anchors the one whose shape fits an object best is responsible for it; the
others are background unless their box overlaps an object by more than 0.5 (0.7 in Darknet's configuration). Objectness
and classes are learned by binary cross-entropy. The gradient of a coordinate is what it says less what it should: for
sigmoid(tx) that is cross-entropy, for tw half the squared error; small boxes weigh more, by 2 - w h of the image's
fractions, as in Darknet.
"""

from __future__ import annotations

import sys
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.darknet.anchors import AnchorOptions, Shapes, clustered_options
from detectors.models.darknet.backbones import Darknet53, make_backbone
from detectors.models.darknet.grid import (
    AssignedPlaces,
    GridOutputs,
    background_places,
    decode_boxes,
    encode_boxes,
    match_objects,
)
from detectors.models.darknet.heads import AnchorYolo
from detectors.models.darknet.input_shapes import RandomShapes
from detectors.models.darknet.layers import LayerStyle
from detectors.models.darknet.necks import TopDown
from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, suppress_by_class
from detectors.models.spec import ModelSpec

LONG_SIDE = 416
FIXED_SIZE = None
LEARNING_RATE = 1e-3
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
BACKBONE_STRIDES = (8, 16, 32)
SMALLEST = {"width": 0.125}
PAPER = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))


class YoloV3Options(AnchorOptions):
    """Options of the network."""

    COUNT: ClassVar[int] = 9
    PAPER: ClassVar[Shapes] = PAPER

    width: float = Field(1.0, gt=0, le=2, description="Factor on the published channels.")
    ignore: float = Field(
        0.5, gt=0, le=1, description="IoU with an object above which a box is not background; 0.7 in Darknet."
    )
    nms: float = Field(0.5, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")
    random_shapes: bool = Field(default=False, description="Train on another image size every ten batches.")


Options = YoloV3Options
options_from_data = clustered_options


class YoloV3(AnchorYolo):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: YoloV3Options) -> None:
        style = LayerStyle(width=options.width)
        backbone, channels = make_backbone(spec, BACKBONE_STRIDES, lambda: Darknet53(style))
        neck = TopDown(style, channels)
        super().__init__(spec, options.shapes, neck.channels, suppress_by_class(options.nms))
        self.backbone, self.neck, self.ignore = backbone, neck, options.ignore
        self.shapes = RandomShapes() if options.random_shapes else None

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of strides 8, 16 and 32."""
        return self.neck(self.backbone(self.normalised(images)))

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "box", "objectness" and "classification", sums over the places, mean over the images."""
        if self.shapes is not None and self.training:
            images, targets = self.shapes(images, targets)
        outputs = self.outputs(images)
        matches = match_objects(outputs.places, targets, self.choose)
        found = {
            "box": coordinate_loss(outputs, matches, images.shape[-1] * images.shape[-2]),
            "objectness": entropy_of_objectness(outputs, matches, targets, self.ignore),
            "classification": entropy_of_classes(outputs, matches),
        }
        return {name: loss / len(images) for name, loss in found.items()}


def coordinate_loss(outputs: GridOutputs, matches: AssignedPlaces, area: int) -> Tensor:
    """Return the errors of the boxes of responsible places, weighted by 2 - w h. area: of an image in pixels."""
    said = outputs.raw[matches.images, matches.places]
    wanted = encode_boxes(matches.boxes, outputs.places, matches.places)
    offsets = functional.binary_cross_entropy_with_logits(said[:, :2], wanted[:, :2], reduction="none").sum(1)
    sides = (said[:, 2:] - wanted[:, 2:]).square().sum(1) / 2
    weight = 2 - (matches.boxes[:, 2:] - matches.boxes[:, :2]).prod(1) / area
    return (weight * (offsets + sides)).sum()


def entropy_of_objectness(
    outputs: GridOutputs, matches: AssignedPlaces, targets: list[dict[str, Tensor]], ignore: float
) -> Tensor:
    """Return the binary cross-entropy of objectness: 1 of responsible places, 0 of the background."""
    boxes = decode_boxes(outputs.raw.detach(), outputs.places)
    weight = background_places(outputs.places, boxes, targets, ignore).float()
    wanted = torch.zeros_like(weight)
    weight[matches.images, matches.places] = 1
    wanted[matches.images, matches.places] = 1
    return functional.binary_cross_entropy_with_logits(outputs.objectness, wanted, weight, reduction="sum")


def entropy_of_classes(outputs: GridOutputs, matches: AssignedPlaces, smoothing: float = 0.0) -> Tensor:
    """Return the binary cross-entropy of the classes of responsible places.

    smoothing: e of label smoothing (Szegedy et al. 2016): the targets are 1 - e / 2 and e / 2.
    """
    said = outputs.classes[matches.images, matches.places]
    hot = functional.one_hot(matches.labels, said.shape[1]).to(said.dtype)
    wanted = hot * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(said, wanted, reduction="sum")


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 8 to 32 over Darknet-53 or any timm backbone with stages."""
    return YoloV3(spec, options_of(sys.modules[__name__], spec))
