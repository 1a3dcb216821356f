"""Dropped items: inside, apart and still, the same at every run."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from assets.mesh.rest import Rest, rest_from_mesh
from render.geometry import transform
from render.placement.arrangement import Arrangement
from render.placement.physics import MAX_STEPS, Settled, settle
from support.errors import raises
from support.scenes import can, cube

WIDTH, DEPTH = 0.3, 0.25
SHAPES: list[Rest] = [rest_from_mesh(cube(0.06)), rest_from_mesh(can(0.03, 0.11))] * 4


def drop(seed: int) -> Settled:
    return settle(SHAPES, WIDTH, DEPTH, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def settled() -> Settled:
    return drop(1)


def test_items_lie_still_inside_and_apart(settled: Settled) -> None:
    assert settled.moving == 0 and settled.steps <= MAX_STEPS
    assert settled.depth < 1e-3
    pile = Arrangement()
    for shape, pose in zip(SHAPES, settled.poses, strict=True):
        corners = transform(pose, shape.hull_vertices)
        assert (np.abs(corners[:, :2]) <= np.array([WIDTH, DEPTH]) / 2 + 1e-3).all() and corners[:, 2].min() > -1e-3
        assert pile.distance(shape, pose) >= 0
        pile.add(shape, pose)


def test_items_lie_on_something(settled: Settled) -> None:
    lowest = [
        transform(pose, shape.hull_vertices)[:, 2].min() for shape, pose in zip(SHAPES, settled.poses, strict=True)
    ]
    assert min(lowest) < 1e-3 and max(lowest) < settled.top <= 0.25


def test_the_same_seed_gives_the_same_poses(settled: Settled) -> None:
    assert np.array_equal(drop(1).poses, settled.poses)
    assert not np.allclose(drop(2).poses, settled.poses)


def test_a_sheet_without_thickness_comes_to_rest() -> None:
    corners = [[x, y, 0] for x in (-0.05, 0.05) for y in (-0.04, 0.04)]
    sheet = Rest(corners, [[0, 2, 3], [0, 3, 1]], np.eye(3)[None], np.ones(1))  # type: ignore[arg-type]
    found = settle([sheet], WIDTH, DEPTH, rng=np.random.default_rng(0))
    assert not found.moving and 0 <= found.top < 0.06


def test_without_the_engine_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with raises("dependency-missing", hint="pip install 'mujoco"):
        drop(0)
