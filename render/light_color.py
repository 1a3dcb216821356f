"""Colour of light from its colour temperature."""

from __future__ import annotations

import numpy as np

from assets.color import LUMINANCE
from assets.props.look import Color

XYZ_TO_LINEAR_SRGB = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)


def rgb_from_kelvin(kelvin: float) -> Color:
    """Return the linear sRGB colour of a black body, luminance 1; kelvin is clipped to 1667..25000 K.

    The Planckian locus in CIE xy by the cubic fit of Kim et al., US patent 7024034 (2006).
    """
    t = float(np.clip(kelvin, 1667, 25000))
    x = _locus_x(t)
    y = _locus_y(t, x)
    rgb = XYZ_TO_LINEAR_SRGB @ np.array([x / y, 1.0, (1 - x - y) / y])
    rgb = np.maximum(rgb, 0.0)
    rgb /= rgb @ LUMINANCE
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


def relative_rgb(kelvin: float) -> Color:
    """Return the linear sRGB factors of a black body relative to one of 6500 K."""
    red, green, blue = np.array(rgb_from_kelvin(kelvin)) / np.array(rgb_from_kelvin(6500.0))
    return float(red), float(green), float(blue)


def _locus_x(t: float) -> float:
    if t <= 4000:
        return -0.2661239e9 / t**3 - 0.2343589e6 / t**2 + 0.8776956e3 / t + 0.179910
    return -3.0258469e9 / t**3 + 2.1070379e6 / t**2 + 0.2226347e3 / t + 0.240390


def _locus_y(t: float, x: float) -> float:
    if t <= 2222:
        return -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    if t <= 4000:
        return -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    return 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
