"""SSD and SSDlite over any timm backbone: two of its stages and four smaller feature maps built on the last."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead

from detectors.models.parts import timm_stages
from detectors.models.spec import ModelSpec

EXTRA_CHANNELS = (512, 256, 256, 128)
MAX_GROUPS = 16


def _norm(channels: int) -> nn.GroupNorm:
    """Build a group norm: the last maps are one cell wide, too few values for the statistics of batch norm."""
    return nn.GroupNorm(math.gcd(channels, MAX_GROUPS), channels)


class TimmMaps(nn.Module):
    """Feature maps at strides 16 and 32 of a timm model, and four more, each half as wide as the one before."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body, channels = timm_stages(name, 16)
        widths = [channels[-1], *EXTRA_CHANNELS]
        self.extra = nn.ModuleList(_halve(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        maps = list(self.body(images))
        for block in self.extra:
            maps.append(block(maps[-1]))
        return OrderedDict((str(level), one) for level, one in enumerate(maps))


def _halve(inputs: int, outputs: int) -> nn.Sequential:
    """Build a block that halves the resolution by a depthwise convolution between two pointwise ones, as in SSDlite."""
    middle = outputs // 2
    return nn.Sequential(
        nn.Conv2d(inputs, middle, 1, bias=False),
        _norm(middle),
        nn.ReLU6(),
        nn.Conv2d(middle, middle, 3, stride=2, padding=1, groups=middle, bias=False),
        _norm(middle),
        nn.ReLU6(),
        nn.Conv2d(middle, outputs, 1, bias=False),
        _norm(outputs),
        nn.ReLU6(),
    )


def build(spec: ModelSpec, options: dict[str, Any]) -> SSD:
    """Build the network; default boxes start at 0.1 of the image, as products on shelves are smaller than in COCO."""
    maps = TimmMaps(spec.backbone or "")
    maps.eval()
    with torch.no_grad():
        channels = [one.shape[1] for one in maps(torch.zeros(1, 3, spec.height, spec.width)).values()]
    maps.train()
    boxes = DefaultBoxGenerator([[2, 3] for _ in channels], min_ratio=0.1, max_ratio=0.95)
    head = SSDLiteHead(channels, boxes.num_anchors_per_location(), spec.classes + 1, _norm)
    return SSD(maps, boxes, (spec.width, spec.height), spec.classes + 1, head=head, **options)
