"""Necks: what YOLOv3 and v4 put between the backbone and the heads. Each has the `channels` of its maps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.darknet.layers import LayerStyle, PointAttention

# Published channels of the narrow convolutions of each level, the finest first; heads take twice as many.
LEVELS = (128, 256, 512)
# Sides of the max pools of spatial pyramid pooling.
POOLS = (5, 9, 13)


class TopDown(nn.Module):
    """YOLOv3's: five convolutions on each level, the result doubled in size and joined to the next finer one."""

    def __init__(self, style: LayerStyle, inputs: Sequence[int]) -> None:
        super().__init__()
        widths = [style.channels(width) for width in LEVELS]
        self.channels = [2 * width for width in widths]
        coarser = [width // 2 for width in widths[1:]]
        self.lateral = nn.ModuleList(style.conv(width, width // 2, 1) for width in widths[1:])
        joined = [own + above for own, above in itertools.zip_longest(inputs, coarser, fillvalue=0)]
        self.mix = nn.ModuleList(style.alternating(a, b, 5) for a, b in zip(joined, widths, strict=True))
        self.last = nn.ModuleList(style.conv(width, 2 * width) for width in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps that the heads take, of the grids of the given ones."""
        found: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(maps))):
            one = maps[level]
            if above is not None:
                up = functional.interpolate(self.lateral[level](above), size=one.shape[-2:])
                one = torch.cat([up, one], 1)
            above = self.mix[level](one)
            found.append(self.last[level](above))
        return found[::-1]


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling as YOLOv3-SPP has it: the map beside its max pools of sides 5, 9 and 13."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in POOLS)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, 4 C, h, w) of (B, C, h, w) maps."""
        return torch.cat([*(pool(maps) for pool in reversed(self.pools)), maps], 1)


class PathAggregation(nn.Module):
    """YOLOv4's: spatial pyramid pooling, then a path down to fine maps and one up again (PAN, Liu et al. 2018).

    Maps are joined by concatenation, not added. attention: whether each map is weighted by PointAttention.
    """

    def __init__(self, style: LayerStyle, inputs: Sequence[int], *, attention: bool) -> None:
        super().__init__()
        widths = [style.channels(width) for width in LEVELS]
        self.channels = [2 * width for width in widths]
        top = widths[-1]
        self.before = style.alternating(inputs[-1], top, 3)
        self.pool = PyramidPooling()
        self.after = style.alternating(4 * top, top, 3)
        fine = widths[:-1]
        self.narrow = nn.ModuleList(style.conv(coarse, own, 1) for own, coarse in itertools.pairwise(widths))
        self.lateral = nn.ModuleList(style.conv(count, own, 1) for count, own in zip(inputs, fine, strict=False))
        self.down = nn.ModuleList(style.alternating(2 * own, own, 5) for own in fine)
        self.shrink = nn.ModuleList(style.conv(own, coarse, stride=2) for own, coarse in itertools.pairwise(widths))
        self.up = nn.ModuleList(style.alternating(2 * own, own, 5) for own in widths[1:])
        self.attend = nn.ModuleList(PointAttention(own) if attention else nn.Identity() for own in widths)
        self.last = nn.ModuleList(style.conv(own, 2 * own) for own in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps that the heads take, of the grids of the given ones."""
        levels = [*maps[:-1], self.after(self.pool(self.before(maps[-1])))]
        for level in reversed(range(len(levels) - 1)):
            up = functional.interpolate(self.narrow[level](levels[level + 1]), size=levels[level].shape[-2:])
            levels[level] = self.down[level](torch.cat([self.lateral[level](levels[level]), up], 1))
        for level in range(1, len(levels)):
            below = self.shrink[level - 1](levels[level - 1])
            levels[level] = self.up[level - 1](torch.cat([below, levels[level]], 1))
        return [last(attend(one)) for last, attend, one in zip(self.last, self.attend, levels, strict=True)]
