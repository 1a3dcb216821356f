"""Placement: everything rests, touches, and intersects nothing; every product comes equally often."""

from __future__ import annotations

import fcl
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.mesh.rest import Rest, rest_from_mesh
from assets.mesh.types import Mesh
from render.choice import choose_products
from render.geometry import rotation_about_z
from render.placement.arrange import ArrangementParams, Item, arrange, resting_pose
from render.placement.arrangement import GAP, Arrangement
from support.scenes import cube, mesh_from


def cylinder(radius: float, height: float) -> Mesh:
    shape = trimesh.creation.cylinder(radius, height, sections=24)
    shape.apply_translation([0, 0, height / 2])
    return mesh_from(shape, f"cylinder-{radius}-{height}")


def torus() -> Mesh:
    shape = trimesh.creation.torus(0.08, 0.02)
    shape.apply_translation([0, 0, -shape.bounds[0, 2]])
    return mesh_from(shape, "torus")


MESHES = [cube(0.1), cylinder(0.03, 0.25), cylinder(0.06, 0.05), torus()]
RESTS = [rest_from_mesh(mesh) for mesh in MESHES]
PARAMS = ArrangementParams(touch=0.5, occlude=0.3, density=0.5, tilt=(0.03, 0.2), view_azimuth=0.4)


def collision_object(mesh: Mesh, pose: np.ndarray) -> fcl.CollisionObject:
    """The full triangle mesh, not its hull: an independent judge of what intersects."""
    model = fcl.BVHModel()
    model.beginModel(len(mesh.vertices), len(mesh.faces))
    model.addSubModel(mesh.vertices.astype(float), mesh.faces)
    model.endModel()
    return fcl.CollisionObject(model, fcl.Transform(pose[:3, :3], pose[:3, 3]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_nothing_intersects_and_everything_rests_on_the_table(seed: int, picks: list[int]) -> None:
    rng = np.random.default_rng(seed)
    manners = [("stand", "lie", "lean")[rng.integers(3)] for _ in picks]
    things = [Item(RESTS[pick], manner) for pick, manner in zip(picks, manners, strict=True)]
    poses = arrange(things, PARAMS, rng=rng)
    bodies = [collision_object(MESHES[pick], pose) for pick, pose in zip(picks, poses, strict=True)]
    for i, body in enumerate(bodies):
        lowest = (MESHES[picks[i]].vertices @ poses[i][2, :3] + poses[i][2, 3]).min()
        assert lowest == pytest.approx(0, abs=1e-6)
        for other in bodies[:i]:
            assert not fcl.collide(body, other, fcl.CollisionRequest(), fcl.CollisionResult())


def test_most_things_touch_when_asked_to() -> None:
    things = [Item(RESTS[0])] * 8
    poses = arrange(things, ArrangementParams(1.0, 0.0, 0.5, (0.0, 0.1), 0.0), rng=np.random.default_rng(1))
    arrangement = Arrangement()
    arrangement.add(RESTS[0], poses[0])
    for pose in poses[1:]:
        assert 0 <= arrangement.distance(RESTS[0], pose) <= 2 * GAP
        arrangement.add(RESTS[0], pose)


def test_things_set_in_line_stand_behind_each_other_for_the_camera() -> None:
    """The second thing lies along the viewing direction from the first, within the stated spread of 20 degrees."""
    angles = []
    for seed in range(60):
        params = ArrangementParams(0.0, 1.0, 0.5, (0.0, 0.1), view_azimuth=0.7)
        first, second = arrange([Item(RESTS[1])] * 2, params, rng=np.random.default_rng(seed))
        x, y = second[:2, 3] - first[:2, 3]
        angles.append((np.arctan2(y, x) - 0.7 + np.pi / 2) % np.pi - np.pi / 2)
    assert np.std(angles) == pytest.approx(np.radians(20), rel=0.4)
    assert abs(np.mean(angles)) < np.radians(10)


def test_a_tall_thing_leans_past_its_balance_and_on_something() -> None:
    leaning = 0
    for seed in range(12):
        things = [Item(RESTS[1]), Item(RESTS[1], "lean")]
        first, second = arrange(things, PARAMS, rng=np.random.default_rng(seed))
        tilt = np.arccos(np.clip(second[2, 2], -1, 1))
        if tilt > 0.01:
            leaning += 1
            assert tilt > np.arctan(0.06 / 0.25) * 0.9  # a cylinder balances at atan(diameter / height)
            arrangement = Arrangement()
            arrangement.add(RESTS[1], first)
            assert arrangement.distance(RESTS[1], second) <= 2 * GAP
    assert leaning >= 6


def test_a_thing_pushed_past_everything_meets_nothing() -> None:
    arrangement = Arrangement()
    arrangement.add(RESTS[0], resting_pose(RESTS[0], np.eye(3)))
    start = resting_pose(RESTS[0], np.eye(3))
    start[:2, 3] = [-1, 0.5]
    assert arrangement.push(RESTS[0], start, np.array([1.0, 0]), reach=3) is None


def test_a_push_ends_at_the_face_of_the_neighbour() -> None:
    arrangement = Arrangement()
    arrangement.add(RESTS[0], resting_pose(RESTS[0], np.eye(3)))
    start = resting_pose(RESTS[0], np.eye(3))
    start[0, 3] = -1
    touching = arrangement.push(RESTS[0], start, np.array([1.0, 0]), reach=3)
    assert touching is not None
    assert touching[0, 3] == pytest.approx(-0.1, abs=2 * GAP)


def test_a_crowd_finds_room_at_any_density() -> None:
    things = [Item(RESTS[0])] * 60
    poses = arrange(things, ArrangementParams(0, 0, 0.9, (0, 0.1), 0), rng=np.random.default_rng(0))
    assert len(poses) == 60


def test_a_cube_rests_on_its_faces_equally_often() -> None:
    rest = RESTS[0]
    assert len(rest.rotations) == 6
    assert rest.weights == pytest.approx(1 / 6, abs=0.01)
    assert rest.rotations[0] == pytest.approx(np.eye(3))


def test_a_flat_mesh_still_has_a_pose() -> None:
    flat = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    rest = rest_from_mesh(mesh_from(flat, "flat"))
    assert isinstance(rest, Rest)
    assert rest.rotations.shape == (1, 3, 3)


def test_rotation_about_z_is_counter_clockwise() -> None:
    assert rotation_about_z(np.pi / 2) @ [1, 0, 0] == pytest.approx([0, 1, 0])


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 6), st.integers(0, 2**40), st.integers(1, 60))
def test_no_product_is_drawn_more_than_twice_as_often_as_another(
    size: int, low: int, more: int, seed: int, scenes: int
) -> None:
    drawn = np.zeros(size, int)
    for index in range(scenes):
        chosen = choose_products(size, (low, low + more), seed=seed, index=index)
        assert low <= len(chosen) <= low + more
        np.add.at(drawn, list(chosen), 1)
    assert drawn.max() - drawn.min() <= 1  # so never more than twice, once every product has come


def test_the_choice_of_a_scene_needs_no_other_scene() -> None:
    straight = [choose_products(170_000, (3, 9), seed=5, index=index) for index in range(30)]
    assert choose_products(170_000, (3, 9), seed=5, index=29) == straight[29]
    assert len({sku for scene in straight for sku in scene}) == sum(len(scene) for scene in straight)
    assert choose_products(170_000, (3, 9), seed=6, index=29) != straight[29]
