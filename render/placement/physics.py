"""Rigid bodies in a bin, simulated by MuJoCo.

Every item is its convex hull, of even density: hollows are filled. The bin is five planes, so nothing can pass through
its walls or leave over its rim. Drag keeps the fall slow. The same arguments give the same poses, on any number of
workers: the simulation has one thread and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from assets.errors import SynthError
from assets.mesh.rest import Rest
from render.geometry import transform

# A contact pushes bodies apart within this time; two steps are the least that is stable.
STEP_S, CHECK_EVERY, CONTACT_S = 0.008, 5, 0.016
# At rest: no corner is faster than this, metres per second, at two checks in a row.
SLOW = 0.005
# Of each of two bodies. Contacts push from the sum on, so that resting items stand a fraction of a millimetre apart.
MARGIN = 4e-4
# Of a free fall, metres per second: that of a drop by 1.3 m.
FALL_SPEED, GRAVITY = 5.0, 9.81
MASS_KG = 0.3
# Friction of things that move, and of those at rest: sliding, and turning on the spot (metres). As in nature the second
# is higher; a heap that came to rest with the first does not slip again.
SLIDING, RESTING = (0.35, 0.005, 0.0), (0.55, 0.01, 0.0)
# Sweeps of the solver over all contacts, which keep large heaps stable where other solvers explode, and those that take
# the slip out of friction, without which heaps creep by 1 mm/s.
SWEEPS, NO_SLIP = 20, 10
# Items thinner than this share of their width are prisms of their outline, at least so thick, metres: a lens would rock
# on its one point for ever.
FLAT, THINNEST = 0.2, 1e-3
# Hulls are thinned out, so that none of their corners is cut off by more, metres.
COARSE = 5e-4
# The directions in which a hull's outermost corners are kept at least.
SPREAD = np.array([direction for direction in np.ndindex(3, 3, 3) if direction != (1, 1, 1)]) - 1.0


@dataclass(frozen=True, eq=False)
class RigidBody:
    """An item in a bin. pose: bin_from_object (4, 4), origin in the middle of the floor, Z up, metres."""

    shape: Rest
    pose: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Simulated:
    """Bodies after a simulation.

    moving: (N,) bool, which of them were not yet at rest. moved: (N,) the longest way of any corner from start to end.
    depth: (N,) deepest penetration of each into another body or the bin at the start. Metres; inf if the simulation
    failed.
    """

    bodies: tuple[RigidBody, ...]
    moving: NDArray[np.bool_]
    moved: NDArray[np.float64]
    depth: NDArray[np.float64]


def simulate(
    loose: Sequence[RigidBody],
    fixed: Sequence[RigidBody],
    width: float,
    depth: float,
    *,
    seconds: float,
    drag: bool = True,
) -> Simulated:
    """Let bodies fall from their poses between fixed ones for so many seconds, or less if they rest.

    width, depth: of the bin inside, along X and Y, metres. Without drag bodies are watched for the whole time, with the
    friction of things at rest. Raises SynthError if MuJoCo is not installed.
    """
    mujoco = _engine()
    if not loose:
        return Simulated((), np.zeros(0, bool), np.zeros(0), np.zeros(0))
    model = _model(mujoco, loose, fixed, width, depth, drag)
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([_state(body.pose) for body in loose])
    mujoco.mj_forward(model, data)
    deepest = _depths(model, data, len(loose))
    reaches = np.array([np.linalg.norm(body.shape.hull_vertices, axis=1).max() for body in loose])
    steps, quiet = 0, 0
    while steps * STEP_S < seconds and (quiet < 2 or not drag):
        mujoco.mj_step(model, data, CHECK_EVERY)
        steps += CHECK_EVERY
        quiet = quiet + 1 if not _moving(data, reaches).any() else 0
        if any(warning.number for warning in data.warning):
            lost = np.full(len(loose), np.inf)
            return Simulated(tuple(loose), np.ones(len(loose), bool), lost, lost)
    bodies = tuple(
        RigidBody(body.shape, _pose(state)) for body, state in zip(loose, data.qpos.reshape(-1, 7), strict=True)
    )
    moved = np.array([_way(body, end.pose) for body, end in zip(loose, bodies, strict=True)])
    return Simulated(bodies, _moving(data, reaches), moved, deepest)


def _depths(model: Any, data: Any, count: int) -> NDArray[np.float64]:
    """Return the deepest penetration (count,) of each loose body, metres."""
    deepest = np.zeros(count + 1)
    np.maximum.at(deepest, model.geom_bodyid[data.contact.geom], -data.contact.dist[:, None])
    return deepest[1:]


def _way(body: RigidBody, end: NDArray[np.float64]) -> float:
    """Return how far the corner of a body that moved most is from where it was, metres."""
    corners = body.shape.hull_vertices
    return float(np.linalg.norm(transform(end, corners) - transform(body.pose, corners), axis=1).max())


def _engine() -> Any:
    try:
        import mujoco
    except ImportError as error:
        raise SynthError(
            "this recipe drops products by physics, which needs MuJoCo",
            code="dependency-missing",
            found=str(error),
            hint="pip install 'mujoco>=4,<5'",
        ) from error
    mujoco.set_mju_user_warning(_ignore)  # else it prints and writes a log into the working folder
    return mujoco


def _ignore(warning: str) -> None:
    """Simulations that fail are known by their warnings' numbers."""


