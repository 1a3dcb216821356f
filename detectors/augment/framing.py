"""Geometric augmentation: zoom, crop and mosaic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.augment.fit import letterbox
from detectors.augment.settings import AugmentSettings, sample_factor
from detectors.augment.view import ImageWindow, Rectangle, compose
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample


def frame(sample: Sample, *, settings: AugmentSettings, width: int, height: int, rng: np.random.Generator) -> Sample:
    """Zoom in (cropping) or out (padding with grey) at random, or just fit the sample into the output."""
    box = letterbox(sample, width, height)
    if rng.random() >= settings.zoom_chance:
        return compose([(sample, box.window)], width, height)
    scale = box.scale * sample_factor(settings.zoom, rng)
    stretch = sample_factor(settings.aspect, rng) ** 0.5
    window = sample_window(sample, (0, 0, width, height), (scale * stretch, scale / stretch), rng)
    return compose([(sample, window)], width, height)


def mosaic(
    samples: Sequence[Sample], *, settings: AugmentSettings, width: int, height: int, rng: np.random.Generator
) -> Sample:
    """Combine four samples around a random centre, each filling its corner (Bochkovskiy et al. 2020, "YOLOv4")."""
    middle = [round(size * rng.uniform(*settings.mosaic_centre)) for size in (width, height)]
    x, y = min(max(middle[0], 1), width - 1), min(max(middle[1], 1), height - 1)
    corners = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    parts = []
    for sample, corner in zip(samples, corners, strict=True):
        scale = letterbox(sample, width, height).scale * sample_factor(settings.mosaic_zoom, rng)
        filling = max((corner[2] - corner[0]) / sample.width, (corner[3] - corner[1]) / sample.height)
        parts.append((sample, sample_window(sample, corner, (max(scale, filling),) * 2, rng)))
    return compose(parts, width, height)


def sample_window(sample: Sample, tile: Rectangle, scale: tuple[float, float], rng: np.random.Generator) -> ImageWindow:
    """Sample which part of a sample is shown where on a tile of the output, at a scale (x, y).

    The crop, or the position in the tile, is random. The window contains the centre of a random target if there is any.
    """
    targets = np.flatnonzero(sample.labels != IGNORED)
    focus = None
    if len(targets):
        box = sample.boxes[targets[rng.integers(len(targets))]]
        focus = (box[:2].astype(np.float64) + box[2:]) / 2
    window, target = [0, 0, 0, 0], [0, 0, 0, 0]
    for axis, size in enumerate((sample.width, sample.height)):
        room = tile[axis + 2] - tile[axis]
        shown = min(max(round(size * scale[axis]), 1), room)
        length = min(max(round(shown / scale[axis]), 1), size)
        if length >= 2 * shown:
            length -= length % 2  # even lengths shrink fast, see resize
        start = _sample_start(size, length, None if focus is None else focus[axis], rng)
        offset = tile[axis] + int(rng.integers(room - shown + 1))
        window[axis], window[axis + 2] = start, start + length
        target[axis], target[axis + 2] = offset, offset + shown
    return ImageWindow((window[0], window[1], window[2], window[3]), (target[0], target[1], target[2], target[3]))


def _sample_start(size: int, length: int, focus: float | None, rng: np.random.Generator) -> int:
    """Sample the start of a window of `length` out of `size` pixels that contains `focus`."""
    low, high = 0, size - length
    if focus is not None:
        high = min(high, int(np.floor(focus)))
        low = min(max(low, int(np.floor(focus - length)) + 1), high)
    return int(rng.integers(low, high + 1))
