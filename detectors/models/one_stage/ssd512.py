"""SSD512 (Liu et al. 2016, arXiv 1512.02325) with VGG-16 at 512 x 512 pixels: 24,564 default boxes on seven maps."""

from __future__ import annotations

import sys

from pydantic import Field
from torch import nn
from torchvision.models.detection.ssd import SSD, SSDHead

from detectors.models.ignoring import as_kind
from detectors.models.interface import DetectorOptions, OptionValue, options_of
from detectors.models.one_stage import timm_ssd
from detectors.models.one_stage.ssd300 import MEAN as MEAN
from detectors.models.one_stage.ssd300 import STD as STD
from detectors.models.one_stage.ssd300 import IgnoringSsd
from detectors.models.one_stage.ssd_vgg import Scales, Vgg512, default_boxes
from detectors.models.parts import MAX_DETECTIONS, MIN_SCORE
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 512
FIXED_SIZE = (512, 512)
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
SMALLEST: dict[str, OptionValue] = {"width": 0.0625}


class Options(DetectorOptions):
    """Options of the network over VGG-16."""

    scales: Scales = Field(
        "coco", description="Sides of the default boxes over VGG-16, from 0.04 (coco) or 0.07 (voc) of the image on."
    )
    width: float = Field(1.0, ge=0.0625, le=1, multiple_of=0.0625, description="Share of the channels of VGG-16.")


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: seven feature maps of 64 x 64 to 1 x 1 cells."""
    options = {"detections_per_img": MAX_DETECTIONS, "score_thresh": MIN_SCORE}
    if spec.backbone is not None:
        return as_detector(as_kind(IgnoringSsd, timm_ssd.build(spec, options)), spec)
    own = options_of(sys.modules[__name__], spec)
    maps, boxes = Vgg512(own.width), default_boxes(FIXED_SIZE[0], own.scales)
    head = SSDHead(list(maps.channels), boxes.num_anchors_per_location(), spec.classes + 1)
    model = SSD(maps, boxes, FIXED_SIZE, spec.classes + 1, head=head, **options)
    return as_detector(as_kind(IgnoringSsd, model), spec)
