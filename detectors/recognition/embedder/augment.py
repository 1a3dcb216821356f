"""Crops as a detector would cut them from another picture of the same product: boxes off, turned, hidden, retaken."""

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
from detectors.recognition.embedder.crops import Picture, fitted_size, place_in_square

# Corners of a box: left top, right top, right bottom, left bottom.
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


@dataclass(frozen=True)
class CropAugment:
    """Defaults are "strong". No mirror images: print is never seen in a mirror."""

    # Standard deviation of each edge as a share of the side, as a detector at IoU 0.8 has them.
    jitter: float = 0.05
    # At most so far: with the surrounding that is stored there is always something to show.
    most_jitter: float = 0.15
    # Degrees: cameras are not held level.
    turn: float = 10.0
    # How far each corner may move, as a share of the side: other viewing angles.
    tilt: float = 0.05
    # Products far away are cut from a few pixels.
    coarse_chance: float = 0.4
    # Share of the pixels per side that is left.
    coarse: Range = (0.3, 1.0)
    camera: AugmentSettings = PRESETS["strong"]


CROP_PRESETS: dict[str, CropAugment] = {
    "none": CropAugment(0, 0, 0, 0, 0, (1.0, 1.0), PRESETS["none"]),
    "light": CropAugment(0.03, 0.1, 4.0, 0.02, 0.2, (0.5, 1.0), PRESETS["light"]),
    "strong": CropAugment(),
}


def crop_preset(name: str) -> CropAugment:
    """The settings of that name: none, light or strong. Raises SynthError for an unknown name."""
    if name not in CROP_PRESETS:
        raise unknown_name("augmentation preset", name, CROP_PRESETS)
    return CROP_PRESETS[name]


def augment_crop(cut: Cut, *, side: int, margin: float, settings: CropAugment, rng: np.random.Generator) -> Picture:
    """(side, side, 3) uint8: the crop as it might have been cut elsewhere, fitted as `fit_square` fits.

    The same inputs and rng give the same bytes. margin: share of the box's sides that is shown around it.
    """
    box = jitter_box(cut.box, settings, rng=rng)
    width, height = (box[2:] - box[:2]) * (1 + 2 * margin)
    corners = _corners(box, width, height, settings, rng)
    shown = _show(cut.picture, corners, *fitted_size(width, height, side))
    if rng.random() < settings.coarse_chance:
        shown = _coarsen(shown, sample_factor(settings.coarse, rng))
    if rng.random() < settings.camera.erase_chance:
        shown = _hide_part(shown, settings.camera, rng)
    # The grey around comes last: in use it is the same under every light.
    return place_in_square(retake(shown, settings=settings.camera, rng=rng), side)


def jitter_box(box: NDArray, settings: CropAugment, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """(4,) xyxy with every edge moved on its own, by a share of the side it bounds."""
    moves = np.clip(rng.normal(0, 1, 4) * settings.jitter, -settings.most_jitter, settings.most_jitter)
    sides = np.tile(np.asarray(box[2:], np.float64) - box[:2], 2)
    return np.asarray(box, np.float64) + moves * sides


def _corners(
    box: NDArray[np.float64], width: float, height: float, settings: CropAugment, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(4, 2) corners in the picture of what is shown, turned about the middle and moved."""
    shape = np.array([width, height])
    corners = (CORNERS - 0.5) * shape
    angle = np.radians(rng.uniform(-settings.turn, settings.turn))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moves = rng.uniform(-settings.tilt, settings.tilt, (4, 2)) * shape
    return corners @ turn + moves + (box[:2] + box[2:]) / 2


def _show(picture: Picture, corners: NDArray[np.float64], width: int, height: int) -> Picture:
    """(height, width, 3), the quadrilateral brought to a rectangle."""
    target = CORNERS * [width, height]
    # OpenCV counts from the middle of the first pixel.
    matrix = cv2.getPerspectiveTransform((corners - 0.5).astype(np.float32), (target - 0.5).astype(np.float32))
    size = (width, height)
    return cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _coarsen(shown: Picture, share: float) -> Picture:
    height, width = shown.shape[:2]
    few = (max(1, round(width * share)), max(1, round(height * share)))
    return cv2.resize(cv2.resize(shown, few, interpolation=cv2.INTER_AREA), (width, height))


def _hide_part(shown: Picture, settings: AugmentSettings, rng: np.random.Generator) -> Picture:
    """Something in front of the product."""
    box = np.array([[0, 0, shown.shape[1], shown.shape[0]]], np.float32)
    return erase(Sample(shown, box, np.zeros(1, np.int64)), settings=settings, rng=rng)
