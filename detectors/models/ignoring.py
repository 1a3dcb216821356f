"""Subclasses of torchvision's modules whose losses exclude ignored regions: these are neither object nor background.

A target may hold `ignored`, (K, 4) float32 boxes. An anchor or proposal that matches no object and has more than half
of its area inside an ignored box is left out of the classification loss.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork

from detectors.models.parts import covered_by

Target = dict[str, Tensor]
MOSTLY = 0.5
UNUSED = -1
# A logit so low that the focal loss of background and its gradient are zero in float32.
SURELY_NOT = -50.0


class IgnoringProposals(RegionProposalNetwork):
    """Region proposal network that does not sample anchors in ignored regions as background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for one, boxes, target in zip(labels, anchors, targets, strict=True):
            one[(one == 0) & (covered_by(boxes, ignored_in(target)) > MOSTLY)] = UNUSED
        return labels, matched


class IgnoringHeads(RoIHeads):
    """RoI heads that do not sample proposals in ignored regions as background."""

    _ignored: list[Tensor]

    def select_training_samples(self, proposals: list[Tensor], targets: list[Target] | None) -> Any:
        self._ignored = [ignored_in(target) for target in targets or ()]
        return super().select_training_samples(proposals, targets)

    def assign_targets_to_proposals(self, proposals: list[Tensor], *gt: list[Tensor]) -> Any:
        matched, labels = super().assign_targets_to_proposals(proposals, *gt)
        for one, boxes, regions in zip(labels, proposals, self._ignored, strict=True):
            one[(one == 0) & (covered_by(boxes, regions) > MOSTLY)] = UNUSED
        return matched, labels


def ignore_in_rcnn(model: nn.Module) -> nn.Module:
    """Make the proposal network and the heads of an R-CNN respect ignored regions; returns the same model."""
    model.rpn = as_kind(IgnoringProposals, model.rpn)
    model.roi_heads = as_kind(IgnoringHeads, model.roi_heads)
    return model


def as_kind(kind: Any, module: nn.Module) -> Any:
    """Return an instance of `kind`, a stateless subclass of `module`'s class, that shares the state of `module`."""
    twin = kind.__new__(kind)
    twin.__dict__ = module.__dict__
    return twin


def silence_ignored(
    logits: Tensor, targets: list[Target], anchors: list[Tensor], matched: list[Tensor], *, background: int | None
) -> Tensor:
    """Set the logits (B, A, C) of unmatched anchors in ignored regions to certain background, without gradient.

    background: class index of background under a softmax; None where each class has its own sigmoid.
    """
    silent = torch.stack(
        [
            (match < 0) & (covered_by(boxes, ignored_in(target)) > MOSTLY)
            for match, boxes, target in zip(matched, anchors, targets, strict=True)
        ]
    )
    sure = logits.new_full((logits.shape[-1],), SURELY_NOT)
    if background is not None:
        sure[background] = -SURELY_NOT
    return torch.where(silent[..., None], sure, logits)


def ignored_in(target: Target) -> Tensor:
    """Return the (K, 4) ignored boxes of a target, K = 0 if it has no such entry."""
    regions = target.get("ignored")
    return target["boxes"].new_zeros((0, 4)) if regions is None else regions
