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

STEP_S, CHECK_EVERY = 0.008, 5
# Slower than this, metres and radians per second, at two checks in a row: at rest.
SLOW, SLOW_TURN = 0.005, 0.1
# Of each of two bodies. Contacts push from the sum on, so that resting items stand a fraction of a millimetre apart.
MARGIN = 4e-4
# Of a free fall, metres per second: that of a drop by 1.3 m.
FALL_SPEED, GRAVITY = 5.0, 9.81
DENSITY, FRICTION = 400.0, (0.5, 0.0, 0.0)
# Passes that take the slip out of friction, without which heaps creep by 1 mm/s.
NO_SLIP = 5
# Up to so many bodies Newton's method is faster than conjugate gradients, which converge within so many iterations;
# heaps explode where they do not.
MAX_NEWTON, ITERATIONS = 40, 400
THINNEST = 1e-3
# More corners of a hull are thinned out, which takes less than half a millimetre off it.
MAX_CORNERS = 600


@dataclass(frozen=True, eq=False)
class RigidBody:
    """An item in a bin. pose: bin_from_object (4, 4), origin in the middle of the floor, Z up, metres."""

    shape: Rest
    pose: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Simulated:
    """Bodies after a simulation. moving: (N,) bool, which of them were not yet at rest.

    depth: deepest penetration of two bodies, or of one and the bin, metres; 0 if none, inf if the simulation failed.
    """

    bodies: tuple[RigidBody, ...]
    moving: NDArray[np.bool_]
    depth: float


def simulate(
    loose: Sequence[RigidBody],
    fixed: Sequence[RigidBody],
    width: float,
    depth: float,
    *,
    seconds: float,
    drag: bool = True,
) -> Simulated:
    """Let bodies fall from their poses between fixed ones until they rest, at most so many seconds.

    width, depth: of the bin inside, along X and Y, metres. With 0 seconds only penetration is measured. Raises
    SynthError if MuJoCo is not installed.
    """
    mujoco = _engine()
    model = _model(mujoco, loose, fixed, width, depth, drag)
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([_state(body.pose) for body in loose])
    steps, quiet = 0, 0
    while steps * STEP_S < seconds and quiet < 2:
        mujoco.mj_step(model, data, CHECK_EVERY)
        steps += CHECK_EVERY
        quiet = quiet + 1 if not _moving(data).any() else 0
        if any(warning.number for warning in data.warning):
            return Simulated(tuple(loose), np.ones(len(loose), bool), np.inf)
    moving = _moving(data)
    mujoco.mj_forward(model, data)  # contacts of the last poses
    deepest = max(0.0, -float(np.min(data.contact.dist, initial=0.0)))
    poses = (_pose(state) for state in data.qpos.reshape(-1, 7))
    return Simulated(
        tuple(RigidBody(body.shape, pose) for body, pose in zip(loose, poses, strict=True)), moving, deepest
    )


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
    _set_options(mujoco, spec, len(loose))
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


def _set_options(mujoco: Any, spec: Any, count: int) -> None:
    spec.option.timestep = STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON if count <= MAX_NEWTON else mujoco.mjtSolver.mjSOL_CG
    spec.option.iterations = ITERATIONS
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.noslip_iterations = NO_SLIP
    # Without speculative contacts a thin item passes into another one within a step.
    spec.option.enableflags = int(mujoco.mjtEnableBit.mjENBL_SPECULATIVE)
    spec.default.geom.solref = [2 * STEP_S, 1.0]
    spec.default.geom.solimp = [0.95, 0.99, 0.001, 0.5, 2.0]
    spec.default.geom.friction, spec.default.geom.condim = FRICTION, 3
    spec.default.geom.margin, spec.default.geom.density = MARGIN, DENSITY


def _add_shape(mujoco: Any, spec: Any, body: Any, shape: Rest, state: NDArray, meshes: dict[Rest, str]) -> None:
    """Add an item's shape to a body; equal shapes share a mesh, and flat ones are boxes."""
    size = np.ptp(shape.hull_vertices, axis=0)
    if size.min() < THINNEST:
        middle = Rotation.from_quat(state[3:], scalar_first=True).apply(shape.middle) + state[:3]
        half = np.maximum(size, THINNEST) / 2
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=middle, quat=state[3:])
        return
    if shape not in meshes:
        meshes[shape] = f"item {len(meshes)}"
        mesh = spec.add_mesh(name=meshes[shape], uservert=_corners(shape).ravel())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=meshes[shape], pos=state[:3], quat=state[3:])


@lru_cache(maxsize=512)
def _corners(shape: Rest) -> NDArray[np.float64]:
    """Return the corners (N, 3) of an item's hull; of many those that are outermost in MAX_CORNERS directions."""
    corners = shape.hull_vertices
    if len(corners) <= MAX_CORNERS:
        return corners
    # Spread evenly over the sphere along a spiral.
    steps = np.arange(MAX_CORNERS) + 0.5
    z, turn = 1 - 2 * steps / MAX_CORNERS, np.pi * (1 + 5**0.5) * steps
    directions = np.stack([np.cos(turn) * np.sqrt(1 - z**2), np.sin(turn) * np.sqrt(1 - z**2), z])
    parts = np.array_split(directions, 16, axis=1)  # bounds the memory that hulls of foreign meshes take
    return np.array(corners[np.unique(np.concatenate([(corners @ part).argmax(axis=0) for part in parts]))])


def _moving(data: Any) -> NDArray[np.bool_]:
    """Return which loose bodies (N,) are faster than at rest."""
    speeds = data.qvel.reshape(-1, 2, 3)
    linear, turning = np.linalg.norm(speeds, axis=2).T
    return (linear > SLOW) | (turning > SLOW_TURN)


def _state(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return position and quaternion (7,) of a pose."""
    return np.concatenate([pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True)])


def _pose(state: NDArray[np.float64]) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(state[3:], scalar_first=True).as_matrix()
    pose[:3, 3] = state[:3]
    return pose
