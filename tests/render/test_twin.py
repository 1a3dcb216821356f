"""The maths by which renders are compared with photographs: known lights, gains and images come out again."""

from __future__ import annotations

import numpy as np
import pytest

from assets.color import srgb_from_linear
from benchmarks.twin.color import difference, lab_from_linear
from benchmarks.twin.draws import compare_looks
from benchmarks.twin.light import CameraModel, LightFit, combine, fit_gains, fit_lights, fit_matrix, make_basis
from benchmarks.twin.measure import (
    Look,
    band,
    compare_colors,
    edge_strength,
    flat_places,
    noise_in,
    outline_offset,
    overlap,
)
from render.sensor import color_matrix

RNG = np.random.default_rng(5)
BASIS = RNG.uniform(0.02, 0.4, (6, 400, 3))
EVERYWHERE = np.ones((400, 3), bool)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # of the supplementary data of Sharma, Wu and Dalal, 2005
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),  # blues, where the formula turns
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((50, 0, 0), (50, -1, 2), 2.3669),  # one is grey and has no hue
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),  # hues on either side of half a turn
        ((50, 2.5, 0), (73, 25, -18), 27.1492),  # far apart
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),  # nearly black
    ],
)
def test_colour_differences_are_those_of_the_published_table(first: tuple, second: tuple, expected: float) -> None:
    assert difference(np.array(first, float), np.array(second, float)) == pytest.approx(expected, abs=1e-4)
    assert difference(np.array(second, float), np.array(first, float)) == pytest.approx(expected, abs=1e-4)


def test_lab_has_white_and_black_at_its_ends_and_middle_grey_half_way() -> None:
    lab = lab_from_linear(np.array([[1.0, 1, 1], [0, 0, 0], [0.18, 0.18, 0.18]]))
    assert lab == pytest.approx(np.array([[100.0, 0, 0], [0, 0, 0], [49.5, 0, 0]]), abs=0.05)


def test_light_fit_recovers_known_weights_and_colours() -> None:
    weights, gains = np.array([0.7, 0.0, 0.2, 0.0, 1.1, 0.4]), np.array([1.2, 1.0, 0.8])
    fit = fit_lights(BASIS, combine(BASIS, weights) * gains, EVERYWHERE)
    assert fit.weights == pytest.approx(weights, abs=1e-3)
    assert fit.gains == pytest.approx(gains / gains.mean(), rel=1e-3)


def test_what_is_cut_off_does_not_count() -> None:
    weights = np.array([0.5, 0.3, 0, 0, 0, 0.6])
    light = combine(BASIS, weights)
    usable = light < np.quantile(light, 0.8)
    clipped = np.where(usable, light, 1.0)
    assert fit_lights(BASIS, clipped, usable).weights == pytest.approx(weights, abs=1e-3)
    assert fit_lights(BASIS, clipped, EVERYWHERE).weights != pytest.approx(weights, abs=0.05)


def test_exposure_and_white_balance_are_recovered_in_spite_of_noise() -> None:
    gains = np.array([2.0, 1.1, 0.6])
    light = BASIS[0] * gains * RNG.normal(1, 0.05, BASIS[0].shape)
    assert fit_gains(BASIS[0], light, EVERYWHERE) == pytest.approx(gains, rel=0.02)


def test_a_colour_matrix_is_recovered() -> None:
    matrix = color_matrix((0.2, -0.1, 0.05, 0.1, -0.05, 0.15))
    assert fit_matrix([BASIS[0], BASIS[1]], [BASIS[0] @ matrix.T, BASIS[1] @ matrix.T]) == pytest.approx(matrix)


@pytest.mark.parametrize("tone", [1.0, 1.4])
def test_a_camera_model_undoes_itself(tone: float) -> None:
    camera = CameraModel(tone)
    light = RNG.uniform(0.01, 0.95, (50, 3))
    assert camera.light_of(srgb_from_linear(camera.image_of(light))) == pytest.approx(light, abs=1e-6)


