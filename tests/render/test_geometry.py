"""Cameras and boxes: what one can work out on paper, and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from render.geometry import (
    box_of_mask,
    clip_convex,
    convex_outline,
    invert_pose,
    look_at,
    pixel_rays,
    project,
    signed_area,
    transform,
    unproject,
    xywh_from_xyxy,
    xyxy_from_xywh,
)
from render.scene import Camera
from support.scenes import camera_at

finite = st.floats(-3, 3)


def test_a_point_on_the_axis_projects_to_the_principal_point() -> None:
    camera = camera_at((0, -2, 1), (0, 0, 1), offset=(3.5, -2.25))
    pixels, depth = project(camera, np.array([[0, 0, 1.0]]))
    assert pixels[0] == pytest.approx([32 + 3.5, 24 - 2.25])
    assert depth[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("point", "side"),
    [
        ((0.5, 0, 1), (1, 0)),  # to the camera's right, which looks along +Y: x grows
        ((0, 0, 1.5), (0, -1)),  # above: y, which points down, falls
    ],
)
def test_right_is_right_and_up_is_up(point: tuple[float, float, float], side: tuple[int, int]) -> None:
    camera = camera_at((0, -2, 1), (0, 0, 1))
    pixels, _ = project(camera, np.array([point]))
    assert np.sign(np.round(pixels[0] - [32, 24], 9)).tolist() == list(side)


def test_roll_turns_the_camera_clockwise() -> None:
    pose = look_at(np.array([0, -2.0, 0]), np.zeros(3), roll=np.radians(90))
    assert pose[:3, 0] == pytest.approx([0, 0, -1])  # its right side now points down


def test_a_camera_cannot_look_at_itself() -> None:
    with pytest.raises(ValueError, match="looks at its own place"):
        look_at(np.ones(3), np.ones(3))


def test_looking_straight_down_is_no_singularity() -> None:
    pose = look_at(np.array([0, 0, 2.0]), np.zeros(3))
    assert pose[:3, :3].T @ pose[:3, :3] == pytest.approx(np.eye(3))
    assert pose[:3, 2] == pytest.approx([0, 0, -1])


@given(st.tuples(finite, finite, finite), st.tuples(finite, finite, finite), finite)
def test_projecting_and_unprojecting_gives_the_point_back(
    eye: tuple[float, float, float], point: tuple[float, float, float], roll: float
) -> None:
    target = np.array([0.1, 0.2, 4.0])
    camera = Camera(64, 48, camera_at((0, -1, 0)).K, look_at(np.array(eye), target, roll=roll))
    pixels, depth = project(camera, np.array([point]))
    if abs(depth[0]) > 1e-3:
        assert unproject(camera, pixels, depth)[0] == pytest.approx(point, abs=1e-9)


@given(st.tuples(finite, finite, finite), finite)
def test_an_inverted_pose_undoes_the_pose(eye: tuple[float, float, float], roll: float) -> None:
    pose = look_at(np.array(eye), np.array([0.3, 0.1, 5.0]), roll=roll)
    points = np.arange(12.0).reshape(4, 3)
    assert transform(invert_pose(pose), transform(pose, points)) == pytest.approx(points, abs=1e-9)


def test_rays_go_through_pixel_centres() -> None:
    camera = camera_at((0, 0, 0), (0, 1, 0))
    rays = pixel_rays(camera, 0, 0, 64, 48)
    assert rays.shape == (48, 64, 3)
    assert rays[0, 0] == pytest.approx([(0.5 - 32) / 64, (0.5 - 24) / 64, 1])
    assert pixel_rays(camera, -2, -1, 1, 1)[1, 2] == pytest.approx(rays[0, 0])  # the plane goes on outside


def test_one_pixel_makes_a_box_of_width_one() -> None:
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    assert box_of_mask(mask) == (3, 2, 4, 3)


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        box_of_mask(np.zeros((3, 3), bool))


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)).filter(np.any))
def test_a_box_holds_its_mask_and_no_smaller_one_does(mask: np.ndarray) -> None:
    x0, y0, x1, y1 = (int(edge) for edge in box_of_mask(mask))
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[y0].any() and mask[y1 - 1].any() and mask[:, x0].any() and mask[:, x1 - 1].any()


@given(st.tuples(finite, finite, finite, finite))
def test_boxes_survive_the_round_trip_through_coco(box: tuple[float, float, float, float]) -> None:
    assert xyxy_from_xywh(xywh_from_xyxy(box)) == pytest.approx(box)


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0, 6))
def test_what_two_outlines_share(x: float, y: float, turn: float) -> None:
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    shared = clip_convex(square + [x, y], square)
    wanted = max(2 - abs(x), 0) * max(2 - abs(y), 0)
    assert (signed_area(shared) if len(shared) > 2 else 0.0) == pytest.approx(wanted, abs=1e-9)
    circle = convex_outline(np.array([[np.cos(a + turn), np.sin(a + turn)] for a in np.arange(40) * np.pi / 20]))
    same = clip_convex(circle, circle)
    assert signed_area(circle) > 3.1 and signed_area(same) == pytest.approx(signed_area(circle))
