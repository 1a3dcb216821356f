"""RetinaNet (Lin et al. 2017) with ResNet-50 and torchvision's improved (v2) recipe: one stage, focal loss."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.detection import RetinaNet, retinanet_resnet50_fpn_v2

from detectors.models.ignoring import Target, silence_ignored
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_DETECTIONS,
    MIN_SCORE,
    TimmPyramid,
    pyramid_anchors,
    two_strided_levels,
)
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 1024
FIXED_SIZE = None
LEARNING_RATE = 1e-4
NEEDS_MASKS = False
TORCHVISION = ("RetinaNet_ResNet50_FPN_V2_Weights", "ResNet50_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD


class IgnoringRetinaHead(nn.Module):
    """RetinaNet head whose loss excludes ignored regions."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.classification_head = head.classification_head
        self.regression_head = head.regression_head

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        return {
            "cls_logits": self.classification_head(features),
            "bbox_regression": self.regression_head(features),
        }

    def compute_loss(
        self, targets: list[Target], outputs: dict[str, Tensor], anchors: list[Tensor], matched: list[Tensor]
    ) -> dict[str, Tensor]:
        logits = silence_ignored(outputs["cls_logits"], targets, anchors, matched, background=None)
        outputs = {**outputs, "cls_logits": logits}
        return {
            "classification": self.classification_head.compute_loss(targets, outputs, matched),
            "bbox_regression": self.regression_head.compute_loss(targets, outputs, anchors, matched),
        }


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 8 to 128, three anchor sizes per octave from 32 px on."""
    options = {"detections_per_img": MAX_DETECTIONS, "score_thresh": MIN_SCORE}
    # torchvision reserves class 0 for background; a sigmoid head learns that it never occurs.
    classes = spec.classes + 1
    if spec.backbone is None:
        model = retinanet_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=classes, **options)
    else:
        pyramid = TimmPyramid(spec.backbone, least_stride=8, extra=two_strided_levels)
        model = RetinaNet(
            pyramid, classes, anchor_generator=pyramid_anchors((32, 64, 128, 256, 512), per_octave=3), **options
        )
    model.head = IgnoringRetinaHead(model.head)
    return as_detector(model, spec)
