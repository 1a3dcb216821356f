"""Layers of Darknet: convolutions with norm and activation, attention, and batch norm across mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.ops import drop_block2d

# Slope of the leaky rectifier for negative inputs.
LEAK = 0.1
# Side of the blocks that DropBlock drops.
BLOCK = 7
# Channels of narrowed networks are multiples of this.
CHANNELS = 8

Leaky: Callable[[], nn.Module] = partial(nn.LeakyReLU, LEAK)


@dataclass(frozen=True)
class LayerStyle:
    """How convolutions are built: norm (None: a bias instead), activation, and factor on the published channels."""

    norm: Callable[[int], nn.Module] | None = nn.BatchNorm2d
    activation: Callable[[], nn.Module] = Leaky
    width: float = 1.0

    def channels(self, published: int) -> int:
        """Return the number of channels for a published one: a multiple of CHANNELS."""
        return max(CHANNELS, CHANNELS * round(published * self.width / CHANNELS))

    def conv(self, inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Sequential:
        """Build a convolution with its norm and activation. inputs, outputs: channels as they are, not as published."""
        layer = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=self.norm is None)
        # Without a norm, torch's own initial values would leave next to nothing of the image after twenty layers.
        nn.init.kaiming_normal_(layer.weight, a=LEAK)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        norm = [] if self.norm is None else [self.norm(outputs)]
        return nn.Sequential(layer, *norm, self.activation())

    def alternating(self, inputs: int, outputs: int, count: int) -> nn.Sequential:
        """Build `count` convolutions, 1x1 to `outputs` and 3x3 to twice as many in turn."""
        layers, before = [], inputs
        for place in range(count):
            after, side = (2 * outputs, 3) if place % 2 else (outputs, 1)
            layers.append(self.conv(before, after, side))
            before = after
        return nn.Sequential(*layers)


class PointAttention(nn.Module):
    """Spatial attention as YOLOv4 changed it: every value is weighted by the sigmoid of a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape (B, C, h, w)."""
        return maps * self.weigh(maps).sigmoid()


class BlockDrop(nn.Module):
    """DropBlock (Ghiasi et al. 2018, arXiv 1810.12890): squares of maps are zero in training, the rest is scaled up.

    share: expected share of what is dropped. Blocks of 7 x 7, of maps that are smaller the largest odd side.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape (B, C, h, w)."""
        side = min(BLOCK, *maps.shape[2:])
        return drop_block2d(maps, self.share, side - (side % 2 == 0), training=self.training)


class CrossBatchNorm(nn.BatchNorm2d):
    """Cross mini-batch normalization, CmBN (Bochkovskiy et al. 2020): batch norm over mini-batches of a step so far.

    After `begin(parts)` the next `parts` calls in training mode belong together. Mini-batch t is normalised by the mean
    and variance over mini-batches 1 to t, and gradients go through its own part of them; the running statistics are
    updated once, by those over all. Without `begin`, and in evaluation, it is plain batch norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self._parts, self._done, self._count = 1, 0, 0
        self._sums: tuple[Tensor, Tensor] | None = None

    def begin(self, parts: int) -> None:
        """Forget earlier mini-batches and expect `parts` new ones."""
        self._parts, self._done, self._count, self._sums = parts, 0, 0, None

    def forward(self, maps: Tensor) -> Tensor:
        """Return normalised maps of the same shape (B, C, h, w)."""
        if not self.training or self._parts <= 1:
            return super().forward(maps)
        values = maps.float()
        sums, squares = values.sum((0, 2, 3)), values.square().sum((0, 2, 3))
        if self._sums is not None:
            sums, squares = sums + self._sums[0], squares + self._sums[1]
        self._sums = sums.detach(), squares.detach()
        self._count += values.numel() // values.shape[1]
        self._done += 1
        mean = sums / self._count
        variance = (squares / self._count - mean.square()).clamp(min=0)
        if self._done == self._parts:
            self._remember(mean.detach(), variance.detach())
            self._sums = None
        scale = self.weight * torch.rsqrt(variance + self.eps)
        moved = (values - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]
        return moved.to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * self._count / max(self._count - 1, 1), self.momentum)


def begin_mini_batches(modules: Iterable[nn.Module], parts: int) -> None:
    """Tell every CrossBatchNorm among modules that a step of `parts` mini-batches begins."""
    for module in modules:
        if isinstance(module, CrossBatchNorm):
            module.begin(parts)
