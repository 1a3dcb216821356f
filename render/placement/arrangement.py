"""Things set down so far: how far others are from them, pushing one until it touches, setting one upon another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.placement.stacking import MAX_LAYERS, MAX_SLENDERNESS, foot_face, pose_upon, top_face

# Things closer than this touch: under half a pixel for a camera at arm's length.
GAP = 2e-4
# A push that has not ended after so many steps grazes something: near enough to call it a touch.
MAX_STEPS = 200


@dataclass(eq=False)
class _Stand:
    """A thing that was set down: which layer of a stack, how high that may become, and whether nothing is on it yet."""

    shape: Rest
    pose: NDArray[np.float64]
    layer: int
    room: float
    free: bool = True


class Arrangement:
    """The things set down so far, and how far another thing is from them."""

    def __init__(self) -> None:
        self._bodies: list[Any] = []
        self._circles: list[tuple[float, float, float]] = []
        self._stands: list[_Stand] = []

    @property
    def centres(self) -> NDArray[np.float64]:
        """(N, 2): where the middles of the things' boxes lie on the table, metres."""
        return np.array([circle[:2] for circle in self._circles]).reshape(-1, 2)

    @property
    def radius(self) -> float:
        """Of the circle about the origin that holds everything, metres."""
        return max((float(np.hypot(x, y)) + r for x, y, r in self._circles), default=0.0)

    def circle(self, index: int) -> tuple[float, float, float]:
        """Middle x, y and radius of the index-th thing's footprint, metres."""
        return self._circles[index]

    def add(self, shape: Rest, pose: NDArray[np.float64], upon: int | None = None) -> None:
        """Sets a thing down at world_from_object `pose` for good; upon: the thing that carries it, None = the table."""
        self._bodies.append(_body(shape, pose))
        self._circles.append(footprint(shape, pose))
        if upon is None:
            foot = foot_face(shape, pose)
            self._stands.append(_Stand(shape, pose, 1, 0.0 if foot is None else MAX_SLENDERNESS * foot.width))
        else:
            below = self._stands[upon]
            below.free = False
            self._stands.append(_Stand(shape, pose, below.layer + 1, below.room))

    def pose(self, index: int) -> NDArray[np.float64]:
        """world_from_object of the index-th thing."""
        return self._stands[index].pose

    def stack(
        self, shape: Rest, pose: NDArray[np.float64], upon: int, *, rng: np.random.Generator
    ) -> NDArray[np.float64] | None:
        """`pose`, moved onto the index-th thing; None where that cannot carry it, or something is in the way."""
        stand = self._stands[upon]
        face = top_face(stand.shape, stand.pose) if stand.free and stand.layer < MAX_LAYERS else None
        moved = pose_upon(shape, pose, face, stand.room, rng=rng) if face is not None else None
        return moved if moved is not None and self.distance(shape, moved) > 0 else None

    def distance(self, shape: Rest, pose: NDArray[np.float64]) -> float:
        """To the nearest thing, metres; negative where they intersect, inf where nothing is near."""
        import fcl

        body = _body(shape, pose)
        x, y, r = footprint(shape, pose)
        nearest = np.inf
        for other, (other_x, other_y, other_r) in zip(self._bodies, self._circles, strict=True):
            apart = float(np.hypot(x - other_x, y - other_y)) - r - other_r
            if apart >= nearest:  # circles further apart than the best so far cannot improve it
                continue
            found = fcl.distance(body, other, fcl.DistanceRequest(), fcl.DistanceResult())
            nearest = min(nearest, found)
        return nearest

    def push(self, shape: Rest, pose: NDArray[np.float64], direction: NDArray, reach: float) -> NDArray | None:
        """`pose`, clear of everything, moved along the horizontal unit `direction` (2,) until it touches.

        None if it meets nothing within `reach` metres.
        """
        moved = pose.copy()
        gone = 0.0
        for _ in range(MAX_STEPS):
            room = self.distance(shape, moved)
            if room <= GAP:
                return moved if room >= 0 else None
            step = room - GAP / 2
            gone += step
            if gone > reach:
                return None
            moved[:2, 3] += step * direction
        return moved

    def touch_height(self, shape: Rest, pose: NDArray[np.float64], towards: NDArray) -> float:
        """How far up a thing is held, as a share of its height, when it is pressed on along `towards` (2,); 0 = not."""
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
    """Middle x, y and radius of a thing's outline on the table, metres."""
    x, y, radius = _turned_footprint(shape, pose[:2, :3].tobytes())
    return x + float(pose[0, 3]), y + float(pose[1, 3]), radius


@lru_cache(maxsize=1024)
def _turned_footprint(shape: Rest, rotation: bytes) -> tuple[float, float, float]:
    """Middle and radius at the origin: a thing that is pushed about keeps them."""
    flat = shape.hull_vertices @ np.frombuffer(rotation).reshape(2, 3).T
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    radius = np.sqrt(((flat - middle) ** 2).sum(axis=1).max())
    return float(middle[0]), float(middle[1]), float(radius)
