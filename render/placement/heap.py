"""Heaps: items dropped into a bin until they lie still.

Items fall in batches from just above the heap, and each batch falls on what already lies there as on a fixed thing, so
that time grows with the number of items and not with its square. Then the heap is let loose as a whole. It is done once
all items, watched for half a second without any drag, stay where they are; until then those that moved are let loose
again with their neighbours, and at last they are taken out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, count

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from assets.mesh.rest import Rest
from render.geometry import transform
from render.placement.physics import RigidBody, Simulated, simulate

BATCH = 24
# Most that the fall of a batch, the whole heap and neighbours of what still moves may take, seconds of the simulation.
FALL_S, HEAP_S, NEAR_S = 2.0, 0.8, 1.5
# How long a heap is watched, seconds, and how far any corner may move and any item penetrate, metres.
WATCH_S, MAX_MOVED, MAX_DEPTH = 0.5, 1e-3, 1e-3
# Neighbours of what moved farther than this are let loose; their bounding boxes are no more than the gap apart, metres.
MOVED, GAP = 5e-4, 2e-3
# So often a heap is watched before what still moves is taken out.
TRIES = 4
# Places among which an item takes the lowest, and the side of the cells in which heights are kept, metres.
PLACES, CELL = 6, 0.02
# Between an item and what is below it at the start, metres.
ABOVE = 1e-3


@dataclass(frozen=True, eq=False)
class Heap:
    """Items at rest. poses: bin_from_object (4, 4) of each, origin in the middle of the floor, Z up; None if left out.

    top: height of the highest centre. depth: deepest penetration of two items, or of one and the bin; 0 if none.
    moved: how far any corner moves within WATCH_S. Metres.
    """

    poses: tuple[NDArray[np.float64] | None, ...]
    top: float
    depth: float
    moved: float


@lru_cache(maxsize=16)
def settle(shapes: tuple[Rest, ...], width: float, depth: float, *, seed: int) -> Heap:
    """Drop items in their order into a bin of that inner width (X) and depth (Y), metres, turned at random.

    What does not come to rest, or stays pressed into something, is left out. The last heaps are kept, for the further
    views of a scene. Raises SynthError if MuJoCo is not installed.
    """
    kept, bodies = np.arange(len(shapes)), _fall(shapes, width, depth, np.random.default_rng(seed))
    for tries in count(1):
        watched = simulate(bodies, (), width, depth, seconds=WATCH_S, drag=False)
        unstable = (watched.moved > MAX_MOVED) | (watched.depth > MAX_DEPTH)
        if not unstable.any():
            return _heap(len(shapes), kept, bodies, watched)
        near = _near(bodies, unstable | (watched.moved > MOVED))
        rest = np.ones(len(bodies), bool)
        if tries >= TRIES:
            rest[_highest(bodies, unstable)] = False
        kept, near, bodies = kept[rest], near[rest], tuple(compress(watched.bodies, rest))
        bodies = _loosen(bodies, near, width, depth)
    raise AssertionError  # a heap of no items is at rest


def _fall(shapes: tuple[Rest, ...], width: float, depth: float, rng: np.random.Generator) -> tuple[RigidBody, ...]:
    """Drop items in batches, then let all of them loose."""
    bodies: tuple[RigidBody, ...] = ()
    for first in range(0, len(shapes), BATCH):
        starts = _starts(shapes[first : first + BATCH], bodies, width, depth, rng)
        bodies += simulate(starts, bodies, width, depth, seconds=FALL_S).bodies
    return bodies if len(bodies) <= BATCH else simulate(bodies, (), width, depth, seconds=HEAP_S).bodies


def _loosen(
    bodies: tuple[RigidBody, ...], loose: NDArray[np.bool_], width: float, depth: float
) -> tuple[RigidBody, ...]:
    """Let some of the bodies loose between the others until they rest."""
    ends = iter(
        simulate(tuple(compress(bodies, loose)), tuple(compress(bodies, ~loose)), width, depth, seconds=NEAR_S).bodies
    )
    return tuple(next(ends) if free else body for body, free in zip(bodies, loose, strict=True))


def _near(bodies: tuple[RigidBody, ...], centers: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which bodies (N,) are among `centers` (N,) or may touch one of them."""
    corners = [transform(body.pose, body.shape.hull_vertices) for body in bodies]
    low = np.array([each.min(axis=0) for each in corners])
    high = np.array([each.max(axis=0) for each in corners]) + GAP
    touch = (low[:, None] < high).all(axis=2) & (low < high[:, None]).all(axis=2)
    return np.array(touch[:, centers].any(axis=1))


