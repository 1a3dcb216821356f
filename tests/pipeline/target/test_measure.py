"""What is measured on pictures: analytic pictures whose numbers are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from assets.color import srgb_from_linear
from pipeline.target.measure import (
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    DETAIL,
    LIGHT_NOISE,
    MEASURED,
    SHADOW_NOISE,
    SHARPNESS,
    WARMTH,
    Statistic,
    measure_picture,
)
from render.sensor import MIDDLE_GREY


def plain(*linear: float, side: int = 64) -> NDArray[np.uint8]:
    """A picture of one linear colour."""
    code = srgb_from_linear(np.array(linear))
    return np.tile((code * 255 + 0.5).astype(np.uint8), (side, side, 1))


def value(pixels: NDArray[np.uint8], statistic: Statistic) -> float:
    return float(measure_picture(pixels)[MEASURED.index(statistic)])


def tiles(side: int, *, count: int = 64) -> NDArray[np.uint8]:
    """A square picture of tiles of random colours, `side` pixels each."""
    colors = np.random.default_rng(3).integers(30, 220, size=(count // side, count // side, 3), dtype=np.uint8)
    return colors.repeat(side, axis=0).repeat(side, axis=1)


def test_brightness_counts_stops_from_middle_grey() -> None:
    grey = plain(*3 * (MIDDLE_GREY,))
    assert value(grey, BRIGHTNESS) == pytest.approx(0, abs=0.03)
    assert value(plain(*3 * (MIDDLE_GREY / 4,)), BRIGHTNESS) == pytest.approx(-2, abs=0.05)


def test_warmth_counts_stops_of_red_over_blue() -> None:
    assert value(plain(0.4, 0.2, 0.1), WARMTH) == pytest.approx(2, abs=0.05)
    assert value(plain(0.1, 0.2, 0.4), WARMTH) == pytest.approx(-2, abs=0.05)


def test_color_and_contrast_are_shares_of_full_scale() -> None:
    assert value(plain(1, 0, 0), COLOR) == pytest.approx(1)
    halves = np.concatenate([plain(0, 0, 0), plain(1, 1, 1)])
    assert value(halves, CONTRAST) == pytest.approx(1) and value(halves, COLOR) == 0


@pytest.mark.parametrize("deviation", [1.5, 4.0, 9.0])
def test_noise_is_measured_by_level(deviation: float) -> None:
    rng = np.random.default_rng(0)
    levels = np.repeat([40.0, 150.0], 64)[None, :, None] + np.linspace(-8, 8, 64)[:, None, None]
    noisy = levels + deviation * rng.standard_normal((64, 128, 1)) * np.repeat([2.0, 1.0], 64)[None, :, None]
    pixels = np.clip(noisy + 0.5, 0, 255).astype(np.uint8).repeat(3, axis=2)
    assert value(pixels, SHADOW_NOISE) == pytest.approx(2 * deviation, rel=0.12)
    assert value(pixels, LIGHT_NOISE) == pytest.approx(deviation, rel=0.12)


def test_sharpness_falls_with_blur() -> None:
    sharp = tiles(8)
    found = [value(cv2.GaussianBlur(sharp, (0, 0), sigma), SHARPNESS) for sigma in (0.3, 0.8, 1.6)]
    assert found == sorted(found, reverse=True) and found[0] > 1.5 * found[2]


def test_detail_grows_with_what_is_shown() -> None:
    sizes = [value(tiles(side), DETAIL) for side in (4, 8, 16)]
    assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.2) and sizes[2] / sizes[1] == pytest.approx(2, rel=0.2)
    # A share of the picture: the number of pixels does not count.
    assert value(tiles(16, count=128), DETAIL) == pytest.approx(sizes[1], rel=0.2)


def test_a_plain_picture_says_nothing_of_detail() -> None:
    measured = dict(zip([one.name for one in MEASURED], measure_picture(plain(0.2, 0.2, 0.2)), strict=True))
    assert np.isnan([measured["sharpness"], measured["size of detail"]]).all()
    assert np.isfinite(measured["brightness"])
