"""EfficientDet-D2 (Tan et al. 2020, arXiv 1911.09070) with EfficientNet-B2, at 768 pixels."""

from __future__ import annotations

import sys

from torch import nn

from detectors.models.interface import OptionValue, options_of
from detectors.models.one_stage.efficientdet import EfficientDet, EfficientDetOptions, EfficientDetSize
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec

LONG_SIDE = 768
FIXED_SIZE = None
LEARNING_RATE = 3e-4
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
SIZE = EfficientDetSize("efficientnet_b2", channels=112, layers=5, repeats=3)
# Statistics of a hundred steps say little after a few.
SMALLEST: dict[str, OptionValue] = {"channels": 112, "layers": 1, "repeats": 1, "momentum": 0.2}
Options = EfficientDetOptions


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: strides 8 to 128 over any backbone with stages."""
    return EfficientDet(spec, SIZE, options_of(sys.modules[__name__], spec))
