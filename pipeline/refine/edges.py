"""Edge agreement: whether print and outlines of the products of a picture are where they were before it was changed.

Labels hold only as long as nothing moves, and a product keeps its name only as long as its print does. Both show in the
edges. How strong they are is divided out locally, so that other light, colour, contrast and blur hardly count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
# Gaussian sigmas, pixels: edges are found in a blurred picture, for noise is none; their strength is divided by the
# mean strength around. FLOOR of it, of 1 per pixel: weaker gradients are noise and rounding.
EDGE_PX, AROUND_PX, FLOOR = 1.0, 6.0, 0.02
# Displacements that are tried, pixels, and the margin around a product in which its outline is seen.
REACH, MARGIN = 4, 2
# A region of fewer pixels, or with weaker edges on average (of 1 per pixel), says nothing of where it is.
MIN_PIXELS, MIN_STRENGTH = 300, 0.012
# The zone of print: the window of half the sides of the box with the strongest edges; of boxes from this side on.
ZONE_SIDE = 40


@dataclass(frozen=True)
class EdgeAgreement:
    """How far edges moved, pixels, and how much they resemble those before, -1..1; of the worst region of a picture.

    regions: products and zones of print that had edges enough to tell.
    """

    shift: float = 0.0
    agreement: float = 1.0
    regions: int = 0


@dataclass(frozen=True)
class Region:
    """A product in a picture. box: x0, y0, x1, y1, whole pixels, exclusive ends. mask: (H, W) bool, None for all."""

    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_] | None = None


def edge_map(pixels: Pixels) -> tuple[Map, Map]:
    """Return strength of edges (H, W), 1 per pixel, of a picture (H, W, 3) uint8; and the same relative to around."""
    import cv2

    soft = cv2.GaussianBlur(pixels.astype(np.float32) / 255, (0, 0), EDGE_PX, borderType=cv2.BORDER_REFLECT)
    across, down = (cv2.Scharr(soft, cv2.CV_32F, *order) / 32 for order in ((1, 0), (0, 1)))
    strength = np.sqrt((across**2 + down**2).sum(axis=2))
    around = cv2.GaussianBlur(strength, (0, 0), AROUND_PX, borderType=cv2.BORDER_REFLECT)
    return strength, strength / (around + FLOOR)


def compare_edges(before: Pixels, after: Pixels, regions: Sequence[Region]) -> EdgeAgreement:
    """Compare the edges of two pictures (H, W, 3) in the regions of their products."""
    (strength, first), (_, second) = edge_map(before), edge_map(after)
    found = []
    for box, mask in _zones(regions, strength):
        x0, y0, x1, y1 = box
        inside = np.ones((y1 - y0, x1 - x0), bool) if mask is None else mask[y0:y1, x0:x1]
        if inside.sum() >= MIN_PIXELS and strength[y0:y1, x0:x1][inside].mean() >= MIN_STRENGTH:
            found.append(_displacement(first, second, box, inside))
    if not found:
        return EdgeAgreement()
    return EdgeAgreement(max(one[0] for one in found), min(one[1] for one in found), len(found))


def _zones(
    regions: Sequence[Region], strength: Map
) -> Iterator[tuple[tuple[int, int, int, int], NDArray[np.bool_] | None]]:
    """The boxes of products with a margin, and the zones of their print."""
    import cv2

    height, width = strength.shape
    for region in regions:
        x0, y0, x1, y1 = region.box
        grown = None
        if region.mask is not None:
            grown = cv2.dilate(region.mask.astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0
        yield (max(x0 - MARGIN, 0), max(y0 - MARGIN, 0), min(x1 + MARGIN, width), min(y1 + MARGIN, height)), grown
        if min(x1 - x0, y1 - y0) >= ZONE_SIDE:
            inside = strength[y0:y1, x0:x1] * (1 if region.mask is None else region.mask[y0:y1, x0:x1])
            w, h = (x1 - x0) // 2, (y1 - y0) // 2
            sums = cv2.boxFilter(inside.astype(np.float32), -1, (w, h), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
            row, column = np.unravel_index(
                int(sums[: y1 - y0 - h + 1, : x1 - x0 - w + 1].argmax()), (y1 - y0 - h + 1, x1 - x0 - w + 1)
            )
            x, y = x0 + int(column), y0 + int(row)
            yield (x, y, x + w, y + h), region.mask


def _displacement(
    first: Map, second: Map, box: tuple[int, int, int, int], inside: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return how far the edges of a region moved, and their correlation there: normalised, at every displacement."""
    import cv2

    x0, y0, x1, y1 = box
    padded = cv2.copyMakeBorder(second, *(REACH,) * 4, cv2.BORDER_REFLECT)
    window = padded[y0 : y1 + 2 * REACH, x0 : x1 + 2 * REACH]
    scores = cv2.matchTemplate(window, first[y0:y1, x0:x1], cv2.TM_CCOEFF_NORMED, mask=inside.astype(np.float32))
    scores = np.where(np.isfinite(scores), scores, -1)
    row, column = (int(place) for place in np.unravel_index(int(scores.argmax()), scores.shape))
    across = column - REACH + _peak(scores[row], column)
    down = row - REACH + _peak(scores[:, column], row)
    return float(np.hypot(across, down)), float(scores[row, column])


def _peak(scores: NDArray, place: int) -> float:
    """Return the offset of the top of a parabola through a maximum and its neighbours, -0.5..0.5."""
    if not 0 < place < len(scores) - 1:
        return 0.0
    left, top, right = (float(scores[place + step]) for step in (-1, 0, 1))
    bend = left - 2 * top + right
    return 0.5 * (left - right) / bend if bend < -1e-9 else 0.0
