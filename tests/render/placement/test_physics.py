"""Rigid bodies: thin and finely meshed ones come to rest; without the engine there is advice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from assets.mesh.rest import Rest, upright_rest
from render.geometry import transform
from render.placement.physics import COARSE, RigidBody, Simulated, _corners, simulate
from support.errors import raises
from support.scenes import sphere

SHEET = Rest(
    np.array([[x, y, 0.0] for x in (-0.05, 0.05) for y in (-0.04, 0.04)]),
    np.array([[0, 2, 3], [0, 3, 1]], np.int32),
    np.eye(3)[None],
    np.ones(1),
)


def drop(shape: Rest, height: float) -> Simulated:
    pose = np.eye(4)
    pose[2, 3] = height
    return simulate([RigidBody(shape, pose)], (), 0.3, 0.25, seconds=2.0)


def test_a_sheet_without_thickness_comes_to_rest() -> None:
    found = drop(SHEET, 0.05)
    assert not found.moving.any() and 0 <= found.bodies[0].pose[2, 3] < 1.5e-3


def test_a_hull_of_many_corners_rests_on_the_floor() -> None:
    ball = upright_rest(sphere(0.04, subdivisions=4))
    coarse = ConvexHull(_corners(ball))
    outside = ball.hull_vertices @ coarse.equations[:, :3].T + coarse.equations[:, 3]
    assert len(coarse.points) < len(ball.hull_vertices) / 4 and outside.max() <= COARSE
    found = drop(ball, 0.06)
    assert abs(transform(found.bodies[0].pose, ball.hull_vertices)[:, 2].min()) < 1e-3


def test_without_the_engine_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with raises("dependency-missing", hint="pip install 'mujoco"):
        drop(SHEET, 0.05)


def test_a_simulation_that_fails_is_reported_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = drop(SHEET, 1e11)  # farther than the engine accepts
    assert found.moving.all() and (found.depth == np.inf).all()
    assert not list(tmp_path.iterdir())
