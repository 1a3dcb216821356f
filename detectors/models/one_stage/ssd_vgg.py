"""SSD over VGG-16 (Liu et al. 2016, arXiv 1512.02325): the default boxes of the paper and the maps of SSD512."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.vgg import make_layers

Scales = Literal["coco", "voc"]

# Sides of the default boxes as shares of the image, by the data sets of the paper; the last one is that of a map which
# is not there, for the square box between two scales. Those of COCO are smaller.
SCALES: dict[int, dict[Scales, tuple[float, ...]]] = {
    300: {
        "coco": (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),
        "voc": (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05),
    },
    512: {
        "coco": (0.04, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.06),
        "voc": (0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05),
    },
}
# Pixels between the cells of each map, and the aspect ratios beside 1 of each; also upright.
STEPS = {300: (8, 16, 32, 64, 100, 300), 512: (8, 16, 32, 64, 128, 256, 512)}
RATIOS = {300: ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)), 512: ((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,))}
# Norm of conv4_3's features at each place in the beginning.
L2_NORM = 20.0
# Place of the pooling after conv4_3 among the layers of VGG-16.
POOL4 = 23


def default_boxes(side: int, scales: Scales) -> DefaultBoxGenerator:
    """Build the default boxes of SSD300 (8,732) or SSD512 (24,564)."""
    ratios = [list(row) for row in RATIOS[side]]
    return DefaultBoxGenerator(ratios, scales=list(SCALES[side][scales]), steps=list(STEPS[side]))


def vgg16_widths(first: int) -> list[str | int]:
    """Return the channels of VGG-16's convolutions, "M" where it pools. first: of the first ones, 64 as published."""
    return [
        width if isinstance(width, str) else width * first
        for width in (1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M")
    ]


class Vgg512(nn.Module):
    """The seven maps of SSD512, of 64, 32, 16, 8, 4, 2 and 1 cells; torchvision has those of SSD300.

    conv4_3 with its features normalised, conv7 (the fully connected layers of VGG as dilated convolutions), and five
    that halve the one before. width: share of the published channels.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        first, small, middle, large, huge = (round(width * channels) for channels in (64, 128, 256, 512, 1024))
        layers = list(make_layers(vgg16_widths(first), False))
        self.channels = (large, huge, large, middle, middle, middle, middle)
        self.scale_weight = nn.Parameter(torch.full((large,), L2_NORM))
        self.features = nn.Sequential(*layers[:POOL4])
        fc = nn.Sequential(
            nn.MaxPool2d(3, 1, 1), *_convolution(large, huge, 3, padding=6, dilation=6), *_convolution(huge, huge, 1)
        )
        self.extra = nn.ModuleList(
            [
                nn.Sequential(*layers[POOL4:-1], fc),
                _halve(huge, middle, large),
                _halve(large, small, middle),
                _halve(middle, small, middle),
                _halve(middle, small, middle),
                nn.Sequential(*_convolution(middle, small, 1), *_convolution(small, middle, 4, padding=1)),
            ]
        )
        for part in (fc, *self.extra[1:]):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        seen = self.features(images)
        maps = [self.scale_weight[:, None, None] * functional.normalize(seen)]
        for block in self.extra:
            seen = block(seen)
            maps.append(seen)
        return OrderedDict((str(level), one) for level, one in enumerate(maps))


def _convolution(inputs: int, outputs: int, side: int, **how: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, side, **how), nn.ReLU(inplace=True)


def _halve(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, middle, 1), *_convolution(middle, outputs, 3, stride=2, padding=1))
