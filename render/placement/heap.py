"""Heaps: items dropped into a bin until they lie still.

Items fall in batches from just above the heap, and each batch falls on what already lies there as on a fixed thing, so
that time grows with the number of items and not with its square. Then a large heap is let loose as a whole, and what
still rolls afterwards comes to rest alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from assets.mesh.rest import Rest
from render.geometry import transform
from render.placement.physics import RigidBody, simulate

BATCH = 24
# Most that the fall of a batch, the whole heap and what still rolls then may take, seconds of the simulation.
FALL_S, HEAP_S, LAST_S = 2.0, 0.8, 6.0
# Places among which an item takes the lowest, and the side of the cells in which heights are kept, metres.
PLACES, CELL = 6, 0.02
# Between an item and what is below it at the start, metres.
ABOVE = 1e-3


@dataclass(frozen=True, eq=False)
class Heap:
    """Items at rest. poses: bin_from_object (4, 4) of each, origin in the middle of the floor, Z up.

    top: height of the highest centre, metres. depth: deepest penetration of two items, or of one and the bin, metres;
    0 if none. moving: how many items were not yet at rest when time was up.
    """

    poses: tuple[NDArray[np.float64], ...]
    top: float
    depth: float
    moving: int


@lru_cache(maxsize=16)
def settle(shapes: tuple[Rest, ...], width: float, depth: float, *, seed: int) -> Heap:
    """Drop items in their order into a bin of that inner width (X) and depth (Y), metres, turned at random.

    The last heaps are kept, for the further views of a scene. Raises SynthError if MuJoCo is not installed.
    """
    rng = np.random.default_rng(seed)
    if len(shapes) <= BATCH:
        found = simulate(_starts(shapes, (), width, depth, rng), (), width, depth, seconds=LAST_S)
        return _heap(found.bodies, found.depth, found.moving)
    bodies: tuple[RigidBody, ...] = ()
    for first in range(0, len(shapes), BATCH):
        starts = _starts(shapes[first : first + BATCH], bodies, width, depth, rng)
        bodies += simulate(starts, bodies, width, depth, seconds=FALL_S).bodies
    found = simulate(bodies, (), width, depth, seconds=HEAP_S)
    if not found.moving.any():
        return _heap(found.bodies, found.depth, found.moving)
    still = [body for body, moves in zip(found.bodies, found.moving, strict=True) if not moves]
    rolling = [body for body, moves in zip(found.bodies, found.moving, strict=True) if moves]
    ended = simulate(rolling, still, width, depth, seconds=LAST_S)
    ends = iter(ended.bodies)
    bodies = tuple(next(ends) if moves else body for body, moves in zip(found.bodies, found.moving, strict=True))
    # Contacts of all with all: those of fixed bodies with each other were not looked at.
    return _heap(bodies, simulate(bodies, (), width, depth, seconds=0).depth, ended.moving)


def _heap(bodies: tuple[RigidBody, ...], depth: float, moving: NDArray[np.bool_]) -> Heap:
    top = max(float(transform(body.pose, body.shape.middle[None])[0, 2]) for body in bodies)
    return Heap(tuple(body.pose for body in bodies), top, depth, int(moving.sum()))


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
