"""Colour differences as people see them: CIE L*a*b* and CIEDE2000."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = XYZ_FROM_RGB.sum(axis=1)
TURN = 360.0


def lab_from_linear(linear: NDArray) -> NDArray[np.float64]:
    """CIE L*a*b* (..., 3) of linear sRGB (..., 3), cut to 0..1; white is (100, 0, 0)."""
    xyz = np.clip(linear, 0, 1) @ (XYZ_FROM_RGB / WHITE[:, None]).T
    bent = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def difference(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """CIEDE2000 of L*a*b* colours (..., 3) against (..., 3); 1 is just seen, 10 is another shade.

    Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula", 2005.
    """
    (light1, a1, b1), (light2, a2, b2) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    mean_chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))
    chroma1, chroma2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    hue1, hue2 = _degrees(b1, a1 * stretch), _degrees(b2, a2 * stretch)
    grey = chroma1 * chroma2 == 0
    turn = np.where(grey, 0, (hue2 - hue1 + 180) % TURN - 180)
    d_light, d_chroma = light2 - light1, chroma2 - chroma1
    d_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn) / 2)
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    hue = np.where(grey, hue1 + hue2, _mean_hue(hue1, hue2))
    by_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    by_chroma, by_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * _hue_weight(hue)
    twist = 2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    l_term, c_term, h_term = d_light / by_light, d_chroma / by_chroma, d_hue / by_hue
    return np.sqrt(np.maximum(l_term**2 + c_term**2 + h_term**2 - twist * c_term * h_term, 0))


def _degrees(y: NDArray, x: NDArray) -> NDArray[np.float64]:
    return np.degrees(np.arctan2(y, x)) % TURN


def _mean_hue(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """The angle half way between two, the short way round."""
    total = first + second
    far = np.abs(first - second) > 180
    return np.where(far, np.where(total < TURN, total + TURN, total - TURN), total) / 2


def _hue_weight(hue: NDArray) -> NDArray[np.float64]:
    terms = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    return 1 + sum(factor * np.cos(np.radians(times * hue + shift)) for factor, times, shift in terms)
