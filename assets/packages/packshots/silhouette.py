"""Silhouettes: the outline of a product, and the package kind it suggests."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh, frozen_array

# Sections with a depth : width within these factors are round, or square.
ROUND, SQUARE = 1.06, 1.14
# At the first distance below the top, corners of a card are cut off by this much, of a pouch by more (metres).
CORNER_AT_M, CARD_CORNER_M, POUCH_CORNER_M = 0.001, 0.0009, 0.0026
# Least height : width of a gable-top carton, and range of its volume in cubic metres.
GABLE_TALL, GABLE_M3 = 2.0, (0.0002, 0.003)
# Flat and with a lower density of the box than this, kg per cubic metre: film around air.
AIRY = 70.0


@dataclass(frozen=True, eq=False)
class Profile:
    """Outline of a product seen from the front, within its bounding box.

    heights: (N,) float64, ascending from 0 (bottom) to 1 (top). left, right: (N,) float64, x of the outline in widths,
    -0.5 ... 0.5.
    """

    heights: NDArray[np.float64]
    left: NDArray[np.float64]
    right: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.heights)
        for name in ("heights", "left", "right"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64, (count,), name))

    @property
    def widths(self) -> NDArray[np.float64]:
        """Distance between the outlines, (N,) float64, 0 ... 1."""
        return self.right - self.left


def profile_of(mask: NDArray[np.bool_], rows: int = 128) -> Profile:
    """Return the outline of a mask (H, W) at `rows` heights from its lowest row to its highest.

    Raises ValueError if the mask is empty.
    """
    filled = np.flatnonzero(mask.any(axis=1))
    if not len(filled):
        raise ValueError("mask: nothing in it")
    top, bottom = int(filled[0]), int(filled[-1]) + 1
    first, last = _row_spans(mask[top:bottom])
    low, high = first.min(), last.max()
    heights = np.linspace(0, 1, rows)
    # Heights of the centres of pixel rows, the lowest first.
    middles = (np.arange(bottom - top) + 0.5)[::-1] / (bottom - top)
    left = np.interp(heights, middles[::-1], ((first - low) / (high - low) - 0.5)[::-1])
    right = np.interp(heights, middles[::-1], ((last - low) / (high - low) - 0.5)[::-1])
    return Profile(heights, left, right)


def _row_spans(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first and one past the last column of each row; empty rows between parts are interpolated."""
    known = np.flatnonzero(mask.any(axis=1))
    first = mask[known].argmax(axis=1)
    last = mask.shape[1] - mask[known][:, ::-1].argmax(axis=1)
    rows = np.arange(len(mask))
    return np.interp(rows, known, first), np.interp(rows, known, last)


def silhouette_of(mesh: Mesh, pixels: int, *, side: bool = False) -> NDArray[np.bool_]:
    """Render the orthographic silhouette of a mesh from the front (from its right if `side`), cropped tight.

    pixels: longer side of the result (H, W).
    """
    points = mesh.vertices[:, [1 if side else 0, 2]].astype(np.float64)
    low = points.min(axis=0)
    size = np.maximum(points.max(axis=0) - low, 1e-9)
    across, up = (max(round(float(v)), 1) for v in size * (pixels / size.max()))
    points_px = (points - low) / size * [across, -up] + [0, up]
    mask = np.zeros((up, across), np.uint8)
    # In sixteenths of a pixel; OpenCV has pixel centres at integers.
    for triangle in ((points_px[mesh.faces] - 0.5) * 16).round().astype(np.int32):
        cv2.fillConvexPoly(mask, triangle, 1, cv2.LINE_8, 4)
    return mask.astype(bool)


def guess_kind(
    mask: NDArray[np.bool_],
    size_m: tuple[float, float, float],
    *,
    side: Profile | None = None,
    mass_kg: float | None = None,
) -> str:
    """Guess the kind of package from a front silhouette (H, W) and the sizes.

    size_m: width, depth, height. side: outline from the left or right; only with it are pouches, bags, gable tops and
    blisters reliably distinguished from flat or square cartons.
    """
    if _has_several_columns(mask):
        return "multipack"
    front = profile_of(mask)
    found = _guess_tapered(front, size_m) or (_guess_from_side(side) if side is not None else None)
    return found or _guess_straight(front, mask, size_m, mass_kg, thick=side is not None)


