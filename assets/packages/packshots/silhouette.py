"""Silhouettes: the outline of a product, and what kind of package has such a one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh, frozen_array

# Sections as deep as wide within these factors are round, or square.
ROUND, SQUARE = 1.06, 1.14
# So far below the top, in metres, corners of a card are cut off by this much, of a pouch by more, of a carton by less.
CORNER_AT_M, CARD_CORNER_M, POUCH_CORNER_M = 0.001, 0.0009, 0.0026
# A gable-top carton is so many times as high as wide at least, and holds so many cubic metres.
GABLE_TALL, GABLE_M3 = 2.0, (0.0002, 0.003)
# Lighter than this for its box, kg per cubic metre, and flat: film around air.
AIRY = 70.0


@dataclass(frozen=True, eq=False)
class Profile:
    """Outline of a product seen from the front, within its bounding box.

    heights: (N,) float64, rising from 0 (bottom) to 1 (top). left, right: (N,) float64, x of the outline in widths,
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
        """(N,) float64: from outline to outline, 0 ... 1."""
        return self.right - self.left


def profile_of(mask: NDArray[np.bool_], rows: int = 128) -> Profile:
    """The outline of a mask (H, W), at `rows` heights from its lowest row to its highest.

    Raises ValueError where the mask is empty.
    """
    filled = np.flatnonzero(mask.any(axis=1))
    if not len(filled):
        raise ValueError("mask: nothing in it")
    top, bottom = int(filled[0]), int(filled[-1]) + 1
    first, last = _spans(mask[top:bottom])
    low, high = first.min(), last.max()
    heights = np.linspace(0, 1, rows)
    # Rows of pixels as heights of their middles, the lowest first.
    middles = (np.arange(bottom - top) + 0.5)[::-1] / (bottom - top)
    left = np.interp(heights, middles[::-1], ((first - low) / (high - low) - 0.5)[::-1])
    right = np.interp(heights, middles[::-1], ((last - low) / (high - low) - 0.5)[::-1])
    return Profile(heights, left, right)


