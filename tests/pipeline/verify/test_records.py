"""Checks of single records: the lens and shutter of an image's camera."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.verify.records import check_image
from render.coco import image_record
from render.optics.distortion import Distortion
from render.scene import Camera
from support.scenes import camera_at, scene_of

PINHOLE = camera_at((0, -1, 0))
CAMERAS = (
    PINHOLE,
    replace(PINHOLE, distortion=Distortion(k1=-0.1, p1=0.001), rolling_shutter=(0.01, 0.0, -0.02)),
    replace(PINHOLE, distortion=Distortion("fisheye", k4=0.001)),
)


def stored(camera: Camera) -> dict[str, Any]:
    record = replace(image_record(scene_of(camera), file_name="a.jpg", backend="raster"), id=1)
    return json.loads(json.dumps(record.content()))


@pytest.mark.parametrize("camera", CAMERAS)
def test_what_is_written_is_right(camera: Camera) -> None:
    assert list(check_image(stored(camera), 1, "here")) == []


def test_a_pinhole_has_neither_lens_nor_shutter() -> None:
    assert set(stored(PINHOLE)["camera"]) == {"K", "world_from_camera"}
    assert stored(CAMERAS[2])["camera"]["distortion"] == {"model": "fisheye", "k1": 0, "k2": 0, "k3": 0, "k4": 0.001}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("distortion", value) for value in (None, [], "fisheye", {}, {"model": []}, {"model": "fisheye", "k1": 0.1})),
        ("distortion", {"model": "fisheye", "k1": 0, "k2": 0, "k3": 0, "k4": "0"}),
        ("distortion", {"model": "brown_conrady", "k1": 0, "k2": 0, "k3": 0, "k4": 0}),
        *(("rolling_shutter", value) for value in (None, [], [0, 0], [0, 0, "a"], 1.0, [[0, 0, 0]])),
    ],
)
def test_lenses_and_shutters_that_are_none_are_found(field: str, value: object) -> None:
    image = stored(CAMERAS[1])
    image["camera"][field] = value
    assert [field in violation.what for violation in check_image(image, 1, "here")] == [True]
