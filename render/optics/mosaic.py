"""Colour filters on a sensor: each pixel measures one colour, the two others are interpolated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Filters of Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color images",
# ICASSP 2004, in eighths: green at red and blue; red (blue) at green, beside it and above it; red at blue.
GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
BESIDE = np.array([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
ABOVE = BESIDE.T
OPPOSITE = (
    np.array([[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]) / 8
)


def bayer_mosaic(image: NDArray) -> NDArray:
    """Return what a sensor with the filters R G / G B measures of an image (H, W, 3): (H, W)."""
    mosaic = image[..., 1].copy()
    mosaic[0::2, 0::2] = image[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = image[1::2, 1::2, 2]
    return mosaic


def demosaic(mosaic: NDArray) -> NDArray:
    """Interpolate the colours (H, W, 3) of a mosaic (H, W) of `bayer_mosaic`, which keeps what was measured.

    Linear filters correct each colour by the detail of the one measured there.
    """
    import cv2

    def filtered(kernel: NDArray) -> NDArray:
        return cv2.filter2D(mosaic, -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    image = np.repeat(mosaic[..., None], 3, axis=-1)
    beside, above, opposite, green = (filtered(kernel) for kernel in (BESIDE, ABOVE, OPPOSITE, GREEN))
    for row, column in ((0, 0), (1, 1)):
        image[row::2, column::2, 1] = green[row::2, column::2]
    for color, first in ((0, 0), (2, 1)):
        other = 1 - first
        image[first::2, other::2, color] = beside[first::2, other::2]
        image[other::2, first::2, color] = above[other::2, first::2]
        image[other::2, other::2, color] = opposite[other::2, other::2]
    return image
