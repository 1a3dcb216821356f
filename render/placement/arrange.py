"""Arrangement of items on a support: touching, never intersecting, each in a resting pose, some stacked on others.

Every item is represented by its convex hull; distances come from FCL's GJK. An item is pushed towards its neighbours by
conservative advancement (Mirtich 1996): it moves by its distance to all others until that is under the gap, so it
cannot pass through one. The result is a pure function of the arguments and the random number generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.geometry import rotation_about_z
from render.layout import UNBOUNDED, Support
from render.placement.arrangement import GAP, Arrangement, footprint

TRIES = 24
LEAN_TRIES = 8
# An item that has not tipped over its balance point at this tilt is too squat to lean.
MAX_TILT = np.radians(40)
# The chance of stacking is multiplied by this for items that are not copies.
STACK_OTHERS = 0.25
# Copies are oriented like the first one, up to a turn of this standard deviation; this share of them is set anywhere.
ROW_TURN, FREE_COPIES = np.radians(4), 0.25

RestingPose = Literal["stand", "lie", "lean"]


@dataclass(frozen=True, eq=False)
class Item:
    """An object to set down. shape: hull and stable poses. resting: the pose in which it rests.

    turn: about the vertical, radians, relative to the resting pose. lying: 0..1, selects one of the lying poses by
    cumulative weight. None samples either. stands: whether it may stand if it finds nothing to lean on; else it lies.
    copy_of: index of the earlier item of which it is a copy; it is set on that or beside it.
    """

    shape: Rest
    resting: RestingPose = "stand"
    turn: float | None = None
    lying: float | None = None
    stands: bool = True
    copy_of: int | None = None


@dataclass(frozen=True)
class ArrangementParams:
    """Parameters of an arrangement.

    touch, occlude: chances that an item is pushed against a neighbour, or set in front of or behind one in the view.
    density: share of the arrangement's circle that products cover. tilt: lowest and highest tilt of a leaning item
    beyond its balance point, radians. view_azimuth: direction in which the camera looks, radians from +X, for
    `occlude`. stack: chance that a copy is stacked on another one that can carry it. compact: number of candidate
    positions, of which the one nearest the middle is taken.
    """

    touch: float
    occlude: float
    density: float
    tilt: tuple[float, float]
    view_azimuth: float
    stack: float = 0.0
    compact: int = 1


def resting_pose(shape: Rest, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return world_from_object (4, 4) with that rotation, lowest point at z = 0, bounding box centred on the origin."""
    turned = shape.hull_vertices @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = [-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]]
    return pose


def arrange(
    items: Sequence[Item], params: ArrangementParams, support: Support = UNBOUNDED, *, rng: np.random.Generator
) -> tuple[NDArray[np.float64] | None, ...]:
    """Arrange items around the middle of the support, each on the surface or on an earlier item.

    Returns world_from_object (4, 4) of each item, in order; None for an item that found no room, which happens on a
    bounded support only.
    """
    arrangement = Arrangement(support)
    radius = _radius_for(items, params.density)
    copies: dict[int, list[int]] = {}
    placed: list[int | None] = []  # index of each item in the arrangement
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
    """Try to stack a copy on one of the same product, or (rarely) another item on any item.

    Returns the pose and the index of the item below; (None, None) if that fails.
    """
    chance = params.stack * (1.0 if item.copy_of is not None else STACK_OTHERS)
    if rng.random() >= chance or item.resting == "lean" or not len(arrangement.centres):
        return None, None
    if item.copy_of is None:
        pose = resting_pose(item.shape, _turn(item, rng) @ _resting_rotation(item, rng))
        upon = int(rng.integers(len(arrangement.centres)))
        placed = arrangement.stack(item.shape, pose, upon, rng=rng)
        return (placed, upon) if placed is not None else (None, None)
    for upon in reversed(copies[item.copy_of]):
        like = _pose_like(item.shape, arrangement.pose(upon), rng)
        placed = arrangement.stack(item.shape, like, upon, rng=rng) if like is not None else None
        if placed is not None:
            return placed, upon
    return None, None


