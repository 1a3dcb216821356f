"""Heaps: items inside, apart and at rest, the same at every run."""

from __future__ import annotations

import numpy as np
import pytest

from assets.mesh.rest import Rest, rest_from_mesh
from render.geometry import transform
from render.placement import heap
from render.placement.arrangement import Arrangement
from render.placement.heap import Heap, settle
from render.placement.physics import RigidBody, simulate
from support.scenes import can, cube

WIDTH, DEPTH = 0.3, 0.25
SHAPES: tuple[Rest, ...] = (rest_from_mesh(cube(0.06)), rest_from_mesh(can(0.03, 0.11))) * 4


@pytest.fixture(scope="module", params=["one batch", "batches"])
def settled(request: pytest.FixtureRequest) -> Heap:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "batches":
            patch.setattr(heap, "BATCH", 3)
        return settle.__wrapped__(SHAPES, WIDTH, DEPTH, seed=1)


def test_items_lie_inside_and_apart(settled: Heap) -> None:
    assert settled.depth < 1e-3
    pile = Arrangement()
    for shape, pose in zip(SHAPES, settled.poses, strict=True):
        corners = transform(pose, shape.hull_vertices)
        assert (np.abs(corners[:, :2]) <= np.array([WIDTH, DEPTH]) / 2 + 1e-3).all() and corners[:, 2].min() > -1e-3
        assert pile.distance(shape, pose) >= 0
        pile.add(shape, pose)


def test_items_lie_on_something(settled: Heap) -> None:
    lowest = [
        transform(pose, shape.hull_vertices)[:, 2].min() for shape, pose in zip(SHAPES, settled.poses, strict=True)
    ]
    assert min(lowest) < 1e-3 and max(lowest) < settled.top <= 0.25


def test_items_are_at_rest(settled: Heap) -> None:
    """Let loose again, all at once and without drag, they stay where they are: slower than 5 mm/s on average."""
    assert settled.moving == 0
    bodies = [RigidBody(shape, pose) for shape, pose in zip(SHAPES, settled.poses, strict=True)]
    later = simulate(bodies, (), WIDTH, DEPTH, seconds=0.2, drag=False).bodies
    moved = [np.linalg.norm(after.pose[:3, 3] - pose[:3, 3]) for after, pose in zip(later, settled.poses, strict=True)]
    assert max(moved) < 1e-3


def test_the_same_seed_gives_the_same_poses() -> None:
    first, again, other = (settle.__wrapped__(SHAPES[:3], WIDTH, DEPTH, seed=seed).poses for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
