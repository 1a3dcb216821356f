"""The steps of any detector on one image: its own, or what its heads say of all places and what it detects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from detectors.models.interface import DetectionStage, Explanation
from detectors.models.region_proposals import ProposalSearch
from detectors.models.stages import DECODED, detections_stage, head_stage

SEARCHED = (
    "Regions that selective search proposes, whatever the network; in training those that overlap a true box by at "
    "least a half are its examples."
)
# Overlap from which a proposal is an example of a product (Girshick et al. 2014).
HALF = 0.5


@torch.no_grad()
def explain_detector(model: Any, images: Tensor, target: dict[str, Tensor] | None = None) -> Explanation:
    """Return the steps on a single image (1, 3, H, W). target: of `Detector.losses`, None without labels."""
    if hasattr(model, "explain"):
        own: Explanation = model.explain(images, None if target is None else [target])
        return own
    heads = model.soft_outputs(images).heads if hasattr(model, "soft_outputs") else {}
    stages = [head_stage(head, f"{name} before suppression", DECODED) for name, head in heads.items()]
    with _searched(model) as proposals:
        found = detections_stage(model, images)
    searched = [DetectionStage("proposals", SEARCHED, boxes, matched=_examples(boxes, target)) for boxes in proposals]
    return Explanation((*searched, *stages, found))


@torch.no_grad()
def pixel_classes(model: Any, images: Tensor) -> Tensor | None:
    """Return (H, W) the class of each pixel, -1 for background, of a detector that segments; None of any other."""
    if not hasattr(model, "segment"):
        return None
    scores: Tensor = model.segment(images)
    return scores[0].argmax(0) - 1


@contextmanager
def _searched(model: Any) -> Iterator[list[Tensor]]:
    """Collect the proposals (P, 4) that a network searches for within the block, those of its first search."""
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: list[Tensor]) -> None:
        if not found:
            found.append(output[0].float())

    parts = model.modules() if isinstance(model, nn.Module) else ()
    hooks = [part.register_forward_hook(keep) for part in parts if isinstance(part, ProposalSearch)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _examples(boxes: Tensor, target: dict[str, Tensor] | None) -> Tensor | None:
    """Return (P,) the true box that each proposal overlaps most, -1 if by less than a half."""
    if target is None:
        return None
    if not len(target["boxes"]) or not len(boxes):
        return torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
    most, owner = box_iou(boxes, target["boxes"]).max(1)
    return torch.where(most >= HALF, owner, -1)
