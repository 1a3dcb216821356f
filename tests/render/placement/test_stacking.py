"""Stacks and copies: carried, not toppling, touching nothing else; every product has copies equally often."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from assets.mesh.rest import Rest, rest_from_mesh
from render.choice import assigned_count, sample_copies
from render.placement.arrange import ArrangementParams, Item, arrange, resting_pose
from render.placement.arrangement import Arrangement
from render.placement.stacking import AIR, Face, foot_face, is_carried, pose_upon, top_face
from render.recipes import load_recipe, recipe_from_yaml
from render.sample import sample_scene
from support.scenes import StubLibrary, cube, mesh_from


def rest_of(shape: trimesh.Trimesh, key: str) -> Rest:
    shape.apply_translation([0, 0, -shape.bounds[0, 2]])
    return rest_from_mesh(mesh_from(shape, key))


BOX = rest_from_mesh(cube(0.1))
CAN = rest_of(trimesh.creation.cylinder(0.035, 0.08, sections=32), "can")
CONE = rest_of(trimesh.creation.cone(0.05, 0.1, sections=24), "cone")
STACKING = ArrangementParams(touch=0.3, occlude=0.3, density=0.4, tilt=(0.03, 0.2), view_azimuth=0.4, stack=1.0)


def square(side: float, x: float = 0.0, height: float = 0.0) -> Face:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 + np.array([x, 0.0])
    return Face(corners, height)


def test_a_box_has_a_top_and_a_cone_has_not() -> None:
    pose = resting_pose(BOX, np.eye(3))
    top, foot = top_face(BOX, pose), foot_face(BOX, pose)
    assert top is not None and foot is not None
    assert (top.height, foot.height) == (pytest.approx(0.1), pytest.approx(0))
    assert top.area == pytest.approx(0.01) and top.width == pytest.approx(0.1)
    assert top_face(CONE, resting_pose(CONE, np.eye(3))) is None


@pytest.mark.parametrize(
    ("side", "beside", "carried"),
    [
        (0.1, 0.0, True),
        (0.1, 0.02, True),
        (0.1, 0.035, False),  # the foot is carried to two thirds
        (0.1, 0.06, False),  # its middle hangs in the air
        (0.05, 0.02, True),  # small upon large
        (0.15, 0.0, False),  # large upon small
    ],
)
def test_what_is_carried(side: float, beside: float, carried: bool) -> None:
    assert is_carried(square(side, beside), square(0.1), np.array([beside, 0.0])) is carried


def test_nothing_stands_higher_than_there_is_room() -> None:
    rng, pose = np.random.default_rng(0), resting_pose(CAN, np.eye(3))
    below = square(0.1, height=0.3)
    placed = pose_upon(CAN, pose, below, 1.0, rng=rng)
    assert placed is not None and placed[2, 3] == pytest.approx(0.3 + AIR, abs=1e-6)
    assert pose_upon(CAN, pose, below, 0.35, rng=rng) is None
    assert pose_upon(CONE, resting_pose(CONE, np.eye(3)), square(0.02, height=0.3), 1.0, rng=rng) is None


@pytest.mark.parametrize("seed", range(4))
def test_copies_stack_and_nothing_intersects(seed: int) -> None:
    things = [Item(BOX), Item(CAN), Item(CONE)] + [Item(shape, copy_of=i) for i, shape in ((0, BOX), (1, CAN))] * 3
    poses = arrange(things, STACKING, rng=np.random.default_rng(seed))
    lows = np.array([pose[2, 3] for pose in poses])
    judge = Arrangement()
    for thing, pose in zip(things, poses, strict=True):
        assert judge.distance(thing.shape, pose) > 0
        judge.add(thing.shape, pose)
    tops = [0.0] + [low + float(thing.shape.hull_vertices[:, 2].max()) for low, thing in zip(lows, things, strict=True)]
    for low in lows:  # on the table or on the top of something
        assert np.abs(low - np.array(tops)).min() < 2 * AIR
    assert (lows > 0.05).sum() >= 4 and lows.max() < 0.21  # of three layers at most


def test_copies_are_as_many_as_the_range_says_and_of_each_product_equally_often() -> None:
    count, repeat = (5, 12), (0.0, 0.45)
    low, high = assigned_count(count, repeat)
    rng = np.random.default_rng(1)
    hits, share, products = np.zeros(6), [], []
    for _ in range(1500):
        dealt = int(rng.integers(low, high + 1))
        copies = sample_copies(dealt, count, repeat, rng=rng)
        assert count[0] <= dealt + len(copies) <= count[1]
        share.append(len(copies) / (dealt + len(copies)))
        products.append(dealt + len(copies))
        if dealt == 6:
            hits += np.bincount(copies, minlength=6)
    assert np.mean(share) == pytest.approx(0.225, abs=0.04) and np.mean(products) == pytest.approx(8.5, abs=0.7)
    assert hits.min() > 0.75 * hits.max()
    assert sample_copies(2, count, repeat, rng=np.random.default_rng(1)) in (
        [],
        [0],
        [1],
        [0, 1],
        [1, 0],
    )  # a small hand
    assert sample_copies(6, count, (0.0, 0.0), rng=rng) == [] and assigned_count(count, (0.0, 0.0)) == count


def test_the_recipe_says_how_often_products_come_again() -> None:
    library = StubLibrary({key: cube(0.06 + 0.01 * i, key) for i, key in enumerate("abcdefghijklmnopqrst")})

    def scene(text: str, index: int) -> list[str]:
        recipe = recipe_from_yaml(f"recipe: tabletop\nproducts: {text}\n", where="here")
        drawn = sample_scene(library, recipe, seed=3, index=index, view=0, width=64, height=48)  # type: ignore[arg-type]
        return [placement.key for placement in drawn.placements if placement.kind == "product"]

    for index in range(3):
        often = scene("{count: [10, 10], repeat: [0.6, 0.6]}", index)
        assert len(often) == 10 and len(set(often)) == 4
    default = load_recipe("tabletop").products  # type: ignore[attr-defined]
    assert 0 < default.repeat[1] < 0.7 and 0 < default.stack[1] <= 1
