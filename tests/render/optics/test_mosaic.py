"""Demosaicing: measured colours stay, constants and ramps come back, detail nearly."""

from __future__ import annotations

import numpy as np
import pytest

from render.optics.mosaic import bayer_mosaic, demosaic

COLOR = np.array([0.2, 0.5, 0.9])


@pytest.mark.parametrize("size", [(8, 10), (7, 9), (2, 2), (1, 1)])
def test_a_constant_is_the_constant(size: tuple[int, int]) -> None:
    image = np.broadcast_to(COLOR, (*size, 3))
    if min(size) > 1:
        assert demosaic(bayer_mosaic(image)) == pytest.approx(image)
    assert demosaic(bayer_mosaic(image)).shape == image.shape


def test_ramps_come_back_and_what_was_measured_stays() -> None:
    y, x = np.mgrid[:12, :16] / 16
    image = np.stack([x, 0.5 * x + 0.3 * y, 1 - y], axis=-1)
    found = demosaic(bayer_mosaic(image))
    assert found[3:-3, 3:-3] == pytest.approx(image[3:-3, 3:-3], abs=1e-9)
    assert np.array_equal(bayer_mosaic(found), bayer_mosaic(image))
    assert bayer_mosaic(image)[:2, :2].tolist() == [[image[0, 0, 0], image[0, 1, 1]], [image[1, 0, 1], image[1, 1, 2]]]


def test_grey_detail_is_kept_better_than_by_averaging() -> None:
    grey = np.random.default_rng(0).uniform(0.3, 0.7, (64, 64))
    smooth = (grey + np.roll(grey, 1, 0) + np.roll(grey, 1, 1) + np.roll(grey, (1, 1), (0, 1))) / 4
    image = smooth[..., None].repeat(3, axis=-1)
    found = demosaic(bayer_mosaic(image))
    assert np.abs(found - image)[2:-2, 2:-2].mean() < 0.5 * np.abs(image - image.mean()).mean()
