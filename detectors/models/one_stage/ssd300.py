"""SSD300 (Liu et al. 2016, arXiv 1512.02325) with VGG-16 at 300 x 300 pixels: default boxes on six maps.

8,732 default boxes, matched from an overlap of 0.5 on and each object to its best one at least; cross-entropy with the
three hardest backgrounds for each match, and smooth L1.
"""

from __future__ import annotations

import sys

from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection.ssd import SSD

from detectors.models.ignoring import Target, as_kind, silence_ignored
from detectors.models.interface import DetectorOptions, options_of
from detectors.models.one_stage import timm_ssd
from detectors.models.one_stage.ssd_vgg import Scales, default_boxes
from detectors.models.parts import MAX_DETECTIONS, MIN_SCORE
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 300
FIXED_SIZE = (300, 300)
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
TORCHVISION = ("SSD300_VGG16_Weights", None)
# torchvision's constants: its VGG features were trained on pixels of 0..255 with the mean subtracted.
MEAN = (0.48235, 0.45882, 0.40784)
STD = (1.0 / 255.0, 1.0 / 255.0, 1.0 / 255.0)


class Options(DetectorOptions):
    """Options of the network."""

    scales: Scales = Field(
        "coco", description="Sides of the default boxes over VGG-16, from 0.07 (coco) or 0.1 (voc) of the image on."
    )


class IgnoringSsd(SSD):
    """SSD whose loss and hard negative mining exclude ignored regions."""

    def compute_loss(
        self, targets: list[Target], head_outputs: dict[str, Tensor], anchors: list[Tensor], matched_idxs: list[Tensor]
    ) -> dict[str, Tensor]:
        logits = silence_ignored(head_outputs["cls_logits"], targets, anchors, matched_idxs, background=0)
        return super().compute_loss(targets, {**head_outputs, "cls_logits": logits}, anchors, matched_idxs)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: six feature maps of 38 x 38 to 1 x 1 cells."""
    options = {"detections_per_img": MAX_DETECTIONS, "score_thresh": MIN_SCORE}
    if spec.backbone is not None:
        return as_detector(as_kind(IgnoringSsd, timm_ssd.build(spec, options)), spec)
    model = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=spec.classes + 1, **options)
    # torchvision's boxes are those of COCO, too.
    model.anchor_generator = default_boxes(FIXED_SIZE[0], options_of(sys.modules[__name__], spec).scales)
    return as_detector(as_kind(IgnoringSsd, model), spec)
