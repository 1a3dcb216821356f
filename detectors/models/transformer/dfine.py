"""D-FINE (Peng et al. 2024, arXiv 2410.13842): RT-DETR whose boxes are refined as distributions of their edges.

The network is that of the package transformers (extra `transformers`), over any backbone; HGNetV2-B4 as published.
"""

from __future__ import annotations

import sys

from torch import nn

from detectors.models.interface import OptionValue, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec
from detectors.models.transformer.hybrid import SMALL_HYBRID, STRIDES, HybridOptions, hybrid_settings, project_stages
from detectors.models.transformer.network import TransformerDetector, load_transformers

LONG_SIDE = 640
FIXED_SIZE = None
LEARNING_RATE = 1e-4
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
DEFAULT_BACKBONE = "hgnetv2_b4"
SMALLEST: dict[str, OptionValue] = SMALL_HYBRID
Options = HybridOptions


def build(spec: ModelSpec) -> nn.Module:
    """Build the network with random weights: strides 8 to 32."""
    package, options = load_transformers(), options_of(sys.modules[__name__], spec)
    from transformers.loss.loss_d_fine import DFineForObjectDetectionLoss

    detector = TransformerDetector(spec, spec.backbone or DEFAULT_BACKBONE, STRIDES, False)
    config = package.DFineConfig(**hybrid_settings(spec, options))
    network = package.DFineForObjectDetection(config)
    project_stages(network, detector.channels)
    return detector.take(network, DFineForObjectDetectionLoss, "DFineLoss", "loss_labels_vfl")