def test_basis_lamps_shine_on_the_products_as_brightly_as_the_environment() -> None:
    lamps = [light.lamp for light in make_basis(("even.hdr",)) if light.lamp is not None]
    assert len(lamps) >= 12
    for lamp in lamps:
        place = lamp.world_from_light[:3, 3]
        assert lamp.radiance[0] * lamp.width * lamp.height / (place @ place) == pytest.approx(np.pi)
        assert lamp.world_from_light[:3, 2] == pytest.approx(-place / np.linalg.norm(place))
        assert place[2] > 0


def test_alike_is_alike_and_half_the_contrast_is_half() -> None:
    image, keys = RNG.uniform(0.1, 0.8, (600, 3)), np.repeat([1, 2, 3], 200)
    same = compare_colors(image, image, keys)
    assert (same.by_pixel, same.by_product, same.contrast, same.chroma) == pytest.approx((0, 0, 1, 1))
    ramp = np.linspace(20, 80, 600)
    full, half = (((lightness + 16) / 116) ** 3 for lightness in (ramp, 50 + (ramp - 50) / 2))
    likeness = compare_colors(*(np.repeat(y[:, None], 3, axis=1) for y in (half, full)), keys)
    assert likeness.contrast == pytest.approx(0.5, rel=1e-3)


def test_overlap_of_masks() -> None:
    first, second = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    assert overlap(first, second) == 1
    first[:, :4], second[:, 2:] = True, True
    assert overlap(first, second) == pytest.approx(1 / 3)


def test_noise_is_measured_on_ramps_and_print_does_not_count() -> None:
    plain = np.tile(np.linspace(0.3, 0.5, 200), (200, 1))
    plain[:, 100:] += np.where((np.arange(200) // 3 % 2)[:, None], 0.2, 0.0)
    inside = np.ones((200, 200), bool)
    places = flat_places(plain, inside)
    assert places[50, 50] and not places[50, 150]
    noisy = plain + RNG.normal(0, 0.02, plain.shape)
    assert noise_in(noisy, places) == pytest.approx(0.02, rel=0.1)
    assert np.isnan(noise_in(noisy, np.zeros_like(places)))


def test_bands_hold_detail_of_their_size_alone() -> None:
    x = np.arange(256)
    inside = np.ones((64, 256), bool)
    fine, coarse = (np.tile(0.5 + 0.1 * np.sin(2 * np.pi * x / period), (64, 1)) for period in (3, 64))
    assert band(fine, 0, 0.7, inside) > 10 * band(coarse, 0, 0.7, inside)
    assert band(coarse, 6, 18, inside) > 10 * band(fine, 6, 18, inside)
    assert band(2 * fine, 0, 0.7, inside) == pytest.approx(2 * band(fine, 0, 0.7, inside))


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-4, 1)])
def test_outlines_are_led_to_the_edges_of_the_photograph(shift: tuple[int, int]) -> None:
    mask = np.zeros((90, 120), bool)
    mask[30:60, 40:85] = True
    photo = np.where(np.roll(mask, shift[::-1], axis=(0, 1))[..., None], [70.0, 30, 10], [30.0, 0, 0])
    found = outline_offset(edge_strength([photo]), mask)
    assert found == pytest.approx(shift, abs=0.75)
    assert np.isnan(outline_offset(edge_strength([photo]), np.zeros_like(mask))).all()


def test_looks_that_agree_are_no_distance_apart() -> None:
    looks = [Look(**dict.fromkeys(Look.__dataclass_fields__, float(value))) for value in range(20)]
    shifted = [Look(**dict.fromkeys(Look.__dataclass_fields__, value + 100.0)) for value in range(20)]
    same, far = compare_looks(looks, looks)[0], compare_looks(looks, shifted)[0]
    assert (same.distance, same.inside) == (0, 0.9)
    assert far.inside == 0 and far.distance == pytest.approx(100 / np.hypot(np.std(range(20)), 50))


def test_a_fit_of_no_light_gives_a_black_image() -> None:
    fit = LightFit(np.zeros(6), np.ones(3))
    assert not combine(BASIS, fit.weights).any()
