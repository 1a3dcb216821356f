"""A frame is the image and its labels, whatever a renderer does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from render.make_frame import render_frame
from render.optics.distortion import Distortion
from render.scene import Sensor
from support.scenes import StubLibrary, camera_at, cube, product, scene_of

LIBRARY: Any = StubLibrary({"cube": cube(1.0)})
SCENE = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube"))


class Painter:
    """A renderer of one grey, with two samples that are no numbers."""

    def render(self, scene: Any) -> np.ndarray:
        image = np.ones((scene.camera.height, scene.camera.width, 4), np.float32)
        image[3, 5, 0], image[4, 6, 1] = np.nan, np.inf
        return image


class Broken:
    def render(self, scene: Any) -> np.ndarray:
        raise RuntimeError("no image")


def test_samples_that_are_no_numbers_cost_no_scene() -> None:
    frame = render_frame(SCENE, LIBRARY, Painter())  # type: ignore[arg-type]
    assert frame.rgb.shape == (48, 64, 3) and frame.rgb[3, 5, 0] == 0 == frame.rgb[4, 6, 1]
    (annotation,) = frame.annotations
    assert annotation.area == 32 * 32 == int((frame.geometry.ids == 1).sum())


def test_a_renderer_that_fails_is_heard_though_labels_are_traced_beside_it() -> None:
    with pytest.raises(RuntimeError, match="no image"):
        render_frame(SCENE, LIBRARY, Broken())  # type: ignore[arg-type]


class Grain:
    """A renderer of noise."""

    def render(self, scene: Any) -> np.ndarray:
        size = (scene.camera.height, scene.camera.width, 4)
        return np.random.default_rng(0).uniform(0.1, 1, size).astype(np.float32) ** [1, 1, 1, 0]


def test_what_lies_behind_the_focus_is_blurred_and_the_product_is_sharp() -> None:
    sensor = Sensor(aperture_mm=100.0, focus_m=2.0)  # the front face of the cube is 2 m away
    sharp, focused = (
        render_frame(replace(SCENE, sensor=one), LIBRARY, Grain()).rgb.astype(float)  # type: ignore[arg-type]
        for one in (Sensor(), sensor)
    )
    assert np.array_equal(focused[10:38, 18:46], sharp[10:38, 18:46])
    assert focused[:, :12].std() < 0.5 * sharp[:, :12].std()


def test_frames_of_a_lens_have_its_labels() -> None:
    camera = replace(SCENE.camera, distortion=Distortion(k1=-0.2), rolling_shutter=(0.0, 0.05, 0.0))
    frame = render_frame(replace(SCENE, camera=camera), LIBRARY, Painter())  # type: ignore[arg-type]
    (annotation,) = frame.annotations
    assert frame.rgb.shape == (48, 64, 3) and annotation.area < 32 * 32  # the barrel makes the face smaller
