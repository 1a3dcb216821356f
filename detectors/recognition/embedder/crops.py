"""Crops of products: the one way of cutting and fitting them, for training, gallery and recognition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.augment.view import GREY, resize

Picture = NDArray[np.uint8]


def prepare_crop(picture: Picture, box: NDArray, *, margin: float) -> Picture:
    """The (h, w, 3) part of an (H, W, 3) uint8 RGB picture that a box shows, a view into it.

    box: (4,) xyxy in pixels, far edge exclusive. margin: share of the box's width and height that is added on every
    side. Whole pixels that the grown box touches, cut at the picture's border; at least one pixel.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = crop_edges(box, width, height, margin=margin)
    return picture[top:bottom, left:right]


def crop_edges(box: NDArray, width: int, height: int, *, margin: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what `prepare_crop` cuts from a picture of width x height, in whole pixels."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    spare_x, spare_y = margin * max(x1 - x0, 0), margin * max(y1 - y0, 0)
    left, right = _span(x0 - spare_x, x1 + spare_x, width)
    top, bottom = _span(y0 - spare_y, y1 + spare_y, height)
    return left, top, right, bottom


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """The whole pixels touched between two edges, inside 0 to size, never none."""
    start = min(max(int(np.floor(low)), 0), size - 1)
    return start, min(max(int(np.ceil(high)), start + 1), size)


def fit_square(crop: Picture, side: int) -> Picture:
    """(side, side, 3): the crop scaled to fill the square with its aspect ratio kept, in the middle, grey around it."""
    height, width = crop.shape[:2]
    return place_in_square(resize(crop, *fitted_size(width, height, side)), side)


def fitted_size(width: float, height: float, side: int) -> tuple[int, int]:
    """Width and height, in whole pixels, of something of this shape that fills a square as far as it can."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def place_in_square(shown: Picture, side: int) -> Picture:
    """(side, side, 3): the picture in the middle, grey around it."""
    height, width = shown.shape[:2]
    square = np.full((side, side, 3), GREY, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = shown
    return square
