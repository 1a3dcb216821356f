"""RT-DETR (Zhao et al. 2023, arXiv 2304.08069) with ResNet-50: queries chosen among all places, in real time.

A hybrid encoder joins three stages; the best places of it are the first queries, and in training noisy copies of the
objects are queries, too. The network is that of the package transformers (extra `transformers`), over any backbone.
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
# Its file chooses other queries than the network; that of dfine, of the same kind, agrees.
NOT_EXPORTED = "its traced network chooses other queries"
DEFAULT_BACKBONE = "resnet50d"
SMALLEST: dict[str, OptionValue] = SMALL_HYBRID
Options = HybridOptions


def build(spec: ModelSpec) -> nn.Module:
    """Build the network with random weights: strides 8 to 32."""
    package, options = load_transformers(), options_of(sys.modules[__name__], spec)
    from transformers.loss.loss_rt_detr import RTDetrForObjectDetectionLoss

    detector = TransformerDetector(spec, spec.backbone or DEFAULT_BACKBONE, STRIDES, False)
    config = package.RTDetrConfig(**hybrid_settings(spec, options))
    network = package.RTDetrForObjectDetection(config)
    project_stages(network, detector.channels)
    return detector.take(network, RTDetrForObjectDetectionLoss, "RTDetrLoss", "loss_labels_vfl")
