"""The HDRI taken apart: no energy lost, suns where they are, reflections that keep their light."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.backends.raster.environment import (
    LEVEL_ROUGHNESS,
    LUMINANCE,
    diffuse_harmonics,
    directions_of,
    fit_environment,
    reflection_level,
    sh_basis,
    solid_angles,
    split_suns,
)


def lamp_room(*, azimuth: float, elevation: float, radius: float, radiance: float) -> np.ndarray:
    """A grey room of radiance 0.5 with one round lamp, (128, 256, 3) float32."""
    directions = directions_of(128, 256)
    axis = direction(azimuth, elevation)
    lit = directions @ axis > np.cos(radius)
    return np.where(lit[..., None], radiance, 0.5).repeat(3, axis=2).astype(np.float32)


def direction(azimuth: float, elevation: float) -> np.ndarray:
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def energy(radiance: np.ndarray) -> np.ndarray:
    return (radiance * solid_angles(*radiance.shape[:2])[..., None]).sum(axis=(0, 1))


def test_the_directions_follow_the_agreed_mapping() -> None:
    grid = directions_of(64, 128)
    assert np.allclose(np.linalg.norm(grid, axis=-1), 1)
    assert grid[0, 0, 2] > 0.99  # the first row looks up
    assert np.allclose(grid[32, 64], [1, 0, 0], atol=0.04)  # the middle column looks along +x
    assert np.allclose(grid[32, 32], [0, 1, 0], atol=0.04)  # a quarter to its left lies +y


@pytest.mark.parametrize(("height", "width"), [(1, 2), (7, 14), (64, 128)])
def test_the_pixels_cover_the_sphere_once(height: int, width: int) -> None:
    assert solid_angles(height, width).sum() == pytest.approx(4 * np.pi, rel=1e-12)


def test_the_harmonics_are_orthonormal() -> None:
    basis = sh_basis(directions_of(256, 512)) * np.sqrt(solid_angles(256, 512))[..., None]
    flat = basis.reshape(-1, 9)
    assert np.allclose(flat.T @ flat, np.eye(9), atol=1e-3)


@pytest.mark.parametrize("normal", [[0, 0, 1], [0, 0, -1], [1, 0, 0], [0.6, 0, 0.8]])
def test_a_uniform_sky_shows_its_own_radiance_on_white(normal: list[float]) -> None:
    harmonics = diffuse_harmonics(np.full((32, 64, 3), [1.0, 2.0, 3.0]))
    assert np.allclose(sh_basis(np.array(normal, float)) @ harmonics, [1, 2, 3], atol=0.01)


def test_a_smooth_sky_gives_the_irradiance_that_summing_gives() -> None:
    grid = directions_of(64, 128)
    sky = (1 + 0.5 * grid[..., 2:] + 0.3 * grid[..., :1] * grid[..., 1:2]).repeat(3, axis=2)
    normal = np.array([0.48, 0.6, 0.64])
    cosine = np.maximum(grid @ normal, 0)[..., None]
    summed = energy(sky * cosine) / np.pi
    assert np.allclose(sh_basis(normal) @ diffuse_harmonics(sky), summed, rtol=0.01)


@settings(max_examples=20, deadline=None)
@given(
    azimuth=st.floats(-3.1, 3.1),
    elevation=st.floats(-1.3, 1.3),
    radius=st.floats(0.08, 0.3),
    radiance=st.floats(10, 500),
    count=st.integers(1, 6),
)
def test_splitting_loses_no_energy_and_finds_the_lamp(
    azimuth: float, elevation: float, radius: float, radiance: float, count: int
) -> None:
    room = lamp_room(azimuth=azimuth, elevation=elevation, radius=radius, radiance=radiance)
    rest, suns = split_suns(room.astype(np.float64), count=count)
    assert np.allclose(energy(rest) + sum((sun.irradiance for sun in suns), np.zeros(3)), energy(room), rtol=1e-6)
    assert (rest >= 0).all()
    weakest = 20 * np.pi * radius**2 * radiance * 0.01
    assert suns or weakest < 1  # a lamp of too little energy stays in the rest, whole or in part
    if not suns or len(suns) < count:
        return
    middle = sum((sun.direction * (sun.irradiance @ LUMINANCE) for sun in suns), np.zeros(3))
    assert middle @ direction(azimuth, elevation) > np.cos(0.03) * np.linalg.norm(middle)
    assert max(sun.radius for sun in suns) < radius + 0.05


def test_one_round_lamp_keeps_its_size() -> None:
    (sun,) = split_suns(lamp_room(azimuth=0.4, elevation=0.6, radius=0.2, radiance=80).astype(float), count=1)[1]
    assert sun.radius == pytest.approx(0.2, abs=0.01)
    assert np.allclose(sun.irradiance, sun.irradiance[0])


@pytest.mark.parametrize("count", [0, 3])
def test_an_even_sky_has_no_sun(count: int) -> None:
    room = np.full((32, 64, 3), 0.7)
    rest, suns = split_suns(room, count=count)
    assert suns == ()
    assert np.array_equal(rest, room)


@pytest.mark.parametrize("roughness", LEVEL_ROUGHNESS)
def test_blurring_a_reflection_keeps_an_even_sky(roughness: float) -> None:
    assert np.allclose(reflection_level(np.full((32, 64, 3), 0.4), roughness, 64), 0.4, rtol=1e-4)


def test_rougher_reflections_are_flatter() -> None:
    room = lamp_room(azimuth=1.0, elevation=0.3, radius=0.2, radiance=50)
    peaks = [float(level.max()) for level in fit_environment(room, suns=2).levels]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < 0.2 * peaks[0]


def test_the_blur_turns_with_the_sky() -> None:
    room = lamp_room(azimuth=0.0, elevation=0.3, radius=0.2, radiance=50)
    first = reflection_level(room, 0.5, 64)
    turned = reflection_level(np.roll(room, 64, axis=1), 0.5, 64)
    assert np.allclose(np.roll(first, 16, axis=1), turned, rtol=1e-4, atol=1e-5)


def test_without_a_ground_the_upper_half_is_part_of_the_whole() -> None:
    light = fit_environment(lamp_room(azimuth=0.0, elevation=0.9, radius=0.1, radiance=100), suns=1)
    up = sh_basis(np.array([0.0, 0.0, 1.0]))
    down = sh_basis(np.array([0.0, 0.0, -1.0]))
    assert np.allclose(up @ light.diffuse_upper, up @ light.diffuse, rtol=0.05)
    assert (np.abs(down @ light.diffuse_upper) < 0.05).all()


def test_the_same_sky_gives_the_same_lights() -> None:
    room = np.random.default_rng(3).gamma(0.3, 2.0, (64, 128, 3)).astype(np.float32)
    first, second = fit_environment(room, suns=5), fit_environment(room.copy(), suns=5)
    assert np.array_equal(first.diffuse, second.diffuse)
    assert [sun.direction.tolist() for sun in first.suns] == [sun.direction.tolist() for sun in second.suns]
