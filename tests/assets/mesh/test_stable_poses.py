"""Resting poses: worked out on paper, and the same as the slow way through the faces one by one."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from assets.mesh.stable_poses import stable_poses


def slow_poses(hull: trimesh.Trimesh, least: float) -> tuple[np.ndarray, np.ndarray]:
    transforms, shares = trimesh.poses.compute_stable_poses(hull, sigma=0, n_samples=1, threshold=least)
    return np.asarray(transforms).reshape(-1, 4, 4)[:, :3, :3], np.asarray(shares)


def random_body(seed: int) -> trimesh.Trimesh:
    """A convex body without symmetries: no two of its poses are equally likely."""
    points = np.random.default_rng(seed).normal(size=(8 + 6 * (seed % 9), 3)) * [1, 0.7, 0.4 + seed % 3]
    return trimesh.convex.convex_hull(points)


@pytest.mark.parametrize("seed", range(24))
def test_random_bodies_rest_as_the_slow_way_says(seed: int) -> None:
    hull = random_body(seed)
    rotations, shares = stable_poses(hull, 0.01)
    expected, weights = slow_poses(hull, 0.01)
    assert np.allclose(shares, weights, atol=1e-9)
    assert np.allclose(rotations, expected, atol=1e-9)


def test_a_cube_rests_on_each_side_equally_often() -> None:
    rotations, shares = stable_poses(trimesh.creation.box((1, 1, 1)), 0.0)
    assert np.allclose(shares, 1 / 6)
    assert np.allclose(np.sort(np.abs(rotations[:, 2]), axis=1), [0, 0, 1])
    assert np.allclose(np.linalg.det(rotations), 1) and len(np.unique(rotations[:, 2].round(6), axis=0)) == 6


def test_a_flat_box_lies_as_its_sides_cover_the_sphere() -> None:
    """A side of a x b at distance d covers 4 arctan(a b / (2 d sqrt(4 d^2 + a^2 + b^2))) of 4 pi."""
    a, b, c = 0.3, 0.2, 0.1
    rotations, shares = stable_poses(trimesh.creation.box((a, b, c)), 0.0)
    expected = np.arctan(a * b / (c * np.sqrt(a * a + b * b + c * c))) / np.pi
    flat = np.abs(rotations[:, 2, 2]) > 0.999
    assert np.allclose(shares[flat], expected) and np.isclose(shares.sum(), 1)


def test_poses_of_a_round_body_come_in_an_order_of_their_own() -> None:
    """Equal shares differ in their last digits; moved a little, the body must have its poses in the same order."""
    can = trimesh.creation.cylinder(0.04, 0.1, sections=32)
    first, shares = stable_poses(can, 0.005)
    moved = trimesh.Trimesh(can.vertices + 1e-9, can.faces, process=False)
    again, _ = stable_poses(moved, 0.005)
    assert len(first) == 34 and np.allclose(first, again, atol=1e-6)
    assert np.isclose(shares.sum(), 1)


def test_what_is_no_body_is_refused() -> None:
    box = trimesh.creation.box((1, 1, 1))
    with pytest.raises(ValueError, match="not closed"):
        stable_poses(trimesh.Trimesh(box.vertices, box.faces[:-1], process=False), 0.0)
