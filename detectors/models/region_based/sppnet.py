"""SPP-net (He et al. 2014): proposals are pooled from one feature map by a spatial pyramid of 50 bins.

He, Zhang, Ren and Sun 2014, arXiv 1406.4729. The convolutions see the image once and stay as they are; fully connected
layers are fine-tuned, then support vector machines and box regressors are fitted as in R-CNN. Written from the paper.
"""

from __future__ import annotations

import sys
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_pool

from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.region_based.bodies import ALEXNET_NAMES, STRIDE, FullyConnected, convolutions
from detectors.models.region_based.sampling import Matched, sample_regions
from detectors.models.region_based.window_classifier import WindowClassifier, WindowFeatures, WindowOptions
from detectors.models.spec import ModelSpec

LONG_SIDE = 800
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
BACKBONE_STRIDES = (16,)
NEEDS_PROPOSALS = True
NOT_EXPORTED = "selective search runs outside the network"
SMALLEST = {"dropout": 0.0, "proposals": 200, "regions": 32, "search_width": 160, "train": "all", "width": 64}
TORCHVISION = (None, "AlexNet_Weights")
RENAMED = ALEXNET_NAMES
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
# Sides of the grids of the pyramid: 36 + 9 + 4 + 1 bins.
PYRAMID = (6, 3, 2, 1)
# Shorter sides of the image at several scales, and the side of the window that each scale is chosen for.
SCALES, WINDOW = (480, 576, 688, 864, 1200), 224
POSITIVE, POSITIVE_SHARE, BACKGROUND_FROM = 0.5, 0.25, 0.1


class Options(WindowOptions):
    """Options of the network."""

    regions: int = Field(64, ge=4, le=4096, description="Proposals of an image that are trained on in a step.")
    train: Literal["fc", "all"] = Field(
        "fc", description="Layers to train: the fully connected ones as published, which needs weights, or all."
    )
    multi_scale: bool = Field(
        False,
        description="Pool each proposal at the scale, of 480 to 1200 pixels, at which it is nearest to 224 x 224.",
    )


class SppNet(WindowClassifier):
    """The network (interface.FittedDetector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        convolved, channels = convolutions(spec.backbone)
        bins = channels * sum(side**2 for side in PYRAMID)
        super().__init__(spec, options, bins)
        self.options, self.backbone = options, convolved
        self.head = FullyConnected(bins, options.width, options.dropout)
        if options.train == "fc":
            self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for convolutions that are not trained."""
        super().train(mode)
        if self.options.train == "fc":
            self.backbone.eval()
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the map of the convolutions at the network's size."""
        return [self.backbone(normalised(images, self.spec))]

    def window_features(self, images: Tensor, windows: list[Tensor]) -> WindowFeatures:
        """Return the pyramid and fc7 of windows."""
        pooled = self._pool_scales(images, windows) if self.options.multi_scale else self._pool(images, windows, 1.0)
        return WindowFeatures(pooled, self.head(pooled))

    def sample(self, matched: list[Matched]) -> tuple[list[Matched], list[Tensor]]:
        """Sample windows of each image: a quarter overlap a product by half, the others by 0.1 to 0.5."""
        count = self.options.regions
        background = (BACKGROUND_FROM, POSITIVE)
        share = round(POSITIVE_SHARE * count)
        pairs = [
            sample_regions(one, positives=share, total=count, positive=POSITIVE, background=background)
            for one in matched
        ]
        return [one for one, _ in pairs], [labels for _, labels in pairs]

    def _pool(self, images: Tensor, windows: list[Tensor], scale: float) -> Tensor:
        (maps,) = self.features(images)
        places = [map_windows(boxes * scale, STRIDE, maps.shape[-2:]) for boxes in windows]
        return pool_pyramid(maps.float(), places)

    def _pool_scales(self, images: Tensor, windows: list[Tensor]) -> Tensor:
        """Pool each window from a copy of its image whose scale suits the window."""
        rows = []
        for image, boxes in zip(images[:, None], windows, strict=True):
            scales = [side / min(image.shape[-2:]) for side in SCALES]
            chosen = choose_scales(boxes, scales)
            pooled = boxes.new_zeros(len(boxes), self.head.fc6.in_features)
            for place in chosen.unique().tolist():
                mine = chosen == place
                size = [round(side * scales[place]) for side in image.shape[-2:]]
                scaled = functional.interpolate(image, size, mode="bilinear", antialias=True)
                pooled = pooled.index_put((mine,), self._pool(scaled, [boxes[mine]], scales[place]))
            rows.append(pooled)
        return torch.cat(rows)


def map_windows(boxes: Tensor, stride: int, size: tuple[int, ...]) -> Tensor:
    """Map (R, 4) boxes of an image to the cells that they cover, (R, 4) with inclusive ends.

    Left and top are floor(x / stride) + 1, right and bottom ceil(x / stride) - 1, the cells whose receptive fields are
    centred within the box. Kept inside the map of `size` (height, width), with one cell at least.
    """
    low = (boxes[:, :2] / stride).floor() + 1
    high = (boxes[:, 2:] / stride).ceil() - 1
    last = boxes.new_tensor([size[1] - 1, size[0] - 1])
    low = torch.minimum(low, last).clamp(min=0)
    return torch.cat([low, torch.maximum(torch.minimum(high, last), low)], 1)


def pool_pyramid(maps: Tensor, places: list[Tensor]) -> Tensor:
    """Return (R, C * 50) maxima of the bins of all grids, the finest first. places: of `map_windows`, of each map."""
    return torch.cat([roi_pool(maps, places, side, 1.0).flatten(1) for side in PYRAMID], 1)


def choose_scales(boxes: Tensor, scales: list[float]) -> Tensor:
    """Return (R,) the index of the scale at which a box has the number of pixels nearest to 224 x 224."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (area[:, None] * boxes.new_tensor(scales).square() - WINDOW**2).abs().argmin(1)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: AlexNet, or the stages of a timm model up to stride 16."""
    return SppNet(spec, options_of(sys.modules[__name__], spec))