def _model(
    mujoco: Any, loose: Sequence[RigidBody], fixed: Sequence[RigidBody], width: float, depth: float, drag: bool
) -> Any:
    """Build the simulation: five planes, the fixed bodies, and a free body per loose one."""
    spec = mujoco.MjSpec()
    _set_options(mujoco, spec, drag)
    for place, normal in (
        ((0, 0, 0), (0, 0, 1)),
        *(((-s * width / 2, 0, 0), (s, 0, 0)) for s in (-1, 1)),
        *(((0, -s * depth / 2, 0), (0, s, 0)) for s in (-1, 1)),
    ):
        turn = Rotation.align_vectors([normal], [[0, 0, 1]])[0].as_quat(scalar_first=True)
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1], pos=place, quat=turn)
    meshes: dict[Rest, str] = {}
    for body in fixed:
        _add_shape(mujoco, spec, spec.worldbody, body.shape, _state(body.pose), meshes)
    for body in loose:
        free = spec.worldbody.add_body()
        free.add_freejoint()
        _add_shape(mujoco, spec, free, body.shape, _state(np.eye(4)), meshes)
    model = spec.compile()
    if drag:  # in proportion to the weight: everything falls at one speed
        pull = model.body_mass[1:] * GRAVITY / FALL_SPEED
        turning = model.body_inertia[1:].max(axis=1) * GRAVITY / FALL_SPEED
        model.dof_damping[:] = np.stack([pull] * 3 + [turning] * 3, axis=1).ravel()
    return model


def _set_options(mujoco: Any, spec: Any, drag: bool) -> None:
    spec.option.timestep = STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.solver = mujoco.mjtSolver.mjSOL_PGS
    spec.option.iterations = SWEEPS
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.noslip_iterations = NO_SLIP
    spec.option.disableflags = int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
    # Without speculative contacts a thin item passes into another one within a step.
    spec.option.enableflags = int(mujoco.mjtEnableBit.mjENBL_SPECULATIVE)
    spec.default.geom.solref = [CONTACT_S, 1.0]
    spec.default.geom.solimp = [0.95, 0.99, 0.001, 0.5, 2.0]
    spec.default.geom.friction, spec.default.geom.condim = SLIDING if drag else RESTING, 4
    spec.default.geom.margin, spec.default.geom.mass = MARGIN, MASS_KG


def _add_shape(mujoco: Any, spec: Any, body: Any, shape: Rest, state: NDArray, meshes: dict[Rest, str]) -> None:
    """Add an item's shape to a body; equal shapes share a mesh."""
    if shape not in meshes:
        meshes[shape] = f"item {len(meshes)}"
        mesh = spec.add_mesh(name=meshes[shape], uservert=_corners(shape).ravel())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=meshes[shape], pos=state[:3], quat=state[3:])


@lru_cache(maxsize=512)
def _corners(shape: Rest) -> NDArray[np.float64]:
    """Return the corners (N, 3) whose convex hull stands for an item."""
    corners = _outermost(shape.hull_vertices)
    size = np.ptp(corners, axis=0)
    thin = int(size.argmin())
    if size[thin] >= max(THINNEST, FLAT * np.sort(size)[1]):
        return corners
    prism = np.tile(corners, (2, 1, 1))
    half = np.array([-0.5, 0.5]) * max(size[thin], THINNEST)
    prism[..., thin] = shape.middle[thin] + half[:, None]
    return prism.reshape(-1, 3)


def _outermost(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return so many of a hull's corners (N, 3) that none of them lies outside of theirs by more than COARSE."""
    from scipy.spatial import ConvexHull, QhullError

    if np.ptp(corners, axis=0).min() < THINNEST:
        return corners
    chosen = np.unique((corners @ SPREAD.T).argmax(axis=0))
    while True:
        try:
            hull = ConvexHull(corners[chosen])
        except QhullError:  # the outermost ones lie in a plane
            return corners
        outside = corners @ hull.equations[:, :3].T + hull.equations[:, 3]
        missing = np.unique(outside.argmax(axis=0)[outside.max(axis=0) > COARSE])
        if not len(missing):
            return np.array(corners[chosen[np.unique(hull.simplices)]])
        chosen = np.union1d(chosen, missing)


def _moving(data: Any, reaches: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which loose bodies (N,) are faster than at rest; reaches: (N,) from origin to farthest corner, metres."""
    linear, turning = np.linalg.norm(data.qvel.reshape(-1, 2, 3), axis=2).T
    return np.array(linear + turning * reaches > SLOW)


def _state(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return position and quaternion (7,) of a pose."""
    return np.concatenate([pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True)])


def _pose(state: NDArray[np.float64]) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(state[3:], scalar_first=True).as_matrix()
    pose[:3, 3] = state[:3]
    return pose
