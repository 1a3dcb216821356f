"""Feature maps of an image, their strongest channels, and how much of the image a cell of each level sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = Callable[[Tensor], list[Tensor]]
# Share of the squared gradient within what a cell is said to see.
SEEN = 0.75


@dataclass(frozen=True, eq=False)
class FeatureLevel:
    """The feature map of one level. maps: (C, h, w) float32. strongest: channels by falling mean of their magnitudes.

    sees: width and height in pixels of the receptive field.
    """

    maps: NDArray[np.float32]
    strongest: tuple[int, ...]
    sees: tuple[int, int]


def feature_levels(features: Features, images: Tensor, channels: int) -> list[FeatureLevel]:
    """Return the levels of a single image (1, 3, H, W), the finest first, with so many strongest channels each."""
    with torch.no_grad():
        found = [one[0].float().cpu().numpy() for one in features(images)]
    fields = [receptive_field(features, images, level) for level in range(len(found))]
    return [FeatureLevel(maps, _strongest(maps, channels), sees) for maps, sees in zip(found, fields, strict=True)]


def _strongest(maps: NDArray[np.float32], count: int) -> tuple[int, ...]:
    order = np.argsort(-np.abs(maps).mean((1, 2)), kind="stable")
    return tuple(int(channel) for channel in order[:count])


def receptive_field(features: Features, images: Tensor, level: int) -> tuple[int, int]:
    """Return width and height of what the middle cell of a level sees: itself and a margin that holds most of it.

    That is three quarters of the squared gradient of the cell's channels. This effective receptive field is smaller
    than the theoretical one (Luo et al. 2016, arXiv 1701.04128), which norms over the image make as large as the image.
    A level that passes no gradient sees its own cell.
    """
    height, width = images.shape[-2:]
    with torch.enable_grad():
        seen = images.detach().clone().requires_grad_()
        one = features(seen)[level]
        rows, columns = one.shape[-2:]
        stride = (-(-width // columns), -(-height // rows))
        if not one.requires_grad:
            return stride
        (gradient,) = torch.autograd.grad(one[0, :, rows // 2, columns // 2].sum(), seen, allow_unused=True)
    if gradient is None or not gradient.abs().amax() > 0:
        return stride
    energy = gradient[0].double().square().sum(0)
    left, top = columns // 2 * width // columns, rows // 2 * height // rows
    for margin in range(max(height, width)):
        near = energy[
            max(top - margin, 0) : top + stride[1] + margin, max(left - margin, 0) : left + stride[0] + margin
        ]
        if near.sum() >= SEEN * energy.sum():
            break
    return min(stride[0] + 2 * margin, width), min(stride[1] + 2 * margin, height)
