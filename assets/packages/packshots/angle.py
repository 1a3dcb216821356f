"""Detection of packshots taken at an angle, by GS1 name or by converging upper and lower edges of the outline.

If a front is rotated about the vertical its nearer side is taller: upper and lower edge of the outline converge. A box
with a second visible face has a corner in its lower edge. Products that taper themselves (tubs, tubes, trays) are
symmetric and not detected.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.catalog.gs1_pictures import FACINGS

# GTIN14_TFOS: type, face, orientation, state (GS1 Product Image Specification, release 4.4).
GS1_NAME = re.compile(r"^\d{13,14}_[A-Ea-e]([0-9])([CLRNclrn])[0-9A-Pa-p](?:_.*)?$")
FACES = {facing: column.partition("_")[2] or "front" for facing, column in FACINGS.items()}
TURNED = {"L": "turned to the left", "R": "turned to the right"}
# Kinds that are boxes: only for these a corner means a second face.
BOXES = ("carton", "gable_top", "multipack", "auto")
# Least ratio of the taller side to the other, and least fraction of the difference at each edge.
TALLER, EACH = 1.025, 0.2
# Columns that are examined, in widths; how well a line must fit them, in heights.
INNER, OUTER, STRAIGHT = (0.06, 0.94), 0.015, 0.012
# A corner in the lower edge: depth below the straight line from end to end, in heights; distance from the ends, in
# widths; tolerance of the edge around the two lines, as a fraction of the depth.
KINK, ARM, BENT = 0.01, 0.05, 0.2


def gs1_doubt(path: str, side: str) -> str:
    """Describe how the GS1 name of an image contradicts its column; "" if it does not, or for other names."""
    found = GS1_NAME.match(re.split(r"[/\\]", path)[-1].rpartition(".")[0])
    if found is None:
        return ""
    face, turned = FACES.get(found[1]), TURNED.get(found[2].upper())
    if turned:
        return f"is taken at an angle ({turned}) by its GS1 name: a straight one ends in N1 or C1"
    return f"shows the {face} by its GS1 name" if face and face != side else ""


def angle_doubt(mask: NDArray[np.bool_], kind: str) -> str:
    """Describe why a product's outline (H, W), cropped tight, seems to be seen at an angle; "" if it does not."""
    height, width = mask.shape
    if min(height, width) < 48 or mask.mean() < 0.6:
        return ""
    top, bottom = _find_edges(mask)
    columns = np.arange(width) / width
    outer = (columns > OUTER) & (columns < 1 - OUTER)
    if kind in BOXES and _shows_two_faces(columns[outer], bottom[outer] / height):
        return "seems to be taken at an angle: two faces show"
    inner = (columns > INNER[0]) & (columns < INNER[1])
    x, top, bottom = columns[inner] - 0.5, top[inner] / height, bottom[inner] / height
    slopes, misses = zip(*(_fit_line(x, edge) for edge in (top, bottom)), strict=True)
    drop, rise = slopes[0], -slopes[1]  # over the whole width: by how much the right side is shorter at top and bottom
    if max(misses) < STRAIGHT and drop * rise > 0 and min(abs(drop), abs(rise)) > EACH * abs(drop + rise):
        left, right = (1 + side * (drop + rise) / 2 for side in (1, -1))
        taller = max(left, right) / min(left, right)
        if taller > TALLER:
            name = "left" if left > right else "right"
            return f"seems to be taken at an angle: its {name} side is {taller - 1:.0%} taller than the other"
    return ""


def _find_edges(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return upper and lower end of each column of the mask, (W,) each; empty columns are interpolated."""
    full = np.flatnonzero(mask.any(axis=0))
    top = mask.argmax(axis=0).astype(float)
    bottom = len(mask) - mask[::-1].argmax(axis=0).astype(float)
    every = np.arange(mask.shape[1])
    return np.interp(every, full, top[full]), np.interp(every, full, bottom[full])


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a line through most of the points; return its slope and the median distance from it."""
    weights = np.ones_like(x)
    slope = offset = 0.0
    for _ in range(12):
        slope, offset = np.polyfit(x, y, 1, w=weights)
        weights = 1 / np.sqrt(np.maximum(np.abs(y - slope * x - offset), 1e-3))
    return float(slope), float(np.median(np.abs(y - slope * x - offset)))


def _shows_two_faces(x: NDArray[np.float64], bottom: NDArray[np.float64]) -> bool:
    """Return whether the lower edge consists of two straight lines that meet below, at the nearest corner of a box."""
    off = bottom - np.interp(x, x[[0, -1]], bottom[[0, -1]])
    corner = int(np.argmax(off))
    if off[corner] < KINK or not ARM * len(x) < corner < (1 - ARM) * len(x):
        return False
    bent = np.interp(x, x[[0, corner, -1]], bottom[[0, corner, -1]])
    # A can seen from above has a round foot.
    return float(np.mean(np.abs(bottom - bent))) < BENT * off[corner]


def smooth_mask(alpha: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the mask of an alpha (H, W) without jagged edges and holes, at most 400 pixels a side."""
    scale = min(400 / max(alpha.shape), 1.0)
    size = (max(round(alpha.shape[1] * scale), 1), max(round(alpha.shape[0] * scale), 1))
    return np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) >= 128)