def _has_several_columns(mask: NDArray[np.bool_]) -> bool:
    """Return whether rows of the mask have several pieces of similar width: necks of bottles, gaps between cans."""
    wide = np.ones((1, max(mask.shape[1] // 14, 1)), np.uint8)
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, wide)
    runs = np.diff(solid.astype(np.int8), axis=1, prepend=0) == 1
    pieces = runs.sum(axis=1)
    several = pieces >= 2
    even = mask.sum(axis=1) > 0.3 * mask.shape[1]
    return bool((several & even).sum() > 0.04 * len(mask))


def _width_between(profile: Profile, low: float, high: float) -> float:
    """Return the median width between two heights."""
    within = (profile.heights >= low) & (profile.heights <= high)
    return float(np.median(profile.widths[within]))


def _guess_tapered(front: Profile, size_m: tuple[float, float, float]) -> str | None:
    """Guess kinds whose width varies with the height; None if it is none of them."""
    width, depth, height = size_m
    top, bottom = _width_between(front, 0.955, 0.985), _width_between(front, 0.03, 0.12)
    neck = _width_between(front, 0.9, 0.98)
    upright = 1 / SQUARE < depth / width < SQUARE
    slope = _width_between(front, 0.75, 0.85) - _width_between(front, 0.2, 0.3)
    if bottom < 0.92 * top and slope > 0.03:
        if height > 1.5 * width:
            return "tube"
        return "jar" if upright and height > 0.35 * width else "tray"
    if min(top, neck) < 0.66 and height > 1.25 * width:
        return "bottle"
    if neck < 0.975 and upright:
        both_ends = _width_between(front, 0, 0.015) < 0.95 and _width_between(front, 0.86, 0.9) > 0.97
        return "can" if both_ends else "jar"
    return None


def _guess_from_side(side: Profile) -> str | None:
    """Guess kinds that are thin somewhere, seen from the side; None if it is none of them."""
    top, upper, lower, bottom = (
        _width_between(side, *band) for band in ((0.93, 1), (0.7, 0.85), (0.12, 0.3), (0, 0.03))
    )
    if top < 0.35:
        if upper < 0.3 < lower and lower > 0.7:
            return "blister"
        if lower > 0.9 and upper > 0.8:
            return "gable_top"
        return "bag" if bottom < 0.45 and lower < 0.93 else "pouch"
    return None


def _guess_straight(
    front: Profile, mask: NDArray[np.bool_], size_m: tuple[float, float, float], mass_kg: float | None, *, thick: bool
) -> str:
    """Guess kinds with an approximately rectangular outline. thick: known to be neither film nor card."""
    width, depth, height = size_m
    volume = width * depth * height
    middle, ends = _width_between(front, 0.3, 0.7), max(float(front.widths[-4:].max()), float(front.widths[:4].max()))
    thin = not thick and depth < 0.62 * width and height > 0.8 * depth
    if thin and (middle < 0.985 * ends or _is_serrated(mask)):
        return "bag"
    if thin and mass_kg is not None and mass_kg < AIRY * volume:
        return "bag"
    if 1 / ROUND < depth / width < ROUND and (middle < 0.997 * ends or height < GABLE_TALL * width):
        return "can"
    if depth / width > 1 / SQUARE and height > GABLE_TALL * width and GABLE_M3[0] < volume < GABLE_M3[1]:
        return "gable_top"
    corner = _corner_cut(mask, width, height)
    if thin and corner > POUCH_CORNER_M:
        return "pouch"
    if thin and corner > CARD_CORNER_M and depth < 0.4 * width:
        return "blister"
    return "carton"


def _is_serrated(mask: NDArray[np.bool_]) -> bool:
    """Return whether the upper border is serrated: it goes up and down many times along its whole width."""
    edge = mask.argmax(axis=0)[mask.any(axis=0)].astype(float)
    inner = edge[len(edge) // 10 : len(edge) - len(edge) // 10]
    if len(inner) < 32 or np.ptp(inner) < 2 or np.ptp(inner) > 0.05 * len(mask):
        return False
    turns = np.diff(np.sign(inner - np.median(inner))[inner != np.median(inner)]) != 0
    return int(turns.sum()) >= 8


def _corner_cut(mask: NDArray[np.bool_], width: float, height: float) -> float:
    """Return how far an upper corner is cut off slightly below the top, in metres."""
    row = mask[min(round(CORNER_AT_M / height * len(mask)), len(mask) - 1)]
    return float(1 - row.sum() / mask.shape[1]) / 2 * width
