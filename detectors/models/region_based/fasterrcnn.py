"""Faster R-CNN (Ren et al. 2015) with a feature pyramid; ResNet-50 with torchvision's improved (v2) recipe."""

from __future__ import annotations

import sys

from pydantic import Field
from torch import nn
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn_v2

from detectors.models.ignoring import ignore_in_rcnn
from detectors.models.interface import DetectorOptions, options_of
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_DETECTIONS,
    MIN_SCORE,
    NARROW_PYRAMID,
    TimmPyramid,
    max_pool_level,
    pyramid_anchors,
)
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 1024
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
# Proposals per image that the box head is trained on: over a narrow pyramid as many as in Fast R-CNN (Girshick 2015).
# torchvision's 512 take twice the time, and most of them are background.
NARROW_SAMPLE, WIDE_SAMPLE = 128, 512
TORCHVISION = ("FasterRCNN_ResNet50_FPN_V2_Weights", "ResNet50_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD


class Options(DetectorOptions):
    """Options of the network."""

    proposals: int = Field(1000, ge=1, le=2000, description="Proposals of an image that are classified.")


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 4 to 64, anchors of 32 to 512 px."""
    options = {
        "box_detections_per_img": MAX_DETECTIONS,
        "box_score_thresh": MIN_SCORE,
        "rpn_post_nms_top_n_test": options_of(sys.modules[__name__], spec).proposals,
    }
    if spec.backbone is None:
        model = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=spec.classes + 1, **options)
        return as_detector(ignore_in_rcnn(model), spec)
    pyramid = TimmPyramid(spec.backbone, least_stride=4, extra=max_pool_level)
    # A backbone may lack stride 4: one anchor size for each level that it has.
    sizes = (32, 64, 128, 256, 512)[-pyramid.stages - 1 :]
    model = FasterRCNN(
        pyramid,
        spec.classes + 1,
        rpn_anchor_generator=pyramid_anchors(sizes),
        box_batch_size_per_image=NARROW_SAMPLE if pyramid.out_channels == NARROW_PYRAMID else WIDE_SAMPLE,
        **options,
    )
    return as_detector(ignore_in_rcnn(model), spec)
