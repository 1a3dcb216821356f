"""Ignored regions inside torchvision's losses: what lies in one is neither a target nor background.

Targets may hold `ignored`, (K, 4) float32 boxes. An anchor or proposal that is no match of a target and lies by more
than half in an ignored box takes no part in the classification loss.
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
# A logit so low that the focal loss of background and its gradient vanish in float32.
SURELY_NOT = -50.0


class IgnoringProposals(RegionProposalNetwork):
    """Anchors in ignored regions are not sampled as background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for one, boxes, target in zip(labels, anchors, targets, strict=True):
            one[(one == 0) & (covered_by(boxes, ignored_in(target)) > MOSTLY)] = UNUSED
        return labels, matched


class IgnoringHeads(RoIHeads):
    """Proposals in ignored regions are not sampled as background."""

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
    """The same R-CNN with stages that know ignored regions."""
    model.rpn = as_kind(IgnoringProposals, model.rpn)
    model.roi_heads = as_kind(IgnoringHeads, model.roi_heads)
    return model


def as_kind(kind: Any, module: nn.Module) -> Any:
    """`module` with its weights as an instance of its subclass `kind`, which adds no state."""
    twin = kind.__new__(kind)
    twin.__dict__ = module.__dict__
    return twin


def silence_ignored(
    logits: Tensor, targets: list[Target], anchors: list[Tensor], matched: list[Tensor], *, background: int | None
) -> Tensor:
    """(B, A, C) logits whose unmatched anchors in ignored regions say background for sure, without gradient.

    background: the class that stands for it under a softmax; None where each class has a sigmoid of its own.
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
    """(K, 4) the ignored boxes of a target, none where it does not say."""
    regions = target.get("ignored")
    return target["boxes"].new_zeros((0, 4)) if regions is None else regions
