"""Backgrounds: the HDRI lies where the conventions say, photographs fill the frame, all in linear light."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from assets.color import linear_from_srgb
from assets.props.look import Texture
from render.background import background_light, composite, environment_light
from render.scene import Background, Environment
from support.scenes import camera_at, scene_of


def hdri_with_a_spot(column: int, row: int) -> np.ndarray:
    """64 x 32 px, dark but for one bright pixel."""
    hdri = np.full((32, 64, 3), 0.1, np.float32)
    hdri[row, column] = 10.0
    return hdri


@pytest.mark.parametrize(
    ("column", "row", "rotation", "direction"),
    [
        (32, 16, 0.0, (1, 0, 0)),  # the middle column lies in +X
        (16, 16, 0.0, (0, 1, 0)),  # a quarter to the left of it in +Y
        (48, 16, 0.0, (0, -1, 0)),  # a quarter to the right in -Y
        (32, 0, 0.0, (0.05, 0, 1)),  # the first row is up
        (32, 16, np.pi / 2, (0, 1, 0)),  # turned counter-clockwise by a quarter
    ],
)
def test_the_hdri_lies_where_the_conventions_say(
    column: int, row: int, rotation: float, direction: tuple[float, float, float]
) -> None:
    camera = camera_at((0, 0, 0), direction, width=33, height=33, focal=40)
    light = environment_light(hdri_with_a_spot(column, row), Environment("x", rotation=rotation), camera)[..., 0]
    y, x = np.unravel_index(light.argmax(), light.shape)
    assert light.max() > 5
    # A pixel of the HDRI is 5.6 degrees wide: 4 px at this focal length.
    assert (x, y) == (pytest.approx(16, abs=4.5), pytest.approx(16, abs=4.5))


def test_the_seam_of_the_hdri_does_not_show() -> None:
    around = 2 + np.cos(np.linspace(0, 2 * np.pi, 64, endpoint=False, dtype=np.float32))
    ramp = np.tile(around[None, :, None], (32, 1, 3))
    camera = camera_at((0, 0, 0), (-1, 0, 0), width=64, height=48)
    row = environment_light(ramp, Environment("x"), camera)[24, :, 0]
    assert np.abs(np.diff(row)).max() < 0.03


def scene_with(background: Background) -> object:
    return scene_of(camera_at((0, -2, 1)), background=background)


def backdrops(image: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(texture_image=lambda texture: image, hdri=lambda key: np.ones((8, 16, 3), np.float32))


@pytest.mark.parametrize("shape", [(10, 300, 3), (300, 10, 3), (48, 64, 3), (5, 5, 3)])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_a_photograph_of_any_shape_fills_the_frame(shape: tuple[int, int, int], offset: float) -> None:
    background = Background("photo", Texture("image", key="shop"), zoom=1.3, offset_u=offset, offset_v=offset)
    light = background_light(scene_with(background), backdrops(np.full(shape, 200, np.uint8)))
    assert light.shape == (48, 64, 3)
    assert light == pytest.approx(float(linear_from_srgb(np.array(200 / 255))))


def test_a_photograph_is_exposed_as_the_scene_before_it() -> None:
    background = Background("photo", Texture("image", key="shop"), gain=0.5)
    rgba = np.zeros((48, 64, 4), np.float32)
    rgba[:10] = [7, 7, 7, 1]
    light = composite(rgba, scene_with(background), backdrops(np.full((48, 64, 3), 90, np.uint8)))
    assert light[20:] == pytest.approx(3.5, rel=1e-5)
    assert light[:10] == pytest.approx(7)


def test_half_covered_pixels_mix() -> None:
    rgba = np.full((48, 64, 4), 0.5, np.float32)  # a premultiplied colour of 1 at half coverage
    light = composite(rgba, scene_with(Background()), backdrops(np.zeros((1, 1, 3), np.uint8)))
    assert light == pytest.approx(1.0)
