"""The sensor: each step against what one can work out, and all of it neutral by default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.color import LUMINANCE, linear_from_srgb, srgb_from_linear
from render.light_color import relative_rgb, rgb_from_kelvin
from render.scene import Sensor
from render.sensor import MIDDLE_GREY, _encode, _roll_off, bend, color_matrix, develop, meter

GREY = np.full((48, 64, 3), 0.7, np.float32)


def test_a_grey_card_comes_out_as_middle_grey_whatever_the_light() -> None:
    expected = round(float(srgb_from_linear(np.array(MIDDLE_GREY))) * 255)
    for scale in (1e-3, 1.0, 1e4):
        assert (develop(GREY * scale, Sensor()) == expected).all()


def test_one_stop_doubles_the_light() -> None:
    bright = linear_from_srgb(develop(GREY, Sensor(exposure_ev=1)) / 255)
    assert bright == pytest.approx(2 * MIDDLE_GREY, rel=0.01)


def test_black_stays_black() -> None:
    assert not develop(np.zeros((4, 4, 3), np.float32), Sensor()).any()


def test_a_lamp_in_the_image_does_not_darken_everything() -> None:
    lit = GREY.copy()
    lit[0, :10] = 1e5
    assert meter(lit) == pytest.approx(meter(GREY), rel=0.01)


def test_highlights_keep_their_order_instead_of_clipping() -> None:
    ramp = np.tile(np.linspace(0.01, 1.2, 64, dtype=np.float32)[None, :, None], (48, 1, 3))
    row = develop(ramp, Sensor(exposure_ev=1.5))[0, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert row.max() <= 255


@given(st.floats(0, 1))
def test_srgb_coding_is_undone_by_decoding(value: float) -> None:
    assert linear_from_srgb(srgb_from_linear(np.array(value))) == pytest.approx(value, abs=1e-6)


def test_noise_is_a_function_of_its_seed() -> None:
    noisy = Sensor(shot_noise=0.05, read_noise=0.01, seed=4)
    assert np.array_equal(develop(GREY, noisy), develop(GREY, noisy))
    assert not np.array_equal(develop(GREY, noisy), develop(GREY, Sensor(shot_noise=0.05, read_noise=0.01, seed=5)))


def test_photon_noise_has_the_stated_deviation() -> None:
    large = np.full((300, 300, 3), 0.5, np.float32)
    light = linear_from_srgb(develop(large, Sensor(shot_noise=0.04, seed=1)) / 255)
    assert light.std() == pytest.approx(0.04 * np.sqrt(MIDDLE_GREY), rel=0.05)


def test_the_vignette_darkens_corners_only() -> None:
    light = linear_from_srgb(develop(GREY, Sensor(vignette=0.4)) / 255)[..., 1]
    assert light[24, 32] == pytest.approx(MIDDLE_GREY, rel=0.02)
    assert light[0, 0] == pytest.approx(MIDDLE_GREY * 0.6, rel=0.06)


def test_blur_keeps_the_light_and_spreads_it() -> None:
    dot = np.full((49, 49, 3), 0.18, np.float32)
    dot[24, 24] = 0.6
    sharp, soft = (linear_from_srgb(develop(dot, Sensor(blur_px=b)) / 255)[..., 0] for b in (0.0, 1.5))
    assert soft[24, 24] < sharp[24, 24]
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.01)


def test_shake_runs_along_its_direction() -> None:
    dot = np.full((49, 49, 3), 0.1, np.float32)
    dot[24, 24] = 4.0
    shaken = develop(dot, Sensor(motion_px=6, motion_angle=0.0))[..., 0].astype(int)
    assert shaken[24, 27] > shaken[24, 35]
    assert shaken[27, 24] == shaken[35, 24]


def test_neutral_grading_changes_nothing_and_grey_has_no_saturation() -> None:
    colourful = np.random.default_rng(0).uniform(0.05, 1, (16, 16, 3)).astype(np.float32)
    assert np.array_equal(develop(colourful, Sensor(contrast=1, saturation=1)), develop(colourful, Sensor()))
    grey = develop(colourful, Sensor(saturation=0)).astype(int)
    assert np.ptp(grey, axis=2).max() <= 1


def test_neutral_light_is_white_and_candlelight_red() -> None:
    assert relative_rgb(6500) == pytest.approx((1, 1, 1))
    warm, cold = rgb_from_kelvin(2000), rgb_from_kelvin(12000)
    assert warm[0] > warm[1] > warm[2]
    assert cold[0] < cold[2]
    assert np.array(warm) @ LUMINANCE == pytest.approx(1)
    # The white of sRGB is 6504 K daylight, close to the black body of that temperature.
    assert rgb_from_kelvin(6504) == pytest.approx((1, 1, 1), abs=0.08)


def test_products_before_a_window_do_not_turn_black() -> None:
    backlit = np.full((48, 64, 3), 20.0, np.float32)
    backlit[20:30, 20:40] = 0.5
    subject = np.zeros((48, 64), bool)
    subject[20:30, 20:40] = True
    without, with_subject = develop(backlit, Sensor())[25, 30, 0], develop(backlit, Sensor(), subject)[25, 30, 0]
    assert with_subject > 2 * without
    assert meter(GREY, np.ones((48, 64), bool)) == pytest.approx(meter(GREY))


@given(st.floats(0, 1), st.floats(0.5, 3))
def test_the_tone_curve_is_undone_by_its_inverse(code: float, tone: float) -> None:
    # Far out in the ends of a steep S lie many codes within one rounding of 0 and 1.
    assert bend(bend(np.array(code), tone), 1 / tone) == pytest.approx(code, abs=1e-4)


def test_the_tone_curve_keeps_its_ends_and_its_middle_and_has_the_stated_slope() -> None:
    assert bend(np.array([0.0, 0.5, 1.0]), 1.7) == pytest.approx([0, 0.5, 1])
    assert np.diff(bend(np.array([0.499, 0.501]), 1.7))[0] / 0.002 == pytest.approx(1.7, rel=1e-3)
    assert (np.diff(bend(np.linspace(0, 1, 200), 2.5)) >= 0).all()


def test_crosstalk_leaves_greys_alone_and_mixes_as_stated() -> None:
    leaks = (0.1, -0.05, 0.0, 0.2, -0.1, 0.05)
    matrix = color_matrix(leaks)
    assert matrix @ np.ones(3) == pytest.approx(np.ones(3))
    assert [*matrix[0, 1:], *matrix[1, ::2], *matrix[2, :2]] == pytest.approx(leaks)
    assert np.array_equal(develop(GREY, Sensor(crosstalk=leaks)), develop(GREY, Sensor()))
    green = np.zeros((8, 8, 3), np.float32) + [0.0, 0.2, 0.0]
    only_green, leaked = (develop(green, Sensor(crosstalk=values)) for values in ((0.0,) * 6, leaks))
    assert only_green[0, 0, 0] == 0 and leaked[0, 0, 0] > 0


def test_sharpening_steepens_edges_and_leaves_planes_alone() -> None:
    step = np.full((32, 32, 3), 0.12, np.float32)
    step[:, 16:] = 0.24
    soft = Sensor(blur_px=1.0)
    plain, sharp = (develop(step, sensor)[16, :, 1].astype(int) for sensor in (soft, replace(soft, sharpen=1.0)))
    assert np.diff(sharp).max() > 1.1 * np.diff(plain).max()
    assert np.array_equal(plain[:8], sharp[:8]) and np.array_equal(plain[24:], sharp[24:])
    assert np.array_equal(develop(GREY, Sensor(sharpen=1.0)), develop(GREY, Sensor()))


@pytest.mark.parametrize("tone", [0.9, 1.0, 1.5])
def test_the_table_of_the_curve_is_as_good_as_its_formulas(tone: float) -> None:
    light = np.concatenate([np.linspace(-0.1, 0.02, 500), np.geomspace(1e-6, 50, 4000)])
    exact = bend(srgb_from_linear(_roll_off(light)), tone)
    assert _encode(light, tone) == pytest.approx(exact, abs=2e-5)


def test_chromatic_aberration_leaves_the_middle_and_grows_outwards() -> None:
    dots = np.full((101, 201, 3), 0.2, np.float32)
    dots[50, 100] = dots[50, 150] = 1
    image = develop(dots, Sensor(red_scale=0.04, blue_scale=-0.04)).astype(int)
    assert np.array_equal(image[50, 100], develop(dots, Sensor())[50, 100])
    # 50 px from the middle, red lies 2 px further out, blue 2 px further in, and green where it was.
    assert [int(image[50, 140:160, channel].argmax()) + 140 for channel in range(3)] == [152, 150, 148]


def test_defocus_at_the_focus_changes_nothing_and_elsewhere_keeps_the_light() -> None:
    colourful = np.random.default_rng(0).uniform(0.05, 1, (32, 32, 3)).astype(np.float32)
    assert np.array_equal(
        develop(colourful, Sensor(), circles=np.zeros((32, 32), np.float32)), develop(colourful, Sensor())
    )
    soft = develop(colourful, Sensor(), circles=np.full((32, 32), 6, np.float32))
    assert soft.std() < 0.5 * develop(colourful, Sensor()).std()


def test_a_mosaic_keeps_plain_colours_and_the_noise_of_what_was_measured() -> None:
    plain = np.full((200, 200, 3), 0.5, np.float32) * np.array([0.6, 1.0, 1.4], np.float32)
    assert np.array_equal(develop(plain, Sensor(mosaic=True)), develop(plain, Sensor()))
    # Pixels saturate, each colour by itself, at what comes out as white.
    assert (develop(plain, Sensor(mosaic=True, exposure_ev=5)) == 255).all()
    noisy = [linear_from_srgb(develop(GREY, Sensor(shot_noise=0.04, mosaic=on, seed=1)) / 255) for on in (False, True)]
    measured, interpolated = noisy[1][1::2, 0::2, 1], noisy[1][0::2, 0::2, 1]
    assert measured.std() == pytest.approx(noisy[0][..., 1].std(), rel=0.06)
    assert interpolated.std() < 0.9 * measured.std()  # which makes the noise of cameras coarse and coloured
