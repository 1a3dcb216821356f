"""Detection of holes in packshots (handles, hang holes), as opposed to white print.

On a grey or shaded background, whatever has its exact brightness is a hole. On a white background white panels have
it too: there a hole must look like one, smooth and empty, in the middle near the top (a euro slot, a hand hole), or
beside the body of a bottle.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Float = NDArray[np.float32]

# Area relative to the product's: smaller ones are counters of letters and specks, larger ones are print.
MIN_AREA, MAX_AREA = 0.0012, 0.15
MIN_PX = 24
# On a background brighter than this (0..255), white print is as bright.
WHITE = 248.0
# Levels by which a hole's mean may differ from the background.
MAX_DIFFERENCE = 1.6
# Fraction of its filled outline that is background (no print inside), and of its convex hull (not ragged).
FULL, SMOOTH, SLOT = 0.97, 0.86, 0.45
# A slot or hand hole: distance from the middle (in widths), lowest position, range of its width.
OFF_MIDDLE, UPPER, WIDE = 0.05, 0.2, (0.06, 0.6)
# Fraction of its surroundings that is product and unlike the background.
RIM = 0.97
# Overlap with its own mirror image.
EVEN = 0.8
# Least height : width of the gap of a handle, and its least distance from the middle (in widths).
TALL, ASIDE = 1.3, 0.14


@dataclass(frozen=True)
class _Patch:
    """Patch of background inside the product: its mask, box (x, y, width, height) and area, pixels."""

    mask: NDArray[np.uint8]
    box: tuple[int, int, int, int]
    area: int


def enclosed_parts(empty: Bools) -> Bools:
    """Return the parts of `empty` (H, W) that are not connected to the border: holes."""
    count, labels = cv2.connectedComponents(np.pad(empty, 1, constant_values=True).astype(np.uint8), connectivity=4)
    inner = labels[1:-1, 1:-1]
    return np.asarray(empty & (inner != labels[0, 0]) if count > 1 else np.zeros_like(empty))


def count_holes(alpha: NDArray[np.uint8]) -> int:
    """Count the holes in a product's alpha (H, W), ignoring specks."""
    holes = enclosed_parts(alpha < 128)
    if not holes.any():
        return 0
    _, _, figures, _ = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=8)
    return int((figures[1:, cv2.CC_STAT_AREA] >= MIN_AREA * (alpha >= 128).sum()).sum())


def find_holes(light: Float, background: Float, noise: NDArray[np.float64], mask: Bools, *, handled: bool) -> Bools:
    """Find the holes of a product, (H, W).

    light, background: (H, W, 3) YCrCb of the image and its background; noise: (2,) of the background's light and
    colour. mask: the product, holes filled. handled: it may have a handle beside its body, as bottles do.
    """
    plain = np.abs(light - background).max(axis=2) < max(5.0, 5 * float(noise.max()))
    inside = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0)
    count, labels, figures, _ = cv2.connectedComponentsWithStats(plain.astype(np.uint8) & inside, connectivity=4)
    holes = np.zeros_like(mask)
    total = int(mask.sum())
    for number in range(1, count):
        x, y, width, height, area = (int(figure) for figure in figures[number])
        if not max(MIN_AREA * total, MIN_PX) <= area <= MAX_AREA * total:
            continue
        patch = _Patch(np.asarray(labels == number, np.uint8), (x, y, width, height), area)
        if _has_rim(patch, plain, mask) and _is_hole(patch, light, background, mask, handled):
            # Its rim is blended with the product.
            holes |= cv2.dilate(patch.mask, np.ones((3, 3), np.uint8)) > 0
    return holes


def _has_rim(patch: _Patch, plain: Bools, mask: Bools) -> bool:
    """Return whether product surrounds it: white bands that end at the outline have background beside them."""
    near, far = (cv2.dilate(patch.mask, np.ones((size, size), np.uint8)) for size in (5, 11))
    rim = far > near
    return float((mask & ~plain)[rim].mean()) >= RIM if rim.any() else False


def _is_hole(patch: _Patch, light: Float, background: Float, mask: Bools, handled: bool) -> bool:
    outlines, _ = cv2.findContours(patch.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros_like(patch.mask), [outline], -1, 1, cv2.FILLED)
    if patch.area < FULL * filled.sum():
        return False
    solid = cv2.contourArea(outline) / max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
    core = cv2.erode(patch.mask, np.ones((3, 3), np.uint8)) > 0
    if not core.any():
        return False
    off = np.abs(light[core].mean(axis=0) - background[core].mean(axis=0)).max()
    if off > MAX_DIFFERENCE:
        return False
    if _is_hang_hole(patch, mask):  # a euro slot has a round middle
        return solid > SLOT
    certain = float(background[core][:, 0].mean()) < WHITE or (handled and _is_handle(patch, mask))
    return certain and solid > SMOOTH


def _extent(mask: Bools) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def _is_hang_hole(patch: _Patch, mask: Bools) -> bool:
    """Return whether it is central near the top, symmetric and wider than high: a slot, a hand hole."""
    left, top, across, down = _extent(mask)
    x, y, width, height = patch.box
    middle = x + width / 2
    if abs(middle - left - across / 2) > OFF_MIDDLE * across or y + height / 2 > top + UPPER * down:
        return False
    if not WIDE[0] * across <= width <= WIDE[1] * across or height > 1.15 * width:
        return False
    part = patch.mask[y : y + height, x : x + width] > 0
    return float((part & part[:, ::-1]).sum()) >= EVEN * float((part | part[:, ::-1]).sum())


def _is_handle(patch: _Patch, mask: Bools) -> bool:
    """Return whether it is high, narrow and off-centre, with a grip outside of it that is narrower than the body."""
    left, _, across, _ = _extent(mask)
    x, y, width, height = patch.box
    aside = (x + width / 2 - left) / across - 0.5
    if height < TALL * width or abs(aside) < ASIDE:
        return False
    row = mask[y + height // 2]
    filled = np.flatnonzero(row)
    grip, body = x - filled[0], filled[-1] - (x + width)
    if aside > 0:
        grip, body = body, grip
    return bool(0 < grip < 0.6 * body)
