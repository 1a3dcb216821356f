"""Colours: the sRGB curve, and colours that tell numbers apart."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray


def srgb_from_linear(linear: NDArray) -> NDArray[np.float64]:
    """IEC 61966-2-1 encoding of linear values 0..1 (clipped below 0)."""
    linear = np.maximum(linear, 0.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055)


def linear_from_srgb(coded: NDArray) -> NDArray[np.float64]:
    """The inverse of `srgb_from_linear`, for values 0..1."""
    return np.where(coded <= 0.04045, coded / 12.92, np.power((coded + 0.055) / 1.055, 2.4))


def distinct_color(number: int) -> tuple[int, int, int]:
    """A bright 8-bit RGB colour for a number; neighbours look far apart (hues in steps of the golden ratio)."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.61803398875 % 1.0, 0.75 if number % 2 else 1.0, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
