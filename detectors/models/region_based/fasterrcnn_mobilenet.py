"""Faster R-CNN with MobileNet-v3 at 640 pixels: small, and a good first choice."""

from __future__ import annotations

from torch import nn
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn

from detectors.models.ignoring import ignore_in_rcnn
from detectors.models.interface import options_of
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_DETECTIONS,
    MIN_SCORE,
)
from detectors.models.region_based import fasterrcnn
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 640
FIXED_SIZE = None
LEARNING_RATE = 4e-4
NEEDS_MASKS = False
TORCHVISION = ("FasterRCNN_MobileNet_V3_Large_FPN_Weights", "MobileNet_V3_Large_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
Options = fasterrcnn.Options


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 32 and 64 (other backbones 4 to 64), anchors of 32 to 512 px as in torchvision."""
    if spec.backbone is not None:
        return fasterrcnn.build(spec)
    model = fasterrcnn_mobilenet_v3_large_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=spec.classes + 1,
        box_detections_per_img=MAX_DETECTIONS,
        box_score_thresh=MIN_SCORE,
        rpn_post_nms_top_n_test=options_of(fasterrcnn, spec).proposals,
    )
    return as_detector(ignore_in_rcnn(model), spec)
