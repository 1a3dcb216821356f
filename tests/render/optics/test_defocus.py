"""Defocus: nothing at the focus, discs elsewhere, and no light across the edges of what is sharp."""

from __future__ import annotations

import numpy as np
import pytest

from render.optics.defocus import MAX_PX, circles_of_confusion, defocus

NOISE = np.random.default_rng(0).uniform(0, 1, (40, 60, 3)).astype(np.float32)


def circles(depth: np.ndarray | float, focus_m: float = 1.0) -> np.ndarray:
    return circles_of_confusion(np.asarray(depth, float), 500.0, aperture_mm=4.0, focus_m=focus_m)


def test_circles_follow_from_the_thin_lens() -> None:
    assert circles(1.0) == 0
    assert circles(2.0) == pytest.approx(500 * 0.004 * (1 - 1 / 2))
    assert circles(0.5) == pytest.approx(-500 * 0.004)
    assert circles(np.inf) == pytest.approx(500 * 0.004)
    assert circles(1e-9) == -MAX_PX


def test_what_is_in_focus_does_not_change() -> None:
    assert np.array_equal(defocus(NOISE, circles(np.full((40, 60), 1.0))), NOISE)
    assert np.array_equal(defocus(NOISE, circles(np.full((40, 60), 1.2))), NOISE)  # a circle within the pixel


@pytest.mark.parametrize("far", [np.inf, 3.0])
def test_a_sharp_product_does_not_bleed_onto_a_soft_background(far: float) -> None:
    depth = np.full((40, 60), far)
    depth[:, 30:] = 1.0
    image = NOISE.copy()
    image[:, 30:] += 5
    blurred = defocus(image, circles(depth, focus_m=1.0) * 4)
    assert np.array_equal(blurred[:, 30:], image[:, 30:])
    assert blurred[:, :30].max() < 1 and blurred[:, :30].std() < 0.5 * NOISE.std()


def test_a_soft_product_spreads_over_a_sharp_background() -> None:
    depth = np.full((40, 60), 1.0)
    depth[:, 30:] = 0.5
    row = defocus(np.where(depth[..., None] < 1, 1.0, 0.2), circles(depth) * 3)[20, :, 0]
    assert row[:20] == pytest.approx(0.2, abs=1e-6) and row[40:] == pytest.approx(1, abs=1e-6)
    assert (np.diff(row) >= -1e-6).all() and np.diff(row).max() < 0.25  # no step where the soft edge is
    assert row[28] > 0.3 and row[31] < 0.9


def test_light_is_kept() -> None:
    depth = np.linspace(0.4, 4, 60)[None].repeat(40, axis=0)
    assert defocus(np.full((40, 60, 3), 0.7), circles(depth)) == pytest.approx(0.7, abs=1e-5)
    dot = np.zeros((41, 61, 3), np.float32)
    dot[20, 30] = 100
    disc = defocus(dot, np.full((41, 61), 9.0, np.float32))
    assert disc.sum() == pytest.approx(dot.sum(), rel=1e-4)
    assert disc[20, 33, 0] == pytest.approx(disc[20, 30, 0]) and disc[20, 36, 0] == 0


def test_a_ramp_of_depth_shows_no_seams() -> None:
    depth = np.linspace(0.4, 4, 60)[None].repeat(40, axis=0)
    light = np.linspace(0.2, 0.8, 60, dtype=np.float32)[None, :, None].repeat(40, axis=0).repeat(3, axis=2)
    blurred = defocus(light, circles(depth))
    assert np.abs(np.diff(blurred[20, 8:-8, 0])).max() < 3 * 0.6 / 59
