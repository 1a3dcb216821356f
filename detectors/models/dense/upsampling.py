"""The four ways to enlarge feature maps: nearest, bed of nails, max unpooling, transposed convolution.

Each takes (B, C, h, w) and returns (B, C, f h, f w) for a factor f; cell i lies over cells f i to f i + f - 1 of the
result. `spread` is the exception: as in the fully convolutional networks of Long et al. (2015, arXiv 1411.4038) its
result reaches half a cell beyond the map on every side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def enlarge_nearest(maps: Tensor, factor: int = 2) -> Tensor:
    """Repeat every cell `factor` times in both directions."""
    return maps.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def enlarge_nails(maps: Tensor, factor: int = 2) -> Tensor:
    """Put every cell into the top left corner of its square of `factor` x `factor` cells; the others are zero."""
    batch, channels, height, width = maps.shape
    corner = torch.zeros(factor, factor, dtype=maps.dtype, device=maps.device)
    corner[0, 0] = 1
    nailed = maps[:, :, :, None, :, None] * corner[:, None, :]
    return nailed.reshape(batch, channels, factor * height, factor * width)


def pool(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Pool by the maximum of squares of two cells; also return the place of each maximum (Zeiler and Fergus 2014)."""
    pooled, places = functional.max_pool2d(maps, 2, return_indices=True)
    return pooled, places


def unpool(maps: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Put every cell back where the maximum was that `pool` took; the others are zero.

    maps: (B, C, h, w). places: of `pool`, of the same shape. size: height and width before pooling, which may be odd.
    """
    return functional.max_unpool2d(maps, places, 2, output_size=size)


def bilinear_kernel(factor: int) -> Tensor:
    """Return the (2 f, 2 f) weights with which a transposed convolution of stride f interpolates linearly.

    Along each axis w_i = 1 - |i - c| / f with c = f - 1/2: for f = 2 they are 1/4, 3/4, 3/4, 1/4.
    """
    taps = torch.arange(2 * factor, dtype=torch.float32)
    row = 1 - (taps - (factor - 0.5)).abs() / factor
    return torch.outer(row, row)


def spread(maps: Tensor, kernel: Tensor) -> Tensor:
    """Enlarge by a transposed convolution without padding: to (B, C, f h + f, f w + f), channel by channel.

    kernel: (2 f, 2 f), the same for all channels. The first cell of the result lies f / 2 cells before the map.
    """
    channels = maps.shape[1]
    weight = kernel.to(maps.dtype).expand(channels, 1, *kernel.shape)
    return functional.conv_transpose2d(maps, weight, stride=kernel.shape[0] // 2, groups=channels)


class LearnedNails(nn.Module):
    """A bed of nails and a filter of 4 x 4 cells for each channel, repeated until the factor is reached.

    Together they are a transposed convolution of stride 2 whose weights are learned, from linear interpolation on.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.steps = nn.ParameterList(
            nn.Parameter(bilinear_kernel(2).expand(channels, 1, 4, 4).clone()) for _ in range(factor.bit_length() - 1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the (B, C, f h, f w) maps."""
        for weight in self.steps:
            nailed = functional.pad(enlarge_nails(maps), (2, 1, 2, 1))
            maps = functional.conv2d(nailed, weight, groups=len(weight))
        return maps
