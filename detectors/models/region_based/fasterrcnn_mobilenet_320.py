"""Faster R-CNN with MobileNet-v3 at 320 pixels: for phones and quick experiments."""

from __future__ import annotations

from torch import nn

from detectors.models.region_based import fasterrcnn_mobilenet
from detectors.models.spec import ModelSpec

LONG_SIDE = 320
FIXED_SIZE = None
LEARNING_RATE = fasterrcnn_mobilenet.LEARNING_RATE
NEEDS_MASKS = False
TORCHVISION = ("FasterRCNN_MobileNet_V3_Large_320_FPN_Weights", "MobileNet_V3_Large_Weights")
MEAN, STD = fasterrcnn_mobilenet.MEAN, fasterrcnn_mobilenet.STD


def build(spec: ModelSpec) -> nn.Module:
    """Build the network of `fasterrcnn_mobilenet` with fewer proposals, since a small image holds fewer objects."""
    model = fasterrcnn_mobilenet.build(spec)
    model.rpn._pre_nms_top_n = {"training": 1000, "testing": 300}
    model.rpn._post_nms_top_n = {"training": 1000, "testing": 300}
    return model
