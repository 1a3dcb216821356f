"""Random erasing: rectangles hide parts of products, whose boxes stay as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.augment.settings import AugmentSettings, sample_factor
from detectors.augment.view import Rectangle, areas
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample


def erase(sample: Sample, *, settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a copy of the sample's image with rectangles over some of its targets.

    All rectangles together hide at most the upper limit of `erase_area` of any box.
    """
    image = sample.image.copy()
    hidden = np.zeros(len(sample.boxes))
    for index in np.flatnonzero(sample.labels != IGNORED):
        if rng.random() >= settings.erase_share:
            continue
        rectangle = _sample_rectangle(sample.boxes[index], settings, rng)
        more = hidden + _shares_covered(sample.boxes, rectangle)
        x0, y0, x1, y1 = rectangle
        if x0 < x1 and y0 < y1 and (more <= settings.erase_area[1]).all():
            image[y0:y1, x0:x1] = _sample_filling(image, x1 - x0, y1 - y0, rng)
            hidden = more
    return image


def _sample_rectangle(box: NDArray[np.float32], settings: AugmentSettings, rng: np.random.Generator) -> Rectangle:
    """Sample a rectangle inside a box, xyxy in whole pixels; it may be empty for a tiny box."""
    share, aspect = sample_factor(settings.erase_area, rng), sample_factor((0.4, 2.5), rng)
    size = box[2:] - box[:2]
    part = np.minimum(np.sqrt([share * aspect, share / aspect]), 1)
    extent = np.floor(part * size)
    start = np.ceil(box[:2] + rng.random(2) * (size - extent))
    end = np.minimum(start + extent, np.floor(box[2:]))
    return int(start[0]), int(start[1]), int(end[0]), int(end[1])


def _shares_covered(boxes: NDArray[np.float32], rectangle: Rectangle) -> NDArray:
    """Return the (N,) fraction of each box's area that the rectangle covers."""
    inside = np.concatenate([np.maximum(boxes[:, :2], rectangle[:2]), np.minimum(boxes[:, 2:], rectangle[2:])], axis=1)
    return areas(inside) / np.maximum(areas(boxes), 1e-9)


def _sample_filling(image: NDArray[np.uint8], width: int, height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Sample (height, width, 3) pixels: noise, one colour, or another part of the image, with equal probability."""
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == 1:
        return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (height, width, 3))
    row, column = rng.integers(image.shape[0] - height + 1), rng.integers(image.shape[1] - width + 1)
    return image[row : row + height, column : column + width].copy()
