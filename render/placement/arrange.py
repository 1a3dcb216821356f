"""Set items on a support: touching, never intersecting, each in a pose in which it rests, some on others.

Every item is its convex hull; distances come from FCL's GJK. An item is pushed towards its neighbours by conservative
advancement (Mirtich 1996): it moves by its distance to all others until that is under the gap, so it cannot pass
through one. The result is a pure function of its arguments and the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.layout import UNBOUNDED, Support
from render.placement.arrangement import GAP, Arrangement, footprint

TRIES = 24
LEAN_TRIES = 8
# An item that is still not off its balance at this tilt is too squat to lean.
MAX_TILT = np.radians(40)
# Items that are no copies are set on something this many times as often.
STACK_OTHERS = 0.25
# Copies stand as the first one does, turned by this standard deviation; this share of them stands anywhere.
ROW_TURN, FREE_COPIES = np.radians(4), 0.25

RestingPose = Literal["stand", "lie", "lean"]


@dataclass(frozen=True, eq=False)
class Item:
    """Something to set down. shape: hull and stable poses. resting: how it is to rest.

    turn: about the vertical, radians from how it rests. lying: 0..1, which of its poses lying down, on the line of
    their weights. None leaves either to chance. stands: whether it can stand where it finds nothing to lean on; else it
    lies. copy_of: the index of an earlier item that it is a copy of; it is set on that or beside it.
    """

    shape: Rest
    resting: RestingPose = "stand"
    turn: float | None = None
    lying: float | None = None
    stands: bool = True
    copy_of: int | None = None


@dataclass(frozen=True)
class ArrangementParams:
    """How an arrangement is built.

    touch, occlude: chances that an item is pushed against a neighbour, or set before or behind one for the camera.
    density: share of the area of the arrangement's circle that products cover. tilt: how far a leaning item is tilted
    beyond its balance, least and most, radians.
    view_azimuth: direction in which the camera looks, radians from +X, for `occlude`. stack: chance that a copy is set
    upon another where that can carry it. compact: of this many possible positions the one nearest the middle is taken.
    """

    touch: float
    occlude: float
    density: float
    tilt: tuple[float, float]
    view_azimuth: float
    stack: float = 0.0
    compact: int = 1


def resting_pose(shape: Rest, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """world_from_object (4, 4) with that rotation, lowest point on z = 0, the hull's box centred on the origin."""
    turned = shape.hull_vertices @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = [-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]]
    return pose


def arrange(
    items: Sequence[Item], params: ArrangementParams, support: Support = UNBOUNDED, *, rng: np.random.Generator
) -> tuple[NDArray[np.float64] | None, ...]:
    """world_from_object (4, 4) of each item, in order, about the middle of the support or on an item before it.

    None for an item that finds no room, which happens on a bounded support alone.
    """
    arrangement = Arrangement(support)
    radius = _radius_for(items, params.density)
    copies: dict[int, list[int]] = {}
    placed: list[int | None] = []  # by item: its index in the arrangement
    for item in items:
        item = replace(item, copy_of=None if item.copy_of is None else placed[item.copy_of])
        stacked, upon = _set_upon(item, arrangement, params, copies, rng) if params.stack else (None, None)
        if stacked is None and item.copy_of is not None:
            stacked = _set_beside(item, arrangement, rng)
        pose = _set_down(item, arrangement, params, radius, rng) if stacked is None else stacked
        if pose is None:
            placed.append(None)
            continue
        number = arrangement.add(item.shape, pose, upon)
        placed.append(number)
        copies.setdefault(number if item.copy_of is None else item.copy_of, []).append(number)
    return tuple(None if number is None else support.place(arrangement.pose(number)) for number in placed)


def _set_upon(
    item: Item,
    arrangement: Arrangement,
    params: ArrangementParams,
    copies: dict[int, list[int]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64] | None, int | None]:
    """A copy on one of the same product, rarely another item on any, and which; None, None where neither works."""
    chance = params.stack * (1.0 if item.copy_of is not None else STACK_OTHERS)
    if rng.random() >= chance or item.resting == "lean" or not len(arrangement.centres):
        return None, None
    if item.copy_of is None:
        pose = resting_pose(item.shape, _turn(item, rng) @ _resting_rotation(item, rng))
        upon = int(rng.integers(len(arrangement.centres)))
        placed = arrangement.stack(item.shape, pose, upon, rng=rng)
        return (placed, upon) if placed is not None else (None, None)
    for upon in reversed(copies[item.copy_of]):
        like = _like(item.shape, arrangement.pose(upon), rng)
        placed = arrangement.stack(item.shape, like, upon, rng=rng) if like is not None else None
        if placed is not None:
            return placed, upon
    return None, None


def _like(shape: Rest, pose: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64] | None:
    """How a copy rests that stands as the one at `pose`, about the origin; None where that one leans."""
    rotation = pose[:3, :3]
    if (np.abs(shape.rotations[:, 2] @ rotation[2] - 1) > 1e-6).all():
        return None
    return resting_pose(shape, rotation_about_z(rng.normal(0, ROW_TURN)) @ rotation)


