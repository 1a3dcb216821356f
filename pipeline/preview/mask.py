"""Drawing of one mask of a preview."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.preview.sheet import Rgb
from pipeline.preview.types import Style

DARK: Rgb = (20, 20, 20)
# Parts of a pixel in which OpenCV is given places.
SHIFT = 4


def plot_mask(
    tile: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    color: Rgb,
    scale: tuple[float, float],
    style: Style,
) -> bool:
    """Draw the outline, for masks with a tint inside; whether there was a mask."""
    import cv2

    if mask is None or not mask.any():
        return False
    if style == "mask":
        inside = cv2.resize(mask, tile.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
        tile[inside] = (tile[inside] * 0.65 + np.array(color) * 0.35).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    # From the middles of pixels of the image to those of the tile.
    lines = [(((line + 0.5) * scale - 0.5) * (1 << SHIFT)).round().astype(np.int32) for line in found]
    # Dark on both sides, so that the line shows on any print.
    for shade, width in ((DARK, 3), (color, 1)):
        cv2.polylines(tile, lines, True, shade, width, cv2.LINE_AA, SHIFT)
    return True