def _spans(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First column and one past the last column of each row; empty rows, between parts, from their neighbours."""
    known = np.flatnonzero(mask.any(axis=1))
    first = mask[known].argmax(axis=1)
    last = mask.shape[1] - mask[known][:, ::-1].argmax(axis=1)
    rows = np.arange(len(mask))
    return np.interp(rows, known, first), np.interp(rows, known, last)


def silhouette_of(mesh: Mesh, pixels: int, *, side: bool = False) -> NDArray[np.bool_]:
    """What an endlessly far viewer sees of a mesh from the front (from its right if `side`), cut tight.

    pixels: of the longer side of the result (H, W).
    """
    points = mesh.vertices[:, [1 if side else 0, 2]].astype(np.float64)
    low = points.min(axis=0)
    size = np.maximum(points.max(axis=0) - low, 1e-9)
    across, up = (max(round(float(v)), 1) for v in size * (pixels / size.max()))
    spots = (points - low) / size * [across, -up] + [0, up]
    mask = np.zeros((up, across), np.uint8)
    # Sixteenths of a pixel; whole pixels have their middle at 0.
    for triangle in ((spots[mesh.faces] - 0.5) * 16).round().astype(np.int32):
        cv2.fillConvexPoly(mask, triangle, 1, cv2.LINE_8, 4)
    return mask.astype(bool)


def guess_kind(
    mask: NDArray[np.bool_],
    size_m: tuple[float, float, float],
    *,
    side: Profile | None = None,
    mass_kg: float | None = None,
) -> str:
    """The kind of package that a front silhouette (H, W) and the sizes speak for.

    size_m: width, depth, height. side: outline from the left or right, which alone tells pouches, bags, gable tops and
    blisters for sure from flat or square cartons.
    """
    if _stand_side_by_side(mask):
        return "multipack"
    front = profile_of(mask)
    found = _tapered(front, size_m) or (_from_the_side(side) if side is not None else None)
    return found or _straight(front, mask, size_m, mass_kg, thick=side is not None)


def _stand_side_by_side(mask: NDArray[np.bool_]) -> bool:
    """Whether rows of the mask fall into several pieces, all about as wide: necks of bottles, gaps between cans."""
    wide = np.ones((1, max(mask.shape[1] // 14, 1)), np.uint8)
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, wide)
    runs = np.diff(solid.astype(np.int8), axis=1, prepend=0) == 1
    pieces = runs.sum(axis=1)
    several = pieces >= 2
    even = mask.sum(axis=1) > 0.3 * mask.shape[1]
    return bool((several & even).sum() > 0.04 * len(mask))


def _at(profile: Profile, low: float, high: float) -> float:
    """The median width between two heights."""
    within = (profile.heights >= low) & (profile.heights <= high)
    return float(np.median(profile.widths[within]))


def _tapered(front: Profile, size_m: tuple[float, float, float]) -> str | None:
    """Kinds whose outline is wide and narrow at different heights."""
    width, depth, height = size_m
    top, bottom = _at(front, 0.955, 0.985), _at(front, 0.03, 0.12)
    neck = _at(front, 0.9, 0.98)
    upright = 1 / SQUARE < depth / width < SQUARE
    slope = _at(front, 0.75, 0.85) - _at(front, 0.2, 0.3)
    if bottom < 0.92 * top and slope > 0.03:
        if height > 1.5 * width:
            return "tube"
        return "jar" if upright and height > 0.35 * width else "tray"
    if min(top, neck) < 0.66 and height > 1.25 * width:
        return "bottle"
    if neck < 0.975 and upright:
        both_ends = _at(front, 0, 0.015) < 0.95 and _at(front, 0.86, 0.9) > 0.97
        return "can" if both_ends else "jar"
    return None


def _from_the_side(side: Profile) -> str | None:
    """Kinds that are thin somewhere, seen from the side."""
    top, upper, lower, bottom = (_at(side, *band) for band in ((0.93, 1), (0.7, 0.85), (0.12, 0.3), (0, 0.03)))
    if top < 0.35:
        if upper < 0.3 < lower and lower > 0.7:
            return "blister"
        if lower > 0.9 and upper > 0.8:
            return "gable_top"
        return "bag" if bottom < 0.45 and lower < 0.93 else "pouch"
    return None


def _straight(
    front: Profile, mask: NDArray[np.bool_], size_m: tuple[float, float, float], mass_kg: float | None, *, thick: bool
) -> str:
    """Kinds that are about rectangles. thick: known to be no film or card."""
    width, depth, height = size_m
    volume = width * depth * height
    middle, ends = _at(front, 0.3, 0.7), max(float(front.widths[-4:].max()), float(front.widths[:4].max()))
    thin = not thick and depth < 0.62 * width and height > 0.8 * depth
    if thin and (middle < 0.985 * ends or _serrated(mask)):
        return "bag"
    if thin and mass_kg is not None and mass_kg < AIRY * volume:
        return "bag"
    if 1 / ROUND < depth / width < ROUND and (middle < 0.997 * ends or height < GABLE_TALL * width):
        return "can"
    if depth / width > 1 / SQUARE and height > GABLE_TALL * width and GABLE_M3[0] < volume < GABLE_M3[1]:
        return "gable_top"
    corner = _corner(mask, width, height)
    if thin and corner > POUCH_CORNER_M:
        return "pouch"
    if thin and corner > CARD_CORNER_M and depth < 0.4 * width:
        return "blister"
    return "carton"


def _serrated(mask: NDArray[np.bool_]) -> bool:
    """Whether the upper border is a row of teeth: it goes up and down again many times, all across."""
    edge = mask.argmax(axis=0)[mask.any(axis=0)].astype(float)
    inner = edge[len(edge) // 10 : len(edge) - len(edge) // 10]
    if len(inner) < 32 or np.ptp(inner) < 2 or np.ptp(inner) > 0.05 * len(mask):
        return False
    turns = np.diff(np.sign(inner - np.median(inner))[inner != np.median(inner)]) != 0
    return int(turns.sum()) >= 8


def _corner(mask: NDArray[np.bool_], width: float, height: float) -> float:
    """How far an upper corner is cut off a little below the top, in metres."""
    row = mask[min(round(CORNER_AT_M / height * len(mask)), len(mask) - 1)]
    return float(1 - row.sum() / mask.shape[1]) / 2 * width