def _set_beside(item: Item, arrangement: Arrangement, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """A copy in a row with the first one, as in a shop: beside, behind or before it, touching whatever stands there.

    None where that one leans, where there is no room, or where the copy stands anywhere.
    """
    assert item.copy_of is not None
    first = arrangement.pose(item.copy_of)
    pose = _like(item.shape, first, rng) if rng.random() >= FREE_COPIES else None
    if pose is None:
        return None
    # Along the first one's own horizontal axes.
    flat = first[:2, :3][:, np.argmin(np.abs(first[2, :3]))]
    azimuth = float(np.arctan2(flat[1], flat[0])) + np.pi / 2 * rng.integers(4)
    return _push_to(item.copy_of, item.shape, pose, arrangement, azimuth)


def _radius_for(items: Sequence[Item], density: float) -> float:
    """Radius of the circle that the items' footprints fill to `density`."""
    area = 0.0
    for item in items:
        spread = np.ptp(item.shape.hull_vertices, axis=0)
        area += float(np.sort(spread)[1:].prod() + np.sort(spread)[:2].prod()) / 2  # between standing and lying
    return float(np.sqrt(area / (np.pi * density)))


def _set_down(
    item: Item, arrangement: Arrangement, params: ArrangementParams, radius: float, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    pose = resting_pose(item.shape, _turn(item, rng) @ _resting_rotation(item, rng))
    if item.resting == "lean":
        leaning = _lean(item, arrangement, params, rng) if len(arrangement.centres) else None
        if leaning is not None:
            return leaning
        if not item.stands:
            lying = replace(item, resting="lie")
            pose = resting_pose(item.shape, _turn(lying, rng) @ _resting_rotation(lying, rng))
    if not len(arrangement.centres):
        return pose if arrangement.distance(item.shape, pose) > 0 else None
    kind = rng.random()
    found: list[NDArray[np.float64] | None] = []
    if kind < params.occlude:
        found = [_set_in_line(item.shape, pose, arrangement, params, rng) for _ in range(params.compact)]
    elif kind < params.occlude + params.touch:
        azimuths = (rng.uniform(-np.pi, np.pi) for _ in range(params.compact))
        found = [_push_to_neighbour(item.shape, pose, arrangement, azimuth, rng) for azimuth in azimuths]
    placed = [each for each in found if each is not None]
    if not placed:
        return _set_free(item.shape, pose, arrangement, radius, rng)
    return min(placed, key=lambda each: float(np.hypot(each[0, 3], each[1, 3])))


def _resting_rotation(item: Item, rng: np.random.Generator) -> NDArray[np.float64]:
    """Upright to stand (and as the start of a lean), or one of the poses lying down, by how often throws end so."""
    weights = item.shape.weights[1:]
    if item.resting != "lie" or not len(weights):
        return np.eye(3)
    if item.lying is not None:
        edges = np.cumsum(weights)
        return item.shape.rotations[1 + np.searchsorted(edges / edges[-1], item.lying, side="right")]
    return item.shape.rotations[1 + rng.choice(len(weights), p=weights / weights.sum())]


def _turn(item: Item, rng: np.random.Generator) -> NDArray[np.float64]:
    return rotation_about_z(rng.uniform(-np.pi, np.pi) if item.turn is None else item.turn)


def rotation_about_z(angle: float) -> NDArray[np.float64]:
    """(3, 3): counter-clockwise by `angle` radians, seen from above."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _push_to_neighbour(
    shape: Rest, pose: NDArray, arrangement: Arrangement, azimuth: float, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """`pose` moved to a random neighbour, coming from the direction `azimuth`, until it touches something."""
    return _push_to(int(rng.integers(len(arrangement.centres))), shape, pose, arrangement, azimuth)


def _push_to(
    neighbour: int, shape: Rest, pose: NDArray, arrangement: Arrangement, azimuth: float
) -> NDArray[np.float64] | None:
    x, y, r = arrangement.circle(neighbour)
    outward = np.array([np.cos(azimuth), np.sin(azimuth)])
    _, _, own = footprint(shape, pose)
    start = pose.copy()
    # From just beside the neighbour, or from outside everything if that place is taken.
    for away in (r + own + 2 * GAP, arrangement.radius + np.hypot(x, y) + own + 2 * GAP):
        start[:2, 3] = pose[:2, 3] + np.array([x, y]) + outward * away
        if arrangement.distance(shape, start) > GAP:
            return arrangement.push(shape, start, -outward, away)
    return None


def _set_in_line(
    shape: Rest, pose: NDArray, arrangement: Arrangement, params: ArrangementParams, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Before or behind a neighbour as the camera sees it, touching or up to its own size away: one hides the other."""
    azimuth = params.view_azimuth + rng.choice([0.0, np.pi]) + rng.normal(0, np.radians(20))
    touching = _push_to_neighbour(shape, pose, arrangement, azimuth, rng)
    back = rng.uniform(0, 1) * footprint(shape, pose)[2]
    if touching is None:
        return None
    loose = touching.copy()
    loose[:2, 3] += back * np.array([np.cos(azimuth), np.sin(azimuth)])
    return loose if arrangement.distance(shape, loose) > GAP else touching


def _lean(
    item: Item, arrangement: Arrangement, params: ArrangementParams, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Tilted against a neighbour: foot on the table, upper half on the neighbour; None where no try ends so."""
    shape = item.shape
    for _ in range(LEAN_TRIES):
        azimuth = rng.uniform(-np.pi, np.pi)
        turn, beyond = _turn(item, rng), rng.uniform(*params.tilt)
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
    """The tilt past which an upright item falls on in the direction `towards`; None past MAX_TILT (too squat)."""
    middle = (shape.hull_vertices.min(axis=0) + shape.hull_vertices.max(axis=0)) / 2
    for tilt in np.arange(np.radians(2), MAX_TILT, np.radians(1)):
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
) -> NDArray[np.float64] | None:
    """Somewhere in the circle where nothing is; it grows until there is room, or it is larger than the support."""
    moved = pose.copy()
    while True:
        for _ in range(TRIES):
            angle, share = rng.uniform(-np.pi, np.pi), np.sqrt(rng.random())
            moved[:2, 3] = pose[:2, 3] + radius * share * np.array([np.cos(angle), np.sin(angle)])
            if arrangement.distance(shape, moved) > 5 * GAP:
                return moved
        if radius > arrangement.reach:
            return None
        radius *= 1.15
