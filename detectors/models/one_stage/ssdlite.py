"""SSDlite with MobileNet-v3 (Howard et al. 2019) at 320 pixels: the fastest to train, for phones."""

from __future__ import annotations

from torch import nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from detectors.models.ignoring import as_kind
from detectors.models.one_stage import timm_ssd
from detectors.models.one_stage.ssd300 import IgnoringSsd
from detectors.models.parts import MAX_DETECTIONS, MIN_SCORE
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import as_detector

LONG_SIDE = 320
FIXED_SIZE = None
LEARNING_RATE = 1e-3
NEEDS_MASKS = False
TORCHVISION = ("SSDLite320_MobileNet_V3_Large_Weights", None)
MEAN = STD = (0.5, 0.5, 0.5)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 16 to 512, default boxes that scale with the image size."""
    options = {"detections_per_img": MAX_DETECTIONS, "score_thresh": MIN_SCORE}
    if spec.backbone is not None:
        return as_detector(as_kind(IgnoringSsd, timm_ssd.build(spec, options)), spec)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=spec.classes + 1, **options)
    return as_detector(as_kind(IgnoringSsd, model), spec)
