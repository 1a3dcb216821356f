"""Faster R-CNN with MobileNet-v3 at 320 pixels: for phones and quick experiments."""

from __future__ import annotations

import sys
from dataclasses import replace

from pydantic import Field
from torch import nn

from detectors.models.interface import DetectorOptions, options_of
from detectors.models.region_based import fasterrcnn_mobilenet
from detectors.models.spec import ModelSpec

LONG_SIDE = 320
FIXED_SIZE = None
LEARNING_RATE = fasterrcnn_mobilenet.LEARNING_RATE
NEEDS_MASKS = False
TORCHVISION = ("FasterRCNN_MobileNet_V3_Large_320_FPN_Weights", "MobileNet_V3_Large_Weights")
MEAN, STD = fasterrcnn_mobilenet.MEAN, fasterrcnn_mobilenet.STD


class Options(DetectorOptions):
    """Options of the network: fewer proposals, since a small image holds fewer objects."""

    proposals: int = Field(300, ge=1, le=1000, description="Proposals of an image that are classified.")


def build(spec: ModelSpec) -> nn.Module:
    """Build the network of `fasterrcnn_mobilenet`."""
    proposals = options_of(sys.modules[__name__], spec).proposals
    model = fasterrcnn_mobilenet.build(replace(spec, options=(("proposals", proposals),)))
    model.rpn._pre_nms_top_n = {"training": 1000, "testing": proposals}
    model.rpn._post_nms_top_n = {"training": 1000, "testing": proposals}
    return model
