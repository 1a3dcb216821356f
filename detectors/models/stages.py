"""The steps of torchvision's detectors on one image: anchors, proposals, boxes before and after suppression."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOS
from torchvision.ops import box_iou

from detectors.models.interface import DetectionStage, Explanation, SoftHead
from detectors.models.soft import listed_and_maps, soft_one_stage, soft_two_stage

Target = dict[str, Tensor]
ANCHORS = "Boxes at fixed places, from which the network predicts how to move them."
POINTS = "Cells of the feature maps, from whose centres the network predicts the distances to the sides of a box."
DECODED = "What the heads make of each place, with the likeliest class, before any threshold or suppression."
PROPOSED = "Anchors moved by the proposal network, before suppression; the score says how surely a product is there."
REGIONS = "Proposals that remain after suppression, the best ones; the second stage looks at these alone."
REFINED = "What the second stage makes of each proposal: its likeliest class and the box of that class."
DETECTED = "What remains after suppression within each class."


def explain_torchvision(model: Any, images: Tensor, targets: list[Target] | None) -> Explanation:
    """Return the steps of a torchvision detector on a single image (1, 3, H, W)."""
    make = _two_stages if hasattr(model, "rpn") else _one_stage
    return Explanation((*make(model, images, targets[0] if targets else None), detections_stage(model, images)))


def detections_stage(model: Any, images: Tensor) -> DetectionStage:
    """Return the last step: what the detector finds in a single image."""
    (found,) = model.detect(images)
    return DetectionStage("detections", DETECTED, found["boxes"].float(), found["scores"].float(), found["labels"])


def head_stage(head: SoftHead, name: str, meaning: str) -> DetectionStage:
    """Return the step of a head: its boxes with the likeliest class of each, background left out."""
    scores, labels = head_scores(head).max(1)
    return DetectionStage(name, meaning, head.boxes.float(), scores, labels)


def head_scores(head: SoftHead) -> Tensor:
    """Return (N, C) probabilities of the classes of a head, without background.

    Where a head judges its boxes, the score is the geometric mean of both, as in FCOS (Tian et al. 2019).
    """
    if head.background is not None:
        shares = head.logits.float().softmax(1)
        kept = [column for column in range(shares.shape[1]) if column != head.background]
        return shares[:, kept]
    scores = head.logits.float().sigmoid()
    return scores if head.quality is None else (scores * head.quality.float().sigmoid()[:, None]).sqrt()


def _one_stage(model: Any, images: Tensor, target: Target | None) -> tuple[DetectionStage, ...]:
    listed, maps = listed_and_maps(model, images)
    (anchors,) = model.anchor_generator(listed, list(maps.values()))
    points = isinstance(model, FCOS)
    first = DetectionStage(
        "cells" if points else "anchors",
        POINTS if points else ANCHORS,
        anchors,
        matched=_matched(model, anchors, target, [one.shape[-2] * one.shape[-1] for one in maps.values()]),
    )
    head = soft_one_stage(model, images).heads["anchors"]
    return first, head_stage(head, "before suppression", DECODED)


def _two_stages(model: Any, images: Tensor, target: Target | None) -> tuple[DetectionStage, ...]:
    listed, maps = listed_and_maps(model, images)
    (anchors,) = model.rpn.anchor_generator(listed, list(maps.values()))
    soft = soft_two_stage(model, images, None)
    (regions,) = soft.regions
    first, second = soft.heads["proposals"], soft.heads["regions"]
    proposed = head_stage(first, "proposals before suppression", PROPOSED)
    refined = head_stage(second, "before suppression", REFINED)
    kept = _overlapping(regions, proposed)
    return (
        DetectionStage("anchors", ANCHORS, anchors, matched=_match(model.rpn.proposal_matcher, anchors, target)),
        DetectionStage(proposed.name, PROPOSED, proposed.boxes, proposed.scores),
        DetectionStage(
            "proposals",
            REGIONS,
            regions,
            scores=kept,
            matched=_match(model.roi_heads.proposal_matcher, regions, target),
        ),
        refined,
    )


def _overlapping(regions: Tensor, proposed: DetectionStage) -> Tensor:
    """Return (R,) the score of the proposal that each region came from: the one that it overlaps most."""
    assert proposed.scores is not None
    scores = [
        proposed.scores[box_iou(some, proposed.boxes).argmax(1)] for some in regions.split(64)
    ]  # in parts: there may be a hundred thousand anchors
    return torch.cat(scores) if scores else regions.new_zeros(0)


def _matched(model: Any, anchors: Tensor, target: Target | None, cells: list[int]) -> Tensor | None:
    """Return (A,) the true box of each anchor of a one-stage detector, -1 for none, as its loss assigns them."""
    if target is None or not isinstance(model, FCOS):
        return _match(getattr(model, "proposal_matcher", None), anchors, target)
    taken: list[Tensor] = []

    def keep(targets: list[Target], outputs: dict[str, Tensor], anchors: list[Tensor], matched: list[Tensor]) -> None:
        taken.extend(matched)

    # torchvision matches within the loss, of which nothing but the head's part is replaced.
    stand_in = SimpleNamespace(
        center_sampling_radius=model.center_sampling_radius, head=SimpleNamespace(compute_loss=keep)
    )
    FCOS.compute_loss(stand_in, [target], {}, [anchors], cells)
    return taken[0]


def _match(matcher: Any, boxes: Tensor, target: Target | None) -> Tensor | None:
    if target is None:
        return None
    if not len(target["boxes"]) or not len(boxes):
        return torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
    matched: Tensor = matcher(box_iou(target["boxes"], boxes))
    return matched.clamp(min=-1)  # between both thresholds an anchor counts for nothing
