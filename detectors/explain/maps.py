"""Feature maps of an image, their strongest channels, and how much of the image a cell of each level sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = Callable[[Tensor], list[Tensor]]
# Pixels with less than this share of the largest gradient are hardly seen.
SEEN = 0.05


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
    """Return width and height of what the middle cell of a level sees: pixels of 5 % of the largest gradient or more.

    This effective receptive field is smaller than the theoretical one (Luo et al. 2016, arXiv 1701.04128). A level that
    passes no gradient to the image has that of its stride.
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
    magnitude = gradient[0].abs().sum(0)
    ys, xs = torch.nonzero(magnitude >= SEEN * magnitude.amax(), as_tuple=True)
    return int(xs.amax() - xs.amin()) + 1, int(ys.amax() - ys.amin()) + 1
