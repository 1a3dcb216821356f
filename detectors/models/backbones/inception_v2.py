"""Inception v2, also called BN-Inception (Ioffe and Szegedy 2015, arXiv 1502.03167): GoogLeNet with batch norm.

The 5 x 5 convolutions of GoogLeNet (Szegedy et al. 2014) are two of 3 x 3, three modules have the resolution halved,
and each convolution is followed by batch norm. The widths are those of the paper's figure 5; in its modules 4c and 4d
they add up to 608, not to the 576 that it states: as in other implementations, their pooled branch has 96 channels.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Widths(NamedTuple):
    """Channels of a module's branches. pooled: 0 where the branch only pools; direct: 0 where there is no 1 x 1."""

    direct: int
    reduce: int
    three: int
    reduce_twice: int
    three_twice: int
    pooled: int


MODULES = {
    "inception3a": Widths(64, 64, 64, 64, 96, 32),
    "inception3b": Widths(64, 64, 96, 64, 96, 64),
    "inception3c": Widths(0, 128, 160, 64, 96, 0),
    "inception4a": Widths(224, 64, 96, 96, 128, 128),
    "inception4b": Widths(192, 96, 128, 96, 128, 128),
    "inception4c": Widths(160, 128, 160, 128, 160, 96),
    "inception4d": Widths(96, 128, 192, 160, 192, 96),
    "inception4e": Widths(0, 128, 192, 192, 256, 0),
    "inception5a": Widths(352, 192, 320, 160, 224, 128),
    "inception5b": Widths(352, 192, 320, 192, 224, 128),
}
# The one module with the same resolution whose pooled branch takes the maximum.
MAX_POOLED = "inception5b"


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.ReLU(inplace=True),
    )


class Inception(nn.Module):
    """One module: branches side by side, whose channels are joined."""

    def __init__(self, inputs: int, widths: Widths, largest: bool) -> None:
        super().__init__()
        stride = 1 if widths.direct else 2
        self.branches = nn.ModuleList()
        if widths.direct:
            self.branches.append(_convolution(inputs, widths.direct, 1))
        self.branches.append(
            nn.Sequential(_convolution(inputs, widths.reduce, 1), _convolution(widths.reduce, widths.three, 3, stride))
        )
        twice = widths.three_twice
        self.branches.append(
            nn.Sequential(
                _convolution(inputs, widths.reduce_twice, 1),
                _convolution(widths.reduce_twice, twice, 3),
                _convolution(twice, twice, 3, stride),
            )
        )
        pool: nn.Module = nn.MaxPool2d(3, stride, 1) if largest or stride == 2 else nn.AvgPool2d(3, 1, 1)
        self.branches.append(nn.Sequential(pool, _convolution(inputs, widths.pooled, 1)) if widths.pooled else pool)
        pooled = widths.pooled or inputs
        self.channels = widths.direct + widths.three + twice + pooled

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], 1)


def inception_v2_layers() -> OrderedDict[str, nn.Module]:
    """Build the layers by name, up to the last module."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=_convolution(3, 64, 7, 2),
        pool1=nn.MaxPool2d(3, 2, 1),
        conv2=nn.Sequential(_convolution(64, 64, 1), _convolution(64, 192, 3)),
        pool2=nn.MaxPool2d(3, 2, 1),
    )
    channels = 192
    for name, widths in MODULES.items():
        layers[name] = module = Inception(channels, widths, name == MAX_POOLED)
        channels = module.channels
    return layers
