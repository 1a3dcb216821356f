"""FCOS (Tian et al. 2019) with ResNet-50: one stage, no anchors."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.detection import FCOS, fcos_resnet50_fpn
from torchvision.models.detection.fcos import FCOSHead

from detectors.models.ignoring import Target, silence_ignored
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_DETECTIONS,
    MIN_SCORE,
    TimmPyramid,
    two_strided_levels,
)
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 1024
FIXED_SIZE = None
LEARNING_RATE = 1e-4
NEEDS_MASKS = False
TORCHVISION = ("FCOS_ResNet50_FPN_Weights", "ResNet50_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD


class IgnoringFcosHead(FCOSHead):
    """FCOS head whose loss excludes ignored regions."""

    def compute_loss(
        self, targets: list[Target], head_outputs: dict[str, Tensor], anchors: list[Tensor], matched_idxs: list[Tensor]
    ) -> dict[str, Tensor]:
        logits = silence_ignored(head_outputs["cls_logits"], targets, anchors, matched_idxs, background=None)
        return super().compute_loss(targets, {**head_outputs, "cls_logits": logits}, anchors, matched_idxs)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 8 to 128."""
    options = {"detections_per_img": MAX_DETECTIONS, "score_thresh": MIN_SCORE}
    classes = spec.classes + 1
    if spec.backbone is None:
        model = fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=classes, **options)
    else:
        pyramid = TimmPyramid(spec.backbone, least_stride=8, extra=two_strided_levels)
        model = FCOS(pyramid, classes, **options)
    anchors = model.anchor_generator.num_anchors_per_location()[0]
    model.head = IgnoringFcosHead(model.backbone.out_channels, anchors, classes)
    return as_detector(model, spec)
