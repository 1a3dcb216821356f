"""Patches of images as SSD is trained on (Liu et al. 2016, arXiv 1512.02325, section 2.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.augment.settings import AugmentSettings
from detectors.augment.view import ImageWindow, areas, compose
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample

# Least overlaps of a patch with a product, one of which is wanted of each patch; None takes the whole canvas.
OVERLAPS = (None, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
# Tries to find a patch of the wanted overlap, after which the whole canvas is taken.
TRIES = 50


def cut_patch(
    sample: Sample, *, settings: AugmentSettings, width: int, height: int, rng: np.random.Generator
) -> Sample:
    """Lay a sample on a larger grey canvas at times, cut a patch that overlaps a product and stretch it to the output.

    Two things differ from the publication. Images are not squeezed into the output's shape, as they are not in
    prediction: the least canvas has that shape, with the image in its corner. And products of which less than a
    quarter is left are neither target nor background, wherever their centre is.
    """
    size = np.array([width, height]) * max(sample.width / width, sample.height / height)
    start = np.zeros(2)
    if rng.random() < settings.expand_chance:
        grown = rng.uniform(*settings.expand) * size
        start, size = start - rng.random(2) * (grown - size), grown
    canvas = np.concatenate([start, start + size])
    patch = sample_patch(canvas, sample.boxes[sample.labels != IGNORED], settings.patch_side, rng)
    return compose([(sample, window_of(patch, sample, width, height))], width, height)


def sample_patch(
    canvas: NDArray[np.float64], boxes: NDArray[np.float32], side: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return (4,) xyxy of a patch of a canvas that has the centre of one of (N, 4) boxes in it and overlaps one.

    side: range of its sides as shares of the canvas, the longer at most twice the shorter share. The whole canvas
    without boxes, where that is wanted, and where none was found.
    """
    wanted = OVERLAPS[int(rng.integers(len(OVERLAPS)))]
    if wanted is None or not len(boxes):
        return canvas
    centres = (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2
    for _ in range(TRIES):
        shares, place = rng.uniform(*side, size=2), rng.random(2)
        if not 0.5 <= shares[0] / shares[1] <= 2:
            continue
        size = shares * (canvas[2:] - canvas[:2])
        start = canvas[:2] + place * (canvas[2:] - canvas[:2] - size)
        patch = np.concatenate([start, start + size])
        inside = ((centres > patch[:2]) & (centres < patch[2:])).all(axis=1)
        if inside.any() and _overlaps(patch, boxes).max() >= wanted:
            return patch
    return canvas


def window_of(patch: NDArray[np.float64], sample: Sample, width: int, height: int) -> ImageWindow:
    """Return which whole pixels of a sample a patch shows, and where in an output to which it is stretched."""
    source, target = [0, 0, 0, 0], [0, 0, 0, 0]
    for axis, (size, room) in enumerate(((sample.width, width), (sample.height, height))):
        low, high = patch[axis], patch[axis + 2]
        start = min(max(round(low), 0), size - 1)
        end = max(min(round(high), size), start + 1)
        scale = room / (high - low)
        left = min(max(round((start - low) * scale), 0), room - 1)
        source[axis], source[axis + 2] = start, end
        target[axis], target[axis + 2] = left, min(max(round((end - low) * scale), left + 1), room)
    return ImageWindow((source[0], source[1], source[2], source[3]), (target[0], target[1], target[2], target[3]))


def _overlaps(patch: NDArray[np.float64], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (N,) IoU of a patch with boxes."""
    common = np.concatenate([np.maximum(boxes[:, :2], patch[:2]), np.minimum(boxes[:, 2:], patch[2:])], axis=1)
    shared = areas(common)
    return shared / (areas(boxes) + areas(patch[None]) - shared)
