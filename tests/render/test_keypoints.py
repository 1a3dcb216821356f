"""Corners of cuboids in the image, of scenes whose answer one can work out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from dataset.categories import CORNER_NAMES, CORNERS, MIRRORED, SKELETON
from render.coco import annotation_records, cuboid_corners, cuboid_keypoints
from render.labels import annotate, trace_geometry
from render.scene import SceneSpec
from support.scenes import StubLibrary, camera_at, can, cube, pose_at, product, quad, scene_of

LIBRARY = StubLibrary({"cube": cube(1.0), "can": can(0.5, 2.0), "wall": quad(2, 2, "wall")})


def keypoints(scene: SceneSpec) -> np.ndarray:
    geometry = trace_geometry(scene, LIBRARY)
    return cuboid_keypoints(scene, LIBRARY, geometry, annotate(scene, geometry)[0])


def test_names_and_edges_say_where_corners_are() -> None:
    """An edge joins two corners that differ in one of bottom or top, front or back, left or right."""
    for name, (x, y, z) in zip(CORNER_NAMES, CORNERS, strict=True):
        told = ("bottom" if z < 0 else "top", "front" if y < 0 else "back", "left" if x < 0 else "right")
        assert name == "_".join(told)
    assert len({frozenset(pair) for pair in SKELETON}) == 12
    assert all(np.abs(CORNERS[a - 1] - CORNERS[b - 1]).sum() == 2 for a, b in SKELETON)
    mirrored = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in CORNER_NAMES]
    assert [CORNER_NAMES[place] for place in MIRRORED] == mirrored


def test_the_corners_of_a_cylinder_are_those_around_it() -> None:
    corners = cuboid_corners(can(0.5, 2.0))
    assert corners[0] == pytest.approx([-0.5, -0.5, 0], abs=5e-3) and corners[6] == pytest.approx(
        [0.5, 0.5, 2], abs=5e-3
    )


def test_a_cube_two_metres_away() -> None:
    """With 64 px of focal length the front at depth 2 spans 32 px around (32, 24), the back at depth 3 64 / 3 px.

    The front hides the corners of the back.
    """
    points = keypoints(scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube")))
    near, far = 16, 32 / 3
    front = [[32 - near, 24 + near, 2], [32 + near, 24 + near, 2]]
    back = [[32 + far, 24 + far, 1], [32 - far, 24 + far, 1]]
    top = [[x, 48 - y, flag] for x, y, flag in front + back]
    assert points == pytest.approx(np.array([*front, *back, *top]), abs=0.006)
    assert (np.round(points, 2) == points).all()


def test_corners_outside_the_image_have_no_coordinates() -> None:
    """Moved to the right by 1.1 m: 35.2 px at the front, 23.5 px at the back.

    Only left corners stay in the image, and nothing is before those of the back, since the left side is seen.
    """
    points = keypoints(scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube", pose_at(x=1.1))))
    assert points[0] == pytest.approx([51.2, 40, 2]) and points[4] == pytest.approx([51.2, 8, 2])
    assert not points[[1, 5]].any() and not points[[2, 6]].any()
    assert points[3] == pytest.approx([32 - 32 / 3 + 23.47, 24 + 32 / 3, 2], abs=0.01)


def test_corners_behind_the_camera_have_no_coordinates() -> None:
    """The camera stands within the cuboid of a cylinder, beside the cylinder itself."""
    scene = scene_of(camera_at((-0.45, -0.45, 1), (0, 0, 1)), product("can"))
    points = keypoints(scene)
    assert not points[[0, 4]].any() and (points[:, 2] < 2).all()


def test_what_stands_before_a_corner_hides_it() -> None:
    """A second cube covers the right half of the first one, whose left corners stay in sight."""
    scene = scene_of(camera_at((0, -5, 0.5), (0, 0, 0.5)), product("cube"), product("cube", pose_at(x=0.6, y=-1.2)))
    points = keypoints(scene)
    assert points[[0, 4], 2].tolist() == [2, 2] and points[[1, 5], 2].tolist() == [1, 1]


def test_a_mirrored_camera_sees_the_mirrored_image() -> None:
    """Left corners take the places of right ones; whether they are seen stays."""
    scenes = [scene_of(camera_at((x, -2.0, 1.3), (0, 0, 0.5)), product("cube")) for x in (1.2, -1.2)]
    one, other = (keypoints(scene) for scene in scenes)
    assert one[:, 2].tolist().count(2) == 7 and one[:, 2].min() == 1
    mirrored = one[list(MIRRORED)]
    mirrored[:, 0] = 64 - mirrored[:, 0]
    assert other == pytest.approx(mirrored, abs=0.011)


def test_records_have_them_where_they_are_asked_for() -> None:
    scene = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube", pose_at(x=1.1)))
    geometry = trace_geometry(scene, LIBRARY)
    annotations = annotate(scene, geometry)
    (plain,) = annotation_records(scene, LIBRARY, geometry, annotations, keypoints=False)
    (record,) = annotation_records(scene, LIBRARY, geometry, annotations, keypoints=True)
    assert "keypoints" not in plain.content() and "num_keypoints" not in plain.content()
    said = record.content()
    assert len(said["keypoints"]) == 24 and said["keypoints"][:3] == [51.2, 40.0, 2.0]
    assert said["num_keypoints"] == 4
    assert {**plain.content(), "keypoints": said["keypoints"], "num_keypoints": 4} == said