def _highest(bodies: tuple[RigidBody, ...], unstable: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the upper half of the unstable bodies, on which the fewest others rest."""
    found = np.flatnonzero(unstable)
    heights = [bodies[index].pose[2, 3] for index in found]
    return np.array(found[np.argsort(heights)[len(found) // 2 :]])


def _heap(number: int, kept: NDArray[np.intp], bodies: tuple[RigidBody, ...], watched: Simulated) -> Heap:
    poses: list[NDArray[np.float64] | None] = [None] * number
    for index, body in zip(kept, bodies, strict=True):
        poses[index] = body.pose
    top = max((float(transform(body.pose, body.shape.middle[None])[0, 2]) for body in bodies), default=0.0)
    return Heap(tuple(poses), top, float(watched.depth.max(initial=0)), float(watched.moved.max(initial=0)))


def _starts(
    shapes: tuple[Rest, ...], heap: tuple[RigidBody, ...], width: float, depth: float, rng: np.random.Generator
) -> list[RigidBody]:
    """Return the items turned at random just above the heap and each other, each at the lowest of a few places."""
    heights = _Heights(width, depth)
    for body in heap:
        corners = transform(body.pose, body.shape.hull_vertices)
        heights.raise_to(corners.min(axis=0)[:2], corners.max(axis=0)[:2], float(corners[:, 2].max()))
    starts = []
    for shape in shapes:
        pose = np.eye(4)
        # Rounded, so that the last digits of a processor's sines do not decide where an item comes to lie.
        pose[:3, :3] = Rotation.from_quat(Rotation.random(random_state=rng).as_quat().round(6)).as_matrix()
        corners = transform(pose, shape.hull_vertices)
        low, high = corners.min(axis=0), corners.max(axis=0)
        room = np.maximum(np.array([width, depth]) - (high - low)[:2], 0)
        shifts = (rng.random((PLACES, 2)) - 0.5) * room - (low + high)[:2] / 2
        tops = [heights.top(low[:2] + shift, high[:2] + shift) for shift in shifts]
        lowest = int(np.argmin(tops))
        pose[:3, 3] = *shifts[lowest], tops[lowest] + ABOVE - low[2]
        heights.raise_to(low[:2] + shifts[lowest], high[:2] + shifts[lowest], float(high[2] + pose[2, 3]))
        starts.append(RigidBody(shape, pose))
    return starts


class _Heights:
    """Height of a heap over the cells of the floor, metres: an upper bound, as each item counts as its bounding box."""

    def __init__(self, width: float, depth: float) -> None:
        self._corner = np.array([width, depth]) / 2
        self._tops = np.zeros(np.ceil(np.array([width, depth]) / CELL).astype(int))

    def top(self, low: NDArray, high: NDArray) -> float:
        """Return the height under a rectangle."""
        return float(self._tops[self._cells(low, high)].max())

    def raise_to(self, low: NDArray, high: NDArray, height: float) -> None:
        """Raise what lies within a rectangle to at least that height."""
        cells = self._cells(low, high)
        self._tops[cells] = np.maximum(self._tops[cells], height)

    def _cells(self, low: NDArray, high: NDArray) -> tuple[slice, slice]:
        last = np.array(self._tops.shape)
        first = np.clip(np.floor((low + self._corner) / CELL).astype(int), 0, last - 1)
        end = np.clip(np.ceil((high + self._corner) / CELL).astype(int), first + 1, last)
        return slice(first[0], end[0]), slice(first[1], end[1])
