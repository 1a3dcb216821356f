"""Measurement of all factors on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE, linear_from_srgb
from assets.machine import usable_cores
from pipeline.gap import factors as names
from pipeline.gap.factors import BAND_SIGMAS, BANDS, FACTORS, Factor
from pipeline.gap.pictures import Picture
from pipeline.target.measure import JPEG, LENS, MEASURED, Statistic, measure_picture

# Codes from which a channel counts as blown out.
WHITE = 250
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FactorValues:
    """Values of each of FACTORS as they are compared, finite; owners: number of each value's picture."""

    values: Sequence[Floats]
    owners: Sequence[Ints]

    def of(self, factor: Factor) -> tuple[Floats, Ints]:
        """Return the values of a factor and their pictures."""
        place = FACTORS.index(factor)
        return self.values[place], self.owners[place]


def measure_all(pictures: Sequence[Picture], *, side: float, detail: bool) -> FactorValues:
    """Measure all pictures. side: root of the area, pixels, at which object sizes are said. detail: measure DETAIL."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        rows = list(pool.map(lambda picture: measure_factors(picture, side=side, detail=detail), pictures))
    return collect(rows)


def collect(rows: Sequence[Sequence[Floats]]) -> FactorValues:
    """Return the values of pictures that were measured one by one."""
    values, owners = [], []
    for place, factor in enumerate(FACTORS):
        columns = [factor.statistic.scaled(row[place]) for row in rows]
        every = np.concatenate([np.zeros(0), *columns])
        owner = np.repeat(np.arange(len(rows)), [len(column) for column in columns])
        finite = np.isfinite(every)
        values.append(every[finite])
        owners.append(owner[finite])
    return FactorValues(values, owners)


def measure_factors(picture: Picture, *, side: float, detail: bool) -> list[Floats]:
    """Return the values of each of FACTORS on one picture: one number, or one of each object."""
    found = {statistic: np.array([value]) for statistic, value in _of_picture(picture, detail=detail)}
    if picture.boxes is not None:
        found |= _of_objects(picture, side)
    return [found.get(factor.statistic, np.zeros(0)) for factor in FACTORS]


def _of_picture(picture: Picture, *, detail: bool) -> list[tuple[Statistic, float]]:
    pixels = picture.pixels
    known = [(LENS, picture.lens_mm), (JPEG, picture.jpeg_quality)]
    said = [(statistic, np.nan if value is None else float(value)) for statistic, value in known]
    measured = zip(MEASURED, measure_picture(pixels, detail=detail).tolist(), strict=True)
    blown = 100 * float((pixels.max(axis=2) >= WHITE).mean())
    return [*said, *measured, (names.BLOWN, blown), *zip(BANDS, band_contrasts(pixels), strict=True)]


def band_contrasts(pixels: NDArray[np.uint8]) -> list[float]:
    """Return the standard deviation of grey, % of its mean, in octaves: differences of Gaussians of BAND_SIGMAS.

    Relative to the mean, so that a darker picture has no less contrast: Peli, "Contrast in complex images", Journal of
    the Optical Society of America A 7 (1990).
    """
    import cv2

    grey = (pixels.astype(np.float32) @ LUMINANCE).astype(np.float32)
    levels = [cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for sigma in BAND_SIGMAS]
    mean = max(float(grey.mean()), 1.0)
    return [100 * float((fine - coarse).std()) / mean for fine, coarse in pairwise(levels)]


def _of_objects(picture: Picture, side: float) -> dict[Statistic, Floats]:
    assert picture.boxes is not None
    boxes, (height, width) = picture.boxes, picture.pixels.shape[:2]
    sides = boxes[:, 2:] - boxes[:, :2]
    middle = (boxes[:, 2:] + boxes[:, :2] - [width, height]) / 2
    visible = picture.visibility
    return {
        names.OBJECTS: np.array([float(len(boxes))]),
        names.SIDE: np.sqrt(sides.prod(axis=1) / (width * height)) * side,
        names.SHAPE: sides[:, 0] / sides[:, 1],
        names.OVERLAP: 100 * largest_cover(boxes),
        names.OFFSET: 100 * np.hypot(*middle.T) / (np.hypot(width, height) / 2),
        names.AGAINST: _light_of_objects(picture.pixels, boxes),
        names.VISIBILITY: np.zeros(0) if visible is None else 100 * visible,
    }


def largest_cover(boxes: Floats) -> Floats:
    """Return, for each of some boxes (N, 4), the largest share (N,) of its area that one other box covers."""
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    low, high = np.maximum(boxes[:, None, :2], boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    np.fill_diagonal(shared, 0)
    return np.asarray(shared.max(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _light_of_objects(pixels: NDArray[np.uint8], boxes: Floats) -> Floats:
    """Return the luminance of boxes over that of all pixels outside of boxes, stops; NaN where there are none."""
    light = linear_from_srgb(pixels.astype(np.float32) / 255) @ LUMINANCE
    outside = np.ones(light.shape, bool)
    inside = np.full(len(boxes), np.nan)
    for number, (left, top, right, bottom) in enumerate(boxes.round().astype(int)):
        part = slice(max(top, 0), bottom), slice(max(left, 0), right)
        outside[part] = False
        inside[number] = light[part].mean() if light[part].size else np.nan
    if outside.mean() < 0.02:
        return np.full(len(boxes), np.nan)
    return np.log2(np.maximum(inside, 1e-4) / max(float(light[outside].mean()), 1e-4))
