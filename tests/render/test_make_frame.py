"""A frame is the image and its labels, whatever a renderer does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from render.make_frame import render_frame
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