def _pose_like(shape: Rest, pose: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Return the pose of a copy about the origin, oriented like the one at `pose`; None if that one leans."""
    rotation = pose[:3, :3]
    if (np.abs(shape.rotations[:, 2] @ rotation[2] - 1) > 1e-6).all():
        return None
    return resting_pose(shape, rotation_about_z(rng.normal(0, ROW_TURN)) @ rotation)


def _set_beside(item: Item, arrangement: Arrangement, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Return the pose of a copy beside, behind or in front of the first one and touching it, as in a shop.

    None if the first one leans, if there is no room, or if this copy is to be set anywhere.
    """
    assert item.copy_of is not None
    first = arrangement.pose(item.copy_of)
    pose = _pose_like(item.shape, first, rng) if rng.random() >= FREE_COPIES else None
    if pose is None:
        return None
    # Along the first one's own horizontal axes.
    flat = first[:2, :3][:, np.argmin(np.abs(first[2, :3]))]
    azimuth = float(np.arctan2(flat[1], flat[0])) + np.pi / 2 * rng.integers(4)
    return _push_to(item.copy_of, item.shape, pose, arrangement, azimuth)


def _radius_for(items: Sequence[Item], density: float) -> float:
    """Return the radius of the circle that the items' footprints fill to `density`."""
    area = 0.0
    for item in items:
        spread = np.ptp(item.shape.hull_vertices, axis=0)
        area += float(np.sort(spread)[1:].prod() + np.sort(spread)[:2].prod()) / 2  # mean of standing and lying
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
    """Return the identity to stand or start a lean, else a lying pose with the probability that a drop ends in it."""
    weights = item.shape.weights[1:]
    if item.resting != "lie" or not len(weights):
        return np.eye(3)
    if item.lying is not None:
        edges = np.cumsum(weights)
        return item.shape.rotations[1 + np.searchsorted(edges / edges[-1], item.lying, side="right")]
    return item.shape.rotations[1 + rng.choice(len(weights), p=weights / weights.sum())]


def _turn(item: Item, rng: np.random.Generator) -> NDArray[np.float64]:
    return rotation_about_z(rng.uniform(-np.pi, np.pi) if item.turn is None else item.turn)


def _push_to_neighbour(
    shape: Rest, pose: NDArray, arrangement: Arrangement, azimuth: float, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Move `pose` to a random neighbour, coming from the direction `azimuth`, until it touches something."""
    return _push_to(int(rng.integers(len(arrangement.centres))), shape, pose, arrangement, azimuth)


def _push_to(
    neighbour: int, shape: Rest, pose: NDArray, arrangement: Arrangement, azimuth: float
) -> NDArray[np.float64] | None:
    x, y, r = arrangement.circle(neighbour)
    outward = np.array([np.cos(azimuth), np.sin(azimuth)])
    _, _, own = footprint(shape, pose)
    start = pose.copy()
    # Start just beside the neighbour, or outside of everything if that position is occupied.
    for away in (r + own + 2 * GAP, arrangement.radius + np.hypot(x, y) + own + 2 * GAP):
        start[:2, 3] = pose[:2, 3] + np.array([x, y]) + outward * away
        if arrangement.distance(shape, start) > GAP:
            return arrangement.push(shape, start, -outward, away)
    return None


def _set_in_line(
    shape: Rest, pose: NDArray, arrangement: Arrangement, params: ArrangementParams, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Set an item in front of or behind a neighbour in the view, touching or up to its own size away."""
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
    """Tilt an item against a neighbour: foot on the table, upper half on the neighbour; None if no try succeeds."""
    shape = item.shape
    for _ in range(LEAN_TRIES):
        azimuth = rng.uniform(-np.pi, np.pi)
        turn, beyond = _turn(item, rng), rng.uniform(*params.tilt)
        towards = -np.array([np.cos(azimuth), np.sin(azimuth)])
        balance = balance_tilt(shape, turn, towards)
        if balance is None:
            continue
        pose = resting_pose(shape, tilt_rotation(towards, balance + beyond) @ turn)
        touching = _push_to_neighbour(shape, pose, arrangement, azimuth, rng)
        if touching is not None and arrangement.touch_height(shape, touching, towards) > 0.45:
            return touching
    return None


def balance_tilt(shape: Rest, turn: NDArray, towards: NDArray, highest: float = MAX_TILT) -> float | None:
    """Return the tilt past which an upright item topples in the direction `towards`; None above `highest` (squat)."""
    for tilt in np.arange(np.radians(2), highest, np.radians(1)):
        rotation = tilt_rotation(towards, tilt) @ turn
        foot = shape.hull_vertices[np.argmin(shape.hull_vertices @ rotation[2])]
        if ((shape.middle - foot) @ rotation[:2].T) @ towards > 0:
            return float(tilt)
    return None


def tilt_rotation(towards: NDArray, angle: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) that tips +Z by `angle` radians in the horizontal direction `towards` (Rodrigues)."""
    x, y = -towards[1], towards[0]
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _set_free(
    shape: Rest, pose: NDArray, arrangement: Arrangement, radius: float, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Find a free position in the circle, which grows until there is room; None once it is larger than the support."""
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
