"""Crops of both sets, and simple numbers by which a classifier tells rendered ones from photographed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE
from pipeline.gap.measure import Floats, Ints, band_contrasts
from pipeline.gap.pictures import Picture
from pipeline.target.measure import noise_response

# Side of the crops that are compared, pixels, the smallest that are, and the most of a picture and of a set.
CROP_PX, SMALLEST_PX, PER_PICTURE, MOST = 64, 16, 8, 2000
# Random crops have this share of the root of the picture's area.
RANDOM_SHARE = 0.2
TURNS = 8
FEATURES = (
    *(f"{what} of {channel}" for what in ("mean", "spread") for channel in ("lightness", "green-red", "blue-yellow")),
    *(f"contrast at {scale} of the crop" for scale in ("1/128", "1/64", "1/32", "1/16", "1/8")),
    *("finest noise", "darkest tenth", "brightest tenth", "size", "shape"),
    *(f"edges at {round(180 * turn / TURNS)}°" for turn in range(TURNS)),
)


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of N objects or places. pixels: (N, CROP_PX, CROP_PX, 3) uint8. owners: number of each one's picture.

    shapes: (N, 2) logarithms of width over height, and of the side, pixels.
    """

    pixels: NDArray[np.uint8]
    owners: Ints
    shapes: Floats

    def __len__(self) -> int:
        return len(self.pixels)


def cut_crops(pictures: Sequence[Picture], *, boxes: bool, seed: int) -> Crops:
    """Return at most PER_PICTURE crops of each picture, MOST of all: of its boxes, or of random places."""
    pixels, owners, shapes = [], [], []
    most = int(np.clip(MOST // max(len(pictures), 1), 1, PER_PICTURE))
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng([seed, 2, number])
        for box in _boxes_of(picture, rng, most, boxes=boxes):
            pixels.append(_resized(picture.pixels, box))
            owners.append(number)
            width, height = box[2:] - box[:2]
            shapes.append((np.log2(width / height), np.log2(width * height) / 2))
    stacked = np.array(pixels, np.uint8).reshape(-1, CROP_PX, CROP_PX, 3)
    return Crops(stacked, np.array(owners, np.int64), np.array(shapes).reshape(-1, 2))


def _boxes_of(picture: Picture, rng: np.random.Generator, most: int, *, boxes: bool) -> Floats:
    height, width = picture.pixels.shape[:2]
    if boxes:
        assert picture.boxes is not None
        found = picture.boxes[((picture.boxes[:, 2:] - picture.boxes[:, :2]) >= SMALLEST_PX).all(axis=1)]
        return found[np.sort(rng.permutation(len(found))[:most])]
    side = int(np.clip(RANDOM_SHARE * np.sqrt(width * height), min(SMALLEST_PX, width, height), min(width, height)))
    corners = rng.random((most, 2)) * [width - side, height - side]
    return np.concatenate([corners, corners + side], axis=1)


def _resized(pixels: NDArray[np.uint8], box: Floats) -> NDArray[np.uint8]:
    import cv2

    height, width = pixels.shape[:2]
    left, top = np.clip(box[:2].astype(int), 0, [width - 2, height - 2])
    right, bottom = np.minimum(np.maximum(np.ceil(box[2:]).astype(int), [left + 2, top + 2]), [width, height])
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    shrinks = min(part.shape[:2]) >= CROP_PX
    return np.asarray(
        cv2.resize(part, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    )


def describe_crops(crops: Crops) -> Floats:
    """Return the FEATURES (N, F) of crops: colour, contrast by octaves, noise, edges by direction, size and shape."""
    rows = [_describe(pixels) for pixels in crops.pixels]
    described = np.array(rows).reshape(len(rows), -1)
    middle = FEATURES.index("size")
    return np.concatenate([described[:, :middle], crops.shapes[:, ::-1], described[:, middle:]], axis=1)


def _describe(pixels: NDArray[np.uint8]) -> list[float]:
    import cv2

    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    grey = (pixels.astype(np.float32) @ LUMINANCE).astype(np.float32)
    bands = np.log2(np.maximum(band_contrasts(pixels), 0.05))
    noise = np.log2(max(float(np.median(np.abs(noise_response(grey)))), 0.05))
    dark, bright = np.percentile(grey, (10, 90))
    across, down = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    turns = (np.arctan2(down, across) % np.pi / np.pi * TURNS).astype(int) % TURNS
    edges = np.bincount(turns.ravel(), np.hypot(across, down).ravel(), minlength=TURNS)
    shares = edges / max(edges.sum(), 1e-6)
    return [*lab.mean(axis=0), *lab.std(axis=0), *bands, noise, dark, bright, *shares]
