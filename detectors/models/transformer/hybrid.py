"""What RT-DETR and D-FINE share: the hybrid encoder over three stages, and queries chosen among all places."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import nn

from detectors.models.interface import OptionValue
from detectors.models.parts import MAX_DETECTIONS
from detectors.models.spec import ModelSpec
from detectors.models.transformer.network import HEADS, TransformerOptions, count_queries, placeholder

STRIDES = (8, 16, 32)


class HybridOptions(TransformerOptions):
    """Options of the network."""

    encoder_layers: int = Field(1, ge=1, le=6, description="Layers of attention over the coarsest stage.")
    queries: int = Field(300, ge=1, le=MAX_DETECTIONS, description="Queries, the most objects of an image.")
    denoising: int = Field(100, ge=0, le=500, description="Queries of noisy copies of the objects in training.")


# The smallest network, for quick trials.
SMALL_HYBRID: dict[str, OptionValue] = {
    **{"width": 64, "feedforward": 64, "decoder_layers": 2, "queries": 30, "denoising": 20}
}


def hybrid_settings(spec: ModelSpec, options: HybridOptions) -> dict[str, Any]:
    """Return the settings of both networks' configurations."""
    return {
        "backbone_config": placeholder(len(STRIDES)),
        "num_labels": spec.classes,
        "num_queries": count_queries(options.queries, spec, STRIDES),
        "num_denoising": options.denoising,
        "d_model": options.width,
        "encoder_hidden_dim": options.width,
        "encoder_in_channels": [options.width] * len(STRIDES),
        "decoder_in_channels": [options.width] * len(STRIDES),
        "feat_strides": list(STRIDES),
        "encoder_layers": options.encoder_layers,
        "encoder_ffn_dim": options.feedforward,
        "encoder_attention_heads": HEADS,
        "decoder_layers": options.decoder_layers,
        "decoder_ffn_dim": options.feedforward,
        "decoder_attention_heads": HEADS,
        "freeze_backbone_batch_norms": False,
    }


def project_stages(network: Any, channels: list[int]) -> None:
    """Make the projections of a network take these channels: it was built over another backbone."""
    for layers, count in zip(network.model.encoder_input_proj, channels, strict=True):
        layers[0] = nn.Conv2d(count, layers[0].out_channels, 1, bias=False)
