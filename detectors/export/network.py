"""A detector as a network that can be traced: from the pixels of an image to boxes, nothing left but scaling it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign, roi_align

from detectors.models import detector_module
from detectors.models.detect import network_input
from detectors.models.ignoring import as_kind
from detectors.models.spec import ModelSpec
from detectors.models.torchvision_detector import TorchvisionDetector

INPUT, BOXES, LABELS, SCORES, MASKS, KEYPOINTS = "image", "boxes", "labels", "scores", "masks", "keypoints"


@contextmanager
def traceable(detector: nn.Module, spec: ModelSpec) -> Iterator[tuple[nn.Module, Tensor]]:
    """A detector on the CPU as an ImageDetector, and an image to trace it with, for as long as it is traced.

    The detector is changed and of no use afterwards.
    """
    noise = torch.randint(0, 256, (1, spec.height, spec.width, 3), generator=torch.Generator().manual_seed(0))
    image = noise.to(torch.uint8)
    _prepare(detector, image)
    with _nms_for_any_count(float(max(spec.width, spec.height) + 1)), _known_warnings():
        yield ImageDetector(detector), image


class ImageDetector(nn.Module):
    """A detector for one image at the network's size.

    Takes (1, H, W, 3) uint8 RGB. Returns boxes (D, 4) float32 xyxy pixels of that image, labels (D,) int64 from 0,
    scores (D,) float32 falling; of Mask R-CNN masks (D, M, M) float32, each stretched over its own box; of detectors of
    corners keypoints (D, 8, 3) float32.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        # The image has the network's size: boxes need no scaling, and masks are far smaller before they are pasted.
        if isinstance(detector, TorchvisionDetector):
            detector.transform.postprocess = _as_it_is
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.detector.detect(network_input(image))[0]
        boxes, labels = found["boxes"], found["labels"]
        # As in `detections_of`: nothing without area.
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        outputs = (boxes[kept], labels[kept], found["scores"][kept])
        if "keypoints" in found:
            return (*outputs, found["keypoints"][kept])
        return (*outputs, found["masks"][kept][:, 0]) if "masks" in found else outputs


class AnyCountPooling(MultiScaleRoIAlign):
    """torchvision's pooling of regions from a pyramid, for one image and for any count on each level.

    As torchvision traces it, runtimes fail where just one region, or none, falls on a level.
    """

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        (regions,) = boxes
        levels = self.map_levels(boxes)
        pooled, places = [], []
        # A pyramid over a small backbone has fewer levels than the pooling has names for.
        maps = [one for name, one in x.items() if name in self.featmap_names]
        for level, (one, scale) in enumerate(zip(maps, self.scales, strict=True)):
            here = (levels == level).nonzero()[:, 0]
            chosen = regions[here]
            places.append(here)
            rows = torch.cat([torch.zeros_like(chosen[:, :1]), chosen], 1)
            pooled.append(roi_align(one, rows, self.output_size, scale, self.sampling_ratio))
        return torch.cat(pooled)[torch.argsort(torch.cat(places))]


def output_names(spec: ModelSpec) -> list[str]:
    """Names of the outputs in their order."""
    module = detector_module(spec.detector)
    if getattr(module, "NEEDS_KEYPOINTS", False):
        return [BOXES, LABELS, SCORES, KEYPOINTS]
    return [BOXES, LABELS, SCORES, *([MASKS] if module.NEEDS_MASKS else [])]


@torch.inference_mode()
def _prepare(detector: nn.Module, image: Tensor) -> None:
    # Pools learn the strides of their pyramid from the first image that they see.
    detector.detect(network_input(image))
    for heads in [child for name, child in detector.named_children() if name == "roi_heads"]:
        for name, child in heads.named_children():
            if isinstance(child, MultiScaleRoIAlign):
                setattr(heads, name, as_kind(AnyCountPooling, child))


def _as_it_is(found: list[dict[str, Tensor]], *sizes: Any) -> list[dict[str, Tensor]]:
    return found


@contextmanager
def _nms_for_any_count(step: float) -> Iterator[None]:
    """torchvision's NMS by class without its branch for no boxes, which a trace decides once for all images.

    Classes are moved `step` apart (further than the image is wide), where torchvision takes the largest coordinate:
    of no boxes there is none, and runtimes fail.
    """
    from torchvision.ops import boxes as operations

    def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
        apart = boxes + (idxs.to(boxes) * step)[:, None]
        return operations.nms(apart, scores, iou_threshold)

    before = operations.batched_nms
    operations.batched_nms = batched_nms
    try:
        yield
    finally:
        operations.batched_nms = before


@contextmanager
def _known_warnings() -> Iterator[None]:
    """Without torch's warnings on what is meant: one input size, and counts that are checked afterwards."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", ".*legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "`create_unbacked_symint` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "To copy construct from a tensor", UserWarning)
        warnings.filterwarnings("ignore", "Exporting aten::index operator", UserWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        yield
