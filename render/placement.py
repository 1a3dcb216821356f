"""Setting things on a table: touching, never intersecting, each in a pose in which it rests.

Every thing is its convex hull; distances come from FCL's GJK. A thing is pushed towards its neighbours by conservative
advancement (Mirtich 1996): it moves by its distance to all others until that is under the gap, so it cannot pass
through one. What is drawn here is a pure function of the generator that is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assets.rest import Rest

# Things closer than this touch: under half a pixel for a camera at arm's length.
GAP = 2e-4
# A push that has not ended after so many steps grazes something: near enough to call it a touch.
MOST_STEPS = 200
TRIES = 24
LEAN_TRIES = 8
# A thing that is still not off its balance at this tilt is too squat to lean.
MOST_TILT = np.radians(40)

Manner = Literal["stand", "lie", "lean"]


@dataclass(frozen=True, eq=False)
class Thing:
    """Something to set down. shape: hull and stable poses. manner: how it shall rest.

    turn: about the vertical, radians from how it rests. lying: 0..1, which of its poses lying down, on the line of
    their weights. None leaves either to chance. stands: whether it can stand where it finds nothing to lean on; else it
    lies.
    """

    shape: Rest
    manner: Manner = "stand"
    turn: float | None = None
    lying: float | None = None
    stands: bool = True


@dataclass(frozen=True)
class Habits:
    """How an arrangement is built.

    touch, occlude: chances that a thing is pushed against a neighbour, or set before or behind one for the camera.
    density: share of the area of the arrangement's circle that products cover. tilt: how far a leaning thing is tilted
    beyond its balance, least and most, radians.
    view_azimuth: direction in which the camera looks, radians from +X, for `occlude`.
    """

    touch: float
    occlude: float
    density: float
    tilt: tuple[float, float]
    view_azimuth: float


class Arrangement:
    """The things set down so far, and how far another thing is from them."""

    def __init__(self) -> None:
        self._bodies: list[Any] = []
        self._circles: list[tuple[float, float, float]] = []

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

    def add(self, shape: Rest, pose: NDArray[np.float64]) -> None:
        """Sets a thing down at world_from_object `pose` for good."""
        self._bodies.append(_body(shape, pose))
        self._circles.append(_footprint(shape, pose))

    def distance(self, shape: Rest, pose: NDArray[np.float64]) -> float:
        """To the nearest thing, metres; negative where they intersect, inf where nothing is near."""
        import fcl

        body = _body(shape, pose)
        x, y, r = _footprint(shape, pose)
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
        for _ in range(MOST_STEPS):
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


def _footprint(shape: Rest, pose: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, radius = _turned_footprint(shape, pose[:2, :3].tobytes())
    return x + float(pose[0, 3]), y + float(pose[1, 3]), radius


@lru_cache(maxsize=1024)
def _turned_footprint(shape: Rest, rotation: bytes) -> tuple[float, float, float]:
    """Middle and radius at the origin: a thing that is pushed about keeps them."""
    flat = shape.hull_vertices @ np.frombuffer(rotation).reshape(2, 3).T
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    radius = np.sqrt(((flat - middle) ** 2).sum(axis=1).max())
    return float(middle[0]), float(middle[1]), float(radius)


def resting_pose(shape: Rest, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """world_from_object (4, 4) with that rotation, lowest point on z = 0, the hull's box centred on the origin."""
    turned = shape.hull_vertices @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = [-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]]
    return pose


