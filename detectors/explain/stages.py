"""The steps of any detector on one image: its own, or what its heads say of all places and what it detects."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detectors.models.interface import Explanation
from detectors.models.stages import DECODED, detections_stage, head_stage


@torch.no_grad()
def explain_detector(model: Any, images: Tensor, target: dict[str, Tensor] | None = None) -> Explanation:
    """Return the steps on a single image (1, 3, H, W). target: of `Detector.losses`, None without labels."""
    if hasattr(model, "explain"):
        own: Explanation = model.explain(images, None if target is None else [target])
        return own
    heads = model.soft_outputs(images).heads if hasattr(model, "soft_outputs") else {}
    stages = [head_stage(head, f"{name} before suppression", DECODED) for name, head in heads.items()]
    return Explanation((*stages, detections_stage(model, images)))
