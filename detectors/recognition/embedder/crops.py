"""Cutting and fitting of product crops, shared by training, gallery and recognition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.augment.view import GREY, resize

ImageArray = NDArray[np.uint8]


def prepare_crop(image: ImageArray, box: NDArray, *, margin: float) -> ImageArray:
    """Return the (h, w, 3) part of an (H, W, 3) uint8 RGB image inside a box, as a view.

    box: (4,) xyxy in pixels, far edge exclusive. margin: added on every side, as a fraction of the box's width and
    height. The crop has all pixels that the enlarged box touches, clipped to the image, and at least one.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = crop_edges(box, width, height, margin=margin)
    return image[top:bottom, left:right]


def crop_edges(box: NDArray, width: int, height: int, *, margin: float) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in whole pixels of `prepare_crop`'s crop from an image of width x height."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    spare_x, spare_y = margin * max(x1 - x0, 0), margin * max(y1 - y0, 0)
    left, right = _span(x0 - spare_x, x1 + spare_x, width)
    top, bottom = _span(y0 - spare_y, y1 + spare_y, height)
    return left, top, right, bottom


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return start and end of the pixels touched between two edges, within 0 to size, at least one pixel."""
    start = min(max(int(np.floor(low)), 0), size - 1)
    return start, min(max(int(np.ceil(high)), start + 1), size)


def fit_square(crop: ImageArray, side: int) -> ImageArray:
    """Scale a crop to fit a (side, side, 3) square with its aspect ratio kept, centred on grey."""
    height, width = crop.shape[:2]
    return place_in_square(resize(crop, *fitted_size(width, height, side)), side)


def fitted_size(width: float, height: float, side: int) -> tuple[int, int]:
    """Return width and height in whole pixels of a crop scaled to fit a square."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def place_in_square(shown: ImageArray, side: int) -> ImageArray:
    """Centre an image on a grey (side, side, 3) square."""
    height, width = shown.shape[:2]
    square = np.full((side, side, 3), GREY, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = shown
    return square