def arrange(things: Sequence[Thing], habits: Habits, *, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """world_from_object (4, 4) of each thing, in order, all on z = 0 about the origin. Every thing finds its place."""
    arrangement = Arrangement()
    radius = _radius_for(things, habits.density)
    poses = []
    for thing in things:
        pose = _set_down(thing, arrangement, habits, radius, rng)
        arrangement.add(thing.shape, pose)
        poses.append(pose)
    return tuple(poses)


def _radius_for(things: Sequence[Thing], density: float) -> float:
    """Radius of the circle that the things' footprints fill to `density`."""
    area = 0.0
    for thing in things:
        spread = np.ptp(thing.shape.hull_vertices, axis=0)
        area += float(np.sort(spread)[1:].prod() + np.sort(spread)[:2].prod()) / 2  # between standing and lying
    return float(np.sqrt(area / (np.pi * density)))


def _set_down(
    thing: Thing, arrangement: Arrangement, habits: Habits, radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    pose = resting_pose(thing.shape, _turn(thing, rng) @ _resting_rotation(thing, rng))
    if thing.manner == "lean":
        leaning = _lean(thing, arrangement, habits, rng) if len(arrangement.centres) else None
        if leaning is not None:
            return leaning
        if not thing.stands:
            lying = replace(thing, manner="lie")
            pose = resting_pose(thing.shape, _turn(lying, rng) @ _resting_rotation(lying, rng))
    if not len(arrangement.centres):
        return pose
    kind = rng.random()
    placed = None
    if kind < habits.occlude:
        placed = _set_in_line(thing.shape, pose, arrangement, habits, rng)
    elif kind < habits.occlude + habits.touch:
        placed = _push_to_neighbour(thing.shape, pose, arrangement, rng.uniform(-np.pi, np.pi), rng)
    return placed if placed is not None else _set_free(thing.shape, pose, arrangement, radius, rng)


def _resting_rotation(thing: Thing, rng: np.random.Generator) -> NDArray[np.float64]:
    """Upright to stand (and as the start of a lean), or one of the poses lying down, by how often throws end so."""
    weights = thing.shape.weights[1:]
    if thing.manner != "lie" or not len(weights):
        return np.eye(3)
    if thing.lying is not None:
        edges = np.cumsum(weights)
        return thing.shape.rotations[1 + np.searchsorted(edges / edges[-1], thing.lying, side="right")]
    return thing.shape.rotations[1 + rng.choice(len(weights), p=weights / weights.sum())]


def _turn(thing: Thing, rng: np.random.Generator) -> NDArray[np.float64]:
    return rotation_about_z(rng.uniform(-np.pi, np.pi) if thing.turn is None else thing.turn)


def rotation_about_z(angle: float) -> NDArray[np.float64]:
    """(3, 3): counter-clockwise by `angle` radians, seen from above."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _push_to_neighbour(
    shape: Rest, pose: NDArray, arrangement: Arrangement, azimuth: float, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """`pose` moved to a random neighbour, coming from the direction `azimuth`, until it touches something."""
    x, y, r = arrangement.circle(int(rng.integers(len(arrangement.centres))))
    outward = np.array([np.cos(azimuth), np.sin(azimuth)])
    _, _, own = _footprint(shape, pose)
    start = pose.copy()
    # From just beside the neighbour, or from outside everything if that place is taken.
    for away in (r + own + 2 * GAP, arrangement.radius + np.hypot(x, y) + own + 2 * GAP):
        start[:2, 3] = pose[:2, 3] + np.array([x, y]) + outward * away
        if arrangement.distance(shape, start) > GAP:
            return arrangement.push(shape, start, -outward, away)
    return None


def _set_in_line(
    shape: Rest, pose: NDArray, arrangement: Arrangement, habits: Habits, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Before or behind a neighbour as the camera sees it, touching or up to its own size away: one hides the other."""
    azimuth = habits.view_azimuth + rng.choice([0.0, np.pi]) + rng.normal(0, np.radians(20))
    touching = _push_to_neighbour(shape, pose, arrangement, azimuth, rng)
    back = rng.uniform(0, 1) * _footprint(shape, pose)[2]
    if touching is None:
        return None
    loose = touching.copy()
    loose[:2, 3] += back * np.array([np.cos(azimuth), np.sin(azimuth)])
    return loose if arrangement.distance(shape, loose) > GAP else touching


def _lean(
    thing: Thing, arrangement: Arrangement, habits: Habits, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Tilted against a neighbour: foot on the table, upper half on the neighbour; None where no try ends so."""
    shape = thing.shape
    for _ in range(LEAN_TRIES):
        azimuth = rng.uniform(-np.pi, np.pi)
        turn, beyond = _turn(thing, rng), rng.uniform(*habits.tilt)
        towards = -np.array([np.cos(azimuth), np.sin(azimuth)])
        balance = _balance_tilt(shape, turn, towards)
        if balance is None:
            continue
        pose = resting_pose(shape, _tilt(towards, balance + beyond) @ turn)
        touching = _push_to_neighbour(shape, pose, arrangement, azimuth, rng)
        if touching is not None and arrangement.touch_height(shape, touching, towards) > 0.45:
            return touching
    return None


def _balance_tilt(shape: Rest, turn: NDArray, towards: NDArray) -> float | None:
    """The tilt past which an upright thing falls on in the direction `towards`; None past MOST_TILT (too squat)."""
    middle = (shape.hull_vertices.min(axis=0) + shape.hull_vertices.max(axis=0)) / 2
    for tilt in np.arange(np.radians(2), MOST_TILT, np.radians(1)):
        rotation = _tilt(towards, tilt) @ turn
        foot = shape.hull_vertices[np.argmin(shape.hull_vertices @ rotation[2])]
        if ((middle - foot) @ rotation[:2].T) @ towards > 0:
            return float(tilt)
    return None


def _tilt(towards: NDArray, angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) that tips +Z by `angle` radians in the horizontal direction `towards` (Rodrigues)."""
    x, y = -towards[1], towards[0]
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _set_free(
    shape: Rest, pose: NDArray, arrangement: Arrangement, radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Somewhere in the circle where nothing is; the circle grows until there is such a place."""
    moved = pose.copy()
    while True:
        for _ in range(TRIES):
            angle, share = rng.uniform(-np.pi, np.pi), np.sqrt(rng.random())
            moved[:2, 3] = pose[:2, 3] + radius * share * np.array([np.cos(angle), np.sin(angle)])
            if arrangement.distance(shape, moved) > 5 * GAP:
                return moved
        radius *= 1.15
