"""The sRGB curve, luminance, and a palette of distinct colours."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

# Luminance of linear sRGB (ITU-R BT.709).
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def srgb_from_linear(linear: NDArray) -> NDArray[np.float64]:
    """Encode linear values 0..1 as sRGB (IEC 61966-2-1), clipped below 0."""
    linear = np.maximum(linear, 0.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055)


def linear_from_srgb(encoded: NDArray) -> NDArray[np.float64]:
    """Decode sRGB values 0..1; the inverse of `srgb_from_linear`."""
    return np.where(encoded <= 0.04045, encoded / 12.92, np.power((encoded + 0.055) / 1.055, 2.4))


def distinct_color(number: int) -> tuple[int, int, int]:
    """Return a bright 8-bit RGB colour for a number; neighbours differ clearly (hues in golden-ratio steps)."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.61803398875 % 1.0, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
