"""Adapter from torchvision's detectors (lists of images, labels from 1, own transform) to interface.Detector."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.interface import Explanation, SoftOutputs
from detectors.models.parts import Normalise
from detectors.models.soft import soft_one_stage, soft_two_stage
from detectors.models.spec import ModelSpec
from detectors.models.stages import explain_torchvision

# torchvision counts classes from 1: 0 is background.
FIRST_LABEL = 1
# Modules whose outputs are scores and boxes: of one stage, of the proposal network, of regions.
HEADS = ("head", "rpn.head", "roi_heads.box_predictor", "roi_heads.mask_predictor")


class TorchvisionDetector(nn.Module):
    """Mixin for torchvision's detector classes; as a mixin it leaves the names of their weights unchanged."""

    transform: Any
    backbone: Any

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return torchvision's losses."""
        return self(list(images), [{**target, "labels": target["labels"] + FIRST_LABEL} for target in targets])

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return torchvision's detections without those of background, for which a sigmoid head has a score, too."""
        found = self(list(images))
        if hasattr(self, "roi_heads"):  # never background; copying the masks took 2 % of all time
            return [{**one, "labels": one["labels"] - FIRST_LABEL} for one in found]
        return [_without_background(one) for one in found]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of the pyramid or of the backbone's stages."""
        mean, std = (
            torch.tensor(row, dtype=images.dtype, device=images.device)[:, None, None]
            for row in (self.transform.image_mean, self.transform.image_std)
        )
        step = self.transform.size_divisible
        height, width = (step * math.ceil(side / step) for side in images.shape[-2:])
        padding = (0, width - images.shape[-1], 0, height - images.shape[-2])
        return list(self.backbone(functional.pad((images - mean) / std, padding)).values())

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the outputs of all anchors, or of the proposal network's anchors and of the second stage's regions."""
        return soft_two_stage(self, images, like) if hasattr(self, "rpn") else soft_one_stage(self, images)

    def explain(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Explanation:
        """Return anchors with their true boxes, proposals if there are any, boxes before and after suppression."""
        return explain_torchvision(self, images, targets)


def as_detector(model: nn.Module, spec: ModelSpec) -> nn.Module:
    """Turn a torchvision model into a Detector that takes images at their own size; changes and returns `model`."""
    model.transform = Normalise(spec, model.transform.size_divisible)
    # torchvision decodes boxes in the type of the heads' outputs: in bfloat16 they lie on a grid of 4 pixels from 512
    # pixels on, and scores have 8 bits.
    for name in HEADS:
        with suppress(AttributeError):
            model.get_submodule(name).register_forward_hook(_in_float32)
    model.__class__ = type(type(model).__name__, (TorchvisionDetector, type(model)), {})
    return model


def _in_float32(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """Return the outputs of a module, whatever holds them, in float32."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {name: _in_float32(module, inputs, one) for name, one in outputs.items()}
    return type(outputs)(_in_float32(module, inputs, one) for one in outputs)


def _without_background(found: dict[str, Tensor]) -> dict[str, Tensor]:
    labels = found["labels"] - FIRST_LABEL
    return {name: column[labels >= 0] for name, column in {**found, "labels": labels}.items()}
