"""State of an arrangement: the items set on a support so far, distances to them, pushing and stacking."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.layout import UNBOUNDED, Support
from render.placement.stacking import MAX_LAYERS, MAX_SLENDERNESS, foot_face, pose_upon, top_face

# Items closer than this count as touching, metres: under half a pixel for a camera at arm's length.
GAP = 2e-4
# A push that has not ended after this many steps grazes something, which is close enough to count as touching.
MAX_STEPS = 200


@dataclass(eq=False)
class _Placed:
    """An item on the support: its layer in a stack, the stack's maximum height, and whether nothing lies on it yet."""

    shape: Rest
    pose: NDArray[np.float64]
    layer: int
    room: float
    free: bool = True


class Arrangement:
    """Items set on a support so far, in the support's frame."""

    def __init__(self, support: Support = UNBOUNDED) -> None:
        self._support = support
        self._bodies: list[Any] = []
        self._circles: list[tuple[float, float, float]] = []
        self._placed: list[_Placed] = []

    @property
    def centres(self) -> NDArray[np.float64]:
        """The centres (N, 2) of the items' bounding boxes on the table, metres."""
        return np.array([circle[:2] for circle in self._circles]).reshape(-1, 2)

    @property
    def radius(self) -> float:
        """The radius of the circle about the origin that contains everything, metres."""
        return max((float(np.hypot(x, y)) + r for x, y, r in self._circles), default=0.0)

    @property
    def reach(self) -> float:
        """The distance from the middle of the support to its corners, metres."""
        return float(np.hypot(self._support.width, self._support.depth)) / 2

    def circle(self, index: int) -> tuple[float, float, float]:
        """Return the centre x, y and the radius of an item's footprint, metres."""
        return self._circles[index]

    def add(self, shape: Rest, pose: NDArray[np.float64], upon: int | None = None) -> int:
        """Add an item at `pose` and return its index. upon: index of the item that carries it, None = the support."""
        self._bodies.append(_body(shape, pose))
        self._circles.append(footprint(shape, pose))
        if upon is None:
            foot = foot_face(shape, pose)
            self._placed.append(_Placed(shape, pose, 1, 0.0 if foot is None else MAX_SLENDERNESS * foot.width))
        else:
            below = self._placed[upon]
            below.free = False
            self._placed.append(_Placed(shape, pose, below.layer + 1, below.room))
        return len(self._placed) - 1

    def pose(self, index: int) -> NDArray[np.float64]:
        """Return world_from_object of an item."""
        return self._placed[index].pose

    def stack(
        self, shape: Rest, pose: NDArray[np.float64], upon: int, *, rng: np.random.Generator
    ) -> NDArray[np.float64] | None:
        """Move `pose` onto the item `upon`; None if that cannot carry it or something is in the way."""
        stand = self._placed[upon]
        face = top_face(stand.shape, stand.pose) if stand.free and stand.layer < MAX_LAYERS else None
        moved = pose_upon(shape, pose, face, stand.room, rng=rng) if face is not None else None
        return moved if moved is not None and self.distance(shape, moved) > 0 else None

    def distance(self, shape: Rest, pose: NDArray[np.float64]) -> float:
        """Return the distance to the nearest item, metres.

        Negative if they intersect or it leaves the support, inf if no item is near.
        """
        import fcl

        body = _body(shape, pose)
        x, y, r = footprint(shape, pose)
        if not self._support.holds(x, y, r):
            return -1.0
        nearest = np.inf
        for other, (other_x, other_y, other_r) in zip(self._bodies, self._circles, strict=True):
            apart = float(np.hypot(x - other_x, y - other_y)) - r - other_r
            if apart >= nearest:  # the distance of the circles is a lower bound, so this item cannot be nearer
                continue
            found = fcl.distance(body, other, fcl.DistanceRequest(), fcl.DistanceResult())
            nearest = min(nearest, found)
        return nearest

    def push(self, shape: Rest, pose: NDArray[np.float64], direction: NDArray, reach: float) -> NDArray | None:
        """Move `pose`, free of collisions, along the horizontal unit `direction` (2,) until it touches something.

        Returns None if it meets nothing within `reach` metres.
        """
        moved = pose.copy()
        moved_by = 0.0
        for _ in range(MAX_STEPS):
            room = self.distance(shape, moved)
            if room <= GAP:
                return moved if room >= 0 else None
            step = room - GAP / 2
            moved_by += step
            if moved_by > reach:
                return None
            moved[:2, 3] += step * direction
        return moved

    def touch_height(self, shape: Rest, pose: NDArray[np.float64], towards: NDArray) -> float:
        """Return the mean height of contact as a share of the item's height, pushed along `towards` (2,); 0 = none."""
        import fcl

        pressed = pose.copy()
        pressed[:2, 3] += 2 * GAP * towards
        body = _body(shape, pressed)
        heights = []
        for other in self._bodies:
            found = fcl.CollisionResult()
            if fcl.collide(body, other, fcl.CollisionRequest(num_max_contacts=4, enable_contact=True), found):
                heights += [contact.pos[2] for contact in found.contacts]
        top = float((shape.hull_vertices @ pose[2, :3]).max() + pose[2, 3])
        return float(np.mean(heights)) / top if heights else 0.0


@lru_cache(maxsize=512)
def _convex(shape: Rest) -> Any:
    import fcl

    faces = np.concatenate([np.full((len(shape.hull_faces), 1), 3), shape.hull_faces], axis=1)
    return fcl.Convex(np.array(shape.hull_vertices), len(faces), faces.astype(np.int32).ravel())


def _body(shape: Rest, pose: NDArray[np.float64]) -> Any:
    import fcl

    return fcl.CollisionObject(_convex(shape), fcl.Transform(pose[:3, :3], pose[:3, 3]))


def footprint(shape: Rest, pose: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the centre x, y and the radius of an item's outline on the table, metres."""
    x, y, radius = _turned_footprint(shape, pose[:2, :3].tobytes())
    return x + float(pose[0, 3]), y + float(pose[1, 3]), radius


@lru_cache(maxsize=1024)
def _turned_footprint(shape: Rest, rotation: bytes) -> tuple[float, float, float]:
    """Return the footprint at the origin, cached because an item that is pushed about keeps its rotation."""
    flat = shape.hull_vertices @ np.frombuffer(rotation).reshape(2, 3).T
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    radius = np.sqrt(((flat - middle) ** 2).sum(axis=1).max())
    return float(middle[0]), float(middle[1]), float(radius)
