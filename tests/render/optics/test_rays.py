"""Rays of pixels and pixels of points: each the inverse of the other, whatever lens and shutter."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from render.geometry import pixel_rays, project, unproject
from render.optics.distortion import Distortion
from render.optics.rolling_shutter import readout_share
from render.scene import Camera
from support.errors import raises
from support.scenes import camera_at

PINHOLE = camera_at((0.3, -1.5, 0.8), (0, 0, 0.2), width=96, height=72, focal=80, offset=(5, -3))
LENS = Distortion(k1=-0.12, k2=0.01, p1=0.002, p2=-0.003)
TURN = (0.03, -0.05, 0.04)
CAMERAS = {
    "brown_conrady": replace(PINHOLE, distortion=LENS),
    "fisheye": replace(PINHOLE, distortion=Distortion("fisheye", k1=-0.02)),
    "rolling shutter": replace(PINHOLE, rolling_shutter=TURN),
    "both": replace(PINHOLE, distortion=LENS, rolling_shutter=TURN),
}
cameras = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())


@cameras
def test_a_point_on_the_ray_of_a_pixel_appears_there(camera: Camera) -> None:
    rng = np.random.default_rng(0)
    pixels, depth = rng.uniform([-30, -20], [126, 92], (200, 2)), rng.uniform(0.5, 4, 200)
    found, along = project(camera, unproject(camera, pixels, depth))
    assert found == pytest.approx(pixels, abs=1e-6)
    assert along == pytest.approx(depth)


@cameras
def test_rays_of_a_window_continue_those_of_the_image(camera: Camera) -> None:
    rays = pixel_rays(camera, -3, -2, 99, 74)
    assert rays[2:74, 3:99] == pytest.approx(pixel_rays(camera, 0, 0, 96, 72), abs=1e-12)
    assert pixel_rays(camera, 10, 20, 12, 21) == pytest.approx(rays[22:23, 13:15], abs=1e-12)
    assert (rays[..., 2] == 1).all()


def test_projection_is_that_of_opencv() -> None:
    camera = CAMERAS["brown_conrady"]
    points = np.random.default_rng(1).uniform([-0.5, -0.5, 0.0], [0.5, 0.5, 0.5], (50, 3))
    coefficients = np.array(list(LENS.coefficients.values()))
    inside = np.linalg.inv(camera.world_from_camera)
    turn, _ = cv2.Rodrigues(inside[:3, :3])
    expected, _ = cv2.projectPoints(points, turn, inside[:3, 3], camera.K, coefficients)
    assert project(camera, points)[0] == pytest.approx(expected[:, 0], abs=1e-8)


@pytest.mark.parametrize("row", [0, 17, 36, 71])
def test_a_row_sees_what_a_camera_turned_so_far_sees(row: int) -> None:
    camera = CAMERAS["both"]
    share = readout_share(np.array([row + 0.5]), 72)[0]
    rotation, _ = cv2.Rodrigues(np.array(TURN) * share)
    rays = pixel_rays(replace(camera, rolling_shutter=None), 0, row, 96, row + 1) @ rotation.T
    assert pixel_rays(camera, 0, row, 96, row + 1) == pytest.approx(rays / rays[..., 2:], abs=1e-12)


def test_what_changes_nothing_is_left_out() -> None:
    camera = replace(PINHOLE, distortion=Distortion(), rolling_shutter=(0.0, 0.0, 0.0))
    assert camera.is_pinhole and camera.distortion is None and camera.rolling_shutter is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"distortion": Distortion(k1=-0.6)}, "folds over"),
        ({"distortion": Distortion("fisheye", k1=-0.9)}, "folds over"),
        ({"distortion": Distortion("fisheye"), "K": np.diag([30.0, 30.0, 1.0])}, "further than 75 degrees"),
        ({"distortion": Distortion(k1=0.01, p1=-0.4)}, "folds over"),
        ({"rolling_shutter": (0.5, 0.0, 0.0)}, "image heights"),
        ({"rolling_shutter": (np.nan, 0.0, 0.0)}, "image heights"),
    ],
)
def test_views_that_fold_over_are_refused(change: dict, problem: str) -> None:
    with raises("camera-invalid", found=problem):
        replace(PINHOLE, **change)
