"""Parts shared by several detectors: torchvision's transform without resizing, and pyramids over timm backbones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from detectors.models.backbones.stages import backbone_stages, backbone_strides
from detectors.models.backbones.table import IMAGENET_MEAN as IMAGENET_MEAN
from detectors.models.backbones.table import IMAGENET_STD as IMAGENET_STD
from detectors.models.spec import ModelSpec

# Stride of the last stage of common backbones.
COARSEST = 32
# A shelf may hold hundreds of facings; torchvision's limit of 100 would drop some.
MAX_DETECTIONS = 300
# Low, because AP needs the whole precision-recall curve; `predict` only shows detections above the chosen threshold.
MIN_SCORE = 0.01
# Channels of the pyramid over a large backbone, as published, and half of that over a backbone whose last stage has
# fewer than 512 channels: wider heads make a lite network three times slower without detecting more.
WIDE_PYRAMID, NARROW_PYRAMID = 256, 128
WIDE_STAGE = 512
# Candidates of an image that suppression begins with, the best ones of all classes.
CANDIDATES = 1000
# From (N, 4) boxes, (N,) scores in falling order and (N,) labels to the indices of those that remain, best first.
Suppress = Callable[[Tensor, Tensor, Tensor], Tensor]


class Normalise(GeneralizedRCNNTransform):
    """torchvision's transform without resizing: images already have the network's size, in training and inference.

    (torchvision's own option to skip resizing only applies in training.)
    """

    def __init__(self, spec: ModelSpec, size_divisible: int) -> None:
        super().__init__(1, 1, list(spec.mean), list(spec.std), size_divisible=size_divisible)

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        return image, target


class TimmPyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017) over the stages of a timm model at strides 8, 16 and 32, or from 4 on.

    extra: builds the block of additional coarser levels, given the number of channels.
    """

    def __init__(self, name: str, *, least_stride: int, extra: Callable[[int], ExtraFPNBlock]) -> None:
        super().__init__()
        self.body, channels = timm_stages(name, least_stride)
        self.stages = len(channels)
        self.out_channels = WIDE_PYRAMID if channels[-1] >= WIDE_STAGE else NARROW_PYRAMID
        self.fpn = FeaturePyramidNetwork(channels, self.out_channels, extra_blocks=extra(self.out_channels))

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        return self.fpn(OrderedDict((str(level), stage) for level, stage in enumerate(self.body(images))))


def timm_stages(name: str, least_stride: int) -> tuple[nn.Module, list[int]]:
    """Build a backbone that returns its stages of stride `least_stride` to 32; also return their channel counts.

    name: of the table of backbones or any timm model. Raises SynthError for unknown names and for models without such
    stages (plain vision transformers, classic networks that end at stride 16).
    """
    strides = tuple(stride for stride in backbone_strides(name) if least_stride <= stride <= COARSEST)
    return backbone_stages(name, strides if strides[-1:] == (COARSEST,) else (*strides, COARSEST))


def pyramid_anchors(sizes: tuple[int, ...], per_octave: int = 1) -> AnchorGenerator:
    """Build the anchors of a pyramid: per level `per_octave` scales of its size, each in three aspect ratios."""
    scales = tuple(tuple(round(size * 2 ** (step / per_octave)) for step in range(per_octave)) for size in sizes)
    return AnchorGenerator(scales, ((0.5, 1.0, 2.0),) * len(sizes))


def max_pool_level(channels: int) -> ExtraFPNBlock:
    """Build one additional level by max pooling, as in Faster R-CNN."""
    return LastLevelMaxPool()


def two_strided_levels(channels: int) -> ExtraFPNBlock:
    """Build two additional levels by strided convolutions, as in RetinaNet and FCOS."""
    return LastLevelP6P7(channels, channels)


def covered_by(boxes: Tensor, regions: Tensor) -> Tensor:
    """Return the (N,) largest fraction of each (N, 4) box covered by a single (M, 4) region; 0 without regions."""
    if not len(regions):
        return boxes.new_zeros(len(boxes))
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).clamp(min=1e-6)
    return (common / area[:, None]).amax(dim=1)


def normalised(images: Tensor, spec: ModelSpec) -> Tensor:
    """Return (B, 3, H, W) images in 0..1 less the spec's mean, divided by its standard deviation."""
    mean, std = (
        torch.tensor(row, dtype=images.dtype, device=images.device)[:, None, None] for row in (spec.mean, spec.std)
    )
    return (images - mean) / std


def suppress_by_class(overlap: float) -> Suppress:
    """Return greedy non-maximum suppression within each class: of boxes of a higher IoU the weaker one is dropped."""
    # Called through its module: the ONNX exporter replaces it there by a version that also accepts zero boxes.
    return lambda boxes, scores, labels: torchvision.ops.boxes.batched_nms(boxes, scores, labels, overlap)


def keep_all(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Suppress nothing, in detectors that have one detection of an object."""
    # No range: traced for an exported file, that would be as long as in the traced image for ever.
    return torch.ones_like(labels).nonzero()[:, 0]


def select_boxes(scores: Tensor, boxes: Tensor, size: tuple[int, int], suppress: Suppress) -> dict[str, Tensor]:
    """Return the detections of one image from (A, classes) scores and (A, 4) boxes. size: width and height."""
    flat = scores.flatten()
    best, places = flat.topk(min(CANDIDATES, len(flat)))
    labels = places % scores.shape[1]
    boxes = torchvision.ops.clip_boxes_to_image(boxes[places // scores.shape[1]], (size[1], size[0]))
    good = best > MIN_SCORE
    boxes, best, labels = boxes[good], best[good], labels[good]
    kept = suppress(boxes, best, labels)[:MAX_DETECTIONS]
    return {"boxes": boxes[kept], "labels": labels[kept], "scores": best[kept]}
