"""DETR (Carion et al. 2020, arXiv 2005.12872) with ResNet-50: a set of queries, matched to the objects one to one.

The network is that of the package transformers (extra `transformers`), over any backbone with a stage of stride 32.
"""

from __future__ import annotations

import sys

from pydantic import Field
from torch import nn

from detectors.models.interface import OptionValue, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, MAX_DETECTIONS
from detectors.models.spec import ModelSpec
from detectors.models.transformer.network import (
    HEADS,
    TransformerDetector,
    TransformerOptions,
    load_transformers,
    placeholder,
)

LONG_SIDE = 800
FIXED_SIZE = None
LEARNING_RATE = 1e-4
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
BACKBONE_STRIDES = (32,)
DEFAULT_BACKBONE = "resnet50"
SMALLEST: dict[str, OptionValue] = {
    **{"width": 64, "feedforward": 128, "encoder_layers": 1, "decoder_layers": 2},
    **{"queries": 16, "stride": 8, "dropout": 0.0},
}


class Options(TransformerOptions):
    """Options of the network."""

    feedforward: int = Field(2048, ge=32, le=8192, description="Channels between the two layers of each feed-forward.")
    encoder_layers: int = Field(6, ge=1, le=12, description="Layers of the encoder.")
    stride: int = Field(
        32, ge=8, le=32, multiple_of=8, description="Stride of the stage that the encoder takes, 8, 16 or 32."
    )
    queries: int = Field(100, ge=1, le=MAX_DETECTIONS, description="Queries, the most objects of an image.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of the values that are dropped in training.")


def build(spec: ModelSpec) -> nn.Module:
    """Build the network with random weights."""
    package, options = load_transformers(), options_of(sys.modules[__name__], spec)
    from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

    detector = TransformerDetector(spec, spec.backbone or DEFAULT_BACKBONE, (options.stride,), True)
    config = package.DetrConfig(
        backbone_config=placeholder(1),
        num_labels=spec.classes,
        num_queries=options.queries,
        d_model=options.width,
        encoder_layers=options.encoder_layers,
        decoder_layers=options.decoder_layers,
        encoder_ffn_dim=options.feedforward,
        decoder_ffn_dim=options.feedforward,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        dropout=options.dropout,
        auxiliary_loss=True,
    )
    network = package.DetrForObjectDetection(config)
    network.model.input_projection = nn.Conv2d(detector.channels[-1], options.width, 1)
    return detector.take(network, ForObjectDetectionLoss, "ImageLoss", "loss_labels")
