"""Mask R-CNN (He et al. 2017): Faster R-CNN that also predicts a mask per product; trained on exact masks."""

from __future__ import annotations

from torch import nn
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from detectors.models.ignoring import ignore_in_rcnn
from detectors.models.interface import options_of
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_DETECTIONS,
    MIN_SCORE,
    TimmPyramid,
    max_pool_level,
    pyramid_anchors,
)
from detectors.models.region_based import fasterrcnn
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 1024
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = True
TORCHVISION = ("MaskRCNN_ResNet50_FPN_V2_Weights", "ResNet50_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
Options = fasterrcnn.Options
# Output width of torchvision's box head.
BOX_FEATURES = 1024


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 4 to 64, masks of 28 x 28 cells."""
    options = {
        "box_detections_per_img": MAX_DETECTIONS,
        "box_score_thresh": MIN_SCORE,
        "rpn_post_nms_top_n_test": options_of(fasterrcnn, spec).proposals,
    }
    if spec.backbone is None:
        model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=spec.classes + 1, **options)
        return as_detector(ignore_in_rcnn(model), spec)
    pyramid = TimmPyramid(spec.backbone, least_stride=4, extra=max_pool_level)
    sizes = (32, 64, 128, 256, 512)[-pyramid.stages - 1 :]
    width = pyramid.out_channels
    model = MaskRCNN(
        pyramid,
        rpn_anchor_generator=pyramid_anchors(sizes),
        box_predictor=FastRCNNPredictor(BOX_FEATURES, spec.classes + 1),
        # As many channels as the pyramid: torchvision's 256 take most of a small network's time.
        mask_head=MaskRCNNHeads(width, (width,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(width, width, spec.classes + 1),
        **options,
    )
    return as_detector(ignore_in_rcnn(model), spec)
