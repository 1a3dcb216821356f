"""What torchvision's detectors say before any threshold: the outputs of their heads at every anchor and region."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.rpn import concat_box_prediction_layers

from detectors.models.interface import SoftHead, SoftOutputs

# torchvision's background class.
BACKGROUND = 0
# Regions of an image that a second stage is compared at, the best ones first.
MAX_REGIONS = 256


def soft_one_stage(model: Any, images: Tensor) -> SoftOutputs:
    """Return the outputs of RetinaNet, FCOS and SSD at all anchors."""
    listed, named = listed_and_maps(model, images)
    maps = list(named.values())
    outputs = model.head(maps)
    anchors = torch.cat(model.anchor_generator(listed, maps))
    deltas = outputs["bbox_regression"].float().flatten(0, 1)
    logits = outputs["cls_logits"].float().flatten(0, 1)
    if "bbox_ctrness" in outputs:
        boxes, quality = model.box_coder.decode(deltas, anchors), outputs["bbox_ctrness"].float().flatten()
        return SoftOutputs({"anchors": SoftHead(_products(logits), boxes, quality=quality)})
    boxes = model.box_coder.decode_single(deltas, anchors)
    if hasattr(model, "neg_to_pos_ratio"):  # SSD, whose classes share a softmax
        return SoftOutputs({"anchors": SoftHead(logits, boxes, BACKGROUND)})
    return SoftOutputs({"anchors": SoftHead(_products(logits), boxes)})


def soft_two_stage(model: Any, images: Tensor, like: SoftOutputs | None) -> SoftOutputs:
    """Return the outputs of Faster and Mask R-CNN: of the proposal network at all anchors, of the heads at regions."""
    listed, named = listed_and_maps(model, images)
    maps = list(named.values())
    objectness, deltas = model.rpn.head(maps)
    anchors = model.rpn.anchor_generator(listed, maps)
    per_level = [int(one[0].numel()) for one in objectness]
    logits, codes = concat_box_prediction_layers(objectness, deltas)
    boxes = model.rpn.box_coder.decode(codes.float(), anchors)[:, 0]
    first = SoftHead(logits.float().reshape(-1, 1), boxes)
    if like is None:
        proposals = boxes.detach().view(len(images), -1, 4)
        found, _ = model.rpn.filter_proposals(proposals, logits.detach(), listed.image_sizes, per_level)
        regions = tuple(one[:MAX_REGIONS].detach() for one in found)
    else:
        regions = like.regions
    second, classes = _second_stage(model, named, listed.image_sizes, regions, like.classes if like else None)
    return SoftOutputs({"proposals": first, "regions": second}, regions, classes)


def _second_stage(
    model: Any,
    maps: dict[str, Tensor],
    sizes: list[tuple[int, int]],
    regions: tuple[Tensor, ...],
    classes: Tensor | None,
) -> tuple[SoftHead, Tensor]:
    """Return the outputs at regions, and the class of each whose box is given: the likeliest product if not given."""
    heads, listed = model.roi_heads, list(regions)
    logits, codes = heads.box_predictor(heads.box_head(heads.box_roi_pool(maps, listed, sizes)))
    boxes = heads.box_coder.decode(codes.float(), listed).reshape(*logits.shape, 4)
    if classes is None:
        classes = logits.detach()[:, BACKGROUND + 1 :].argmax(1) + BACKGROUND + 1
    return SoftHead(logits.float(), boxes[torch.arange(len(boxes)), classes], BACKGROUND), classes


def listed_and_maps(model: Any, images: Tensor) -> tuple[Any, dict[str, Tensor]]:
    """Return the images as torchvision's heads take them, and their feature maps by level."""
    listed, _ = model.transform(list(images))
    maps = model.backbone(listed.tensors)
    return listed, {"0": maps} if isinstance(maps, Tensor) else maps


def _products(logits: Tensor) -> Tensor:
    """Return (N, C) logits without background, which detectors with sigmoids never learn."""
    return logits[:, BACKGROUND + 1 :]
