"""Items dropped into a bin by rigid-body physics (MuJoCo), until they lie still.

Every item is its convex hull, of even density. The bin is five planes, so nothing can pass through its walls or leave
over its rim: `Settled.top` says how high the walls must be for all centres to lie below the rim. Drag keeps the fall
slow. The same arguments give the same poses, on any number of workers: the simulation has one thread and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from assets.errors import SynthError
from assets.mesh.rest import Rest

STEP_S = 0.004
# 16 s; items still in motion then are frozen where they are, and counted.
MAX_STEPS = 4_000
CHECK_EVERY = 25
# This long after the last item has fallen the drag begins to grow at every check, which ends the rocking of piles. Its
# limit leaves what is still in the air ten times as fast as what counts as at rest.
THICKEN_AFTER_S, THICKEN_BY, THICKEN_MOST = 2.0, 1.1, 40.0
# Slower than this, metres and radians per second, at two checks in a row: at rest.
SLOW, SLOW_TURN = 0.005, 0.1
# Contacts push from this distance on, so that resting items stand a fraction of a millimetre apart, metres.
MARGIN = 5e-4
# Of a free fall, metres per second: that of a drop by 20 cm.
FALL_SPEED = 2.0
DENSITY, FRICTION = 400.0, (0.5, 0.003, 0.0001)
THINNEST = 1e-3


@dataclass(frozen=True, eq=False)
class Settled:
    """Items at rest. poses: bin_from_object (4, 4) of each, origin in the middle of the floor, Z up.

    top: height of the highest centre, metres. depth: deepest penetration of two items, or of one and the bin, metres;
    0 if none. steps: of the simulation, at most MAX_STEPS. moving: how many items were not yet at rest.
    """

    poses: tuple[NDArray[np.float64], ...]
    top: float
    depth: float
    steps: int
    moving: int


def settle(shapes: Sequence[Rest], width: float, depth: float, *, rng: np.random.Generator) -> Settled:
    """Drop items in their order into a bin of that inner width (X) and depth (Y), metres, turned at random.

    Raises SynthError if MuJoCo is not installed.
    """
    mujoco = _engine()
    starts = _starts(shapes, width, depth, rng)
    model = _model(mujoco, shapes, width, depth)
    data = mujoco.MjData(model)
    data.qpos[:] = starts.ravel()
    thicken_from = starts[:, 2].max() / FALL_SPEED + THICKEN_AFTER_S
    steps, quiet, thick = 0, 0, 1.0
    while steps < MAX_STEPS and quiet < 2:
        mujoco.mj_step(model, data, CHECK_EVERY)
        steps += CHECK_EVERY
        if steps * STEP_S > thicken_from and thick < THICKEN_MOST:
            thick *= THICKEN_BY
            model.dof_damping *= THICKEN_BY
        quiet = quiet + 1 if not _moving(data).any() else 0
    mujoco.mj_forward(model, data)  # contacts of the last poses
    found = tuple(_pose(state) for state in data.qpos.reshape(-1, 7))
    centers = [pose[2, :3] @ _middle(shape) + pose[2, 3] for pose, shape in zip(found, shapes, strict=True)]
    deepest = max(0.0, -float(np.min(data.contact.dist, initial=0.0)))
    return Settled(found, float(max(centers)), deepest, steps, int(_moving(data).sum()))


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
    return mujoco


def _model(mujoco: Any, shapes: Sequence[Rest], width: float, depth: float) -> Any:
    """Build the simulation: five planes and a free body per item."""
    spec = mujoco.MjSpec()
    spec.option.timestep = STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.solver = mujoco.mjtSolver.mjSOL_CG  # over twice as fast as Newton's method from 50 items on
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.default.geom.solref = [0.008, 1.0]
    spec.default.geom.solimp = [0.95, 0.99, 0.001, 0.5, 2.0]
    spec.default.geom.friction, spec.default.geom.condim = FRICTION, 4
    spec.default.geom.margin, spec.default.geom.density = MARGIN, DENSITY
    for place, normal in (
        ((0, 0, 0), (0, 0, 1)),
        *(((-s * width / 2, 0, 0), (s, 0, 0)) for s in (-1, 1)),
        *(((0, -s * depth / 2, 0), (0, s, 0)) for s in (-1, 1)),
    ):
        turn = Rotation.align_vectors([normal], [[0, 0, 1]])[0].as_quat(scalar_first=True)
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1], pos=place, quat=turn)
    meshes: dict[int, str] = {}
    for shape in shapes:
        _add_item(mujoco, spec, shape, meshes)
    model = spec.compile()
    # Drag in proportion to the weight: everything falls at one speed.
    moving = np.arange(len(shapes)) + 1
    pull = model.body_mass[moving] * 9.81 / FALL_SPEED
    turning = model.body_inertia[moving].max(axis=1) * 9.81 / FALL_SPEED
    model.dof_damping[:] = np.stack([pull] * 3 + [turning] * 3, axis=1).ravel()
    return model


def _add_item(mujoco: Any, spec: Any, shape: Rest, meshes: dict[int, str]) -> None:
    """Add a free body in the frame of its product; equal shapes share a mesh, and flat ones are boxes."""
    body = spec.worldbody.add_body()
    body.add_freejoint()
    size = np.ptp(shape.hull_vertices, axis=0)
    if size.min() < THINNEST:
        half = np.maximum(size, THINNEST) / 2
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=_middle(shape))
        return
    if id(shape) not in meshes:
        meshes[id(shape)] = f"item {len(meshes)}"
        mesh = spec.add_mesh(name=meshes[id(shape)], uservert=shape.hull_vertices.ravel())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=meshes[id(shape)])


def _starts(shapes: Sequence[Rest], width: float, depth: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return positions and turns (N, 7) above the floor, one above the other in the columns of a grid."""
    radii = [float(np.linalg.norm(shape.hull_vertices - _middle(shape), axis=1).max()) for shape in shapes]
    cell = 2 * max(radii) + 2 * MARGIN
    columns, rows = max(int(width / cell), 1), max(int(depth / cell), 1)
    tops = np.zeros(columns * rows)
    starts = np.zeros((len(shapes), 7))
    for number, (shape, radius) in enumerate(zip(shapes, radii, strict=True)):
        place = int(np.argmin(tops))
        row, column = divmod(place, columns)
        turn = Rotation.random(random_state=rng)
        height = float(tops[place]) + radius + MARGIN
        tops[place] = height + radius + MARGIN
        spot = ((column + 0.5) / columns - 0.5) * width, ((row + 0.5) / rows - 0.5) * depth, height
        starts[number] = [*(np.array(spot) - turn.apply(_middle(shape))), *turn.as_quat(scalar_first=True)]
    return starts


def _moving(data: Any) -> NDArray[np.bool_]:
    """Return which items (N,) are faster than at rest."""
    speeds = data.qvel.reshape(-1, 2, 3)
    linear, turning = np.linalg.norm(speeds, axis=2).T
    return (linear > SLOW) | (turning > SLOW_TURN)


def _pose(state: NDArray[np.float64]) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(state[3:], scalar_first=True).as_matrix()
    pose[:3, 3] = state[:3]
    return pose


def _middle(shape: Rest) -> NDArray[np.float64]:
    return (shape.hull_vertices.min(axis=0) + shape.hull_vertices.max(axis=0)) / 2
