"""Augmentation of crops: imprecise boxes, rotation, perspective, low resolution, occlusion and camera effects."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.errors import unknown_name
from detectors.augment.camera import retake
from detectors.augment.occlude import erase
from detectors.augment.settings import PRESETS, AugmentSettings, Range, sample_factor
from detectors.data.sample import Sample
from detectors.recognition.embedder.crop_store import Cut
from detectors.recognition.embedder.crops import ImageArray, fitted_size, place_in_square

# Corners of a box: left top, right top, right bottom, left bottom.
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


@dataclass(frozen=True)
class CropAugment:
    """Settings of crop augmentation; defaults are "strong". There is no mirroring, as print is never seen mirrored."""

    # Standard deviation of each edge as a fraction of the side, as for detections with an IoU of about 0.8.
    jitter: float = 0.05
    # Maximum shift of an edge, so that the crop stays inside the stored surroundings.
    most_jitter: float = 0.15
    # Maximum rotation in degrees, since cameras are not held level.
    turn: float = 10.0
    # Maximum shift of each corner as a fraction of the side, for other viewing angles.
    tilt: float = 0.05
    # Distant products have only a few pixels.
    coarse_chance: float = 0.4
    # Factor by which the resolution is reduced.
    coarse: Range = (0.3, 1.0)
    camera: AugmentSettings = PRESETS["strong"]


CROP_PRESETS: dict[str, CropAugment] = {
    "none": CropAugment(0, 0, 0, 0, 0, (1.0, 1.0), PRESETS["none"]),
    "light": CropAugment(0.03, 0.1, 4.0, 0.02, 0.2, (0.5, 1.0), PRESETS["light"]),
    "strong": CropAugment(),
}


def crop_preset(name: str) -> CropAugment:
    """Return the settings of a preset: none, light or strong. Raises SynthError for an unknown name."""
    if name not in CROP_PRESETS:
        raise unknown_name("augmentation preset", name, CROP_PRESETS)
    return CROP_PRESETS[name]


def augment_crop(cut: Cut, *, side: int, margin: float, settings: CropAugment, rng: np.random.Generator) -> ImageArray:
    """Augment a crop and fit it into a (side, side, 3) uint8 square in the same way as `fit_square`.

    margin: added around the box, as a fraction of its sides. The same inputs and rng give the same bytes.
    """
    box = jitter_box(cut.box, settings, rng=rng)
    width, height = (box[2:] - box[:2]) * (1 + 2 * margin)
    corners = _corners(box, width, height, settings, rng)
    shown = _show(cut.image, corners, *fitted_size(width, height, side))
    if rng.random() < settings.coarse_chance:
        shown = _coarsen(shown, sample_factor(settings.coarse, rng))
    if rng.random() < settings.camera.erase_chance:
        shown = _hide_part(shown, settings.camera, rng)
    # The grey padding is added last, since it is not affected by light and camera at inference either.
    return place_in_square(retake(shown, settings=settings.camera, rng=rng), side)


def jitter_box(box: NDArray, settings: CropAugment, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Move each edge of a box independently, by a random fraction of the box's side; returns (4,) xyxy."""
    moves = np.clip(rng.normal(0, 1, 4) * settings.jitter, -settings.most_jitter, settings.most_jitter)
    sides = np.tile(np.asarray(box[2:], np.float64) - box[:2], 2)
    return np.asarray(box, np.float64) + moves * sides


def _corners(
    box: NDArray[np.float64], width: float, height: float, settings: CropAugment, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sample the (4, 2) corners of the region to show, rotated around its centre and shifted, in image pixels."""
    shape = np.array([width, height])
    corners = (CORNERS - 0.5) * shape
    angle = np.radians(rng.uniform(-settings.turn, settings.turn))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moves = rng.uniform(-settings.tilt, settings.tilt, (4, 2)) * shape
    return corners @ turn + moves + (box[:2] + box[2:]) / 2


def _show(image: ImageArray, corners: NDArray[np.float64], width: int, height: int) -> ImageArray:
    """Warp a quadrilateral of the image to (height, width, 3)."""
    target = CORNERS * [width, height]
    # OpenCV's origin is the centre of the first pixel.
    matrix = cv2.getPerspectiveTransform((corners - 0.5).astype(np.float32), (target - 0.5).astype(np.float32))
    size = (width, height)
    return cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _coarsen(shown: ImageArray, share: float) -> ImageArray:
    height, width = shown.shape[:2]
    few = (max(1, round(width * share)), max(1, round(height * share)))
    return cv2.resize(cv2.resize(shown, few, interpolation=cv2.INTER_AREA), (width, height))


def _hide_part(shown: ImageArray, settings: AugmentSettings, rng: np.random.Generator) -> ImageArray:
    """Occlude part of the product."""
    box = np.array([[0, 0, shown.shape[1], shown.shape[0]]], np.float32)
    return erase(Sample(shown, box, np.zeros(1, np.int64)), settings=settings, rng=rng)
