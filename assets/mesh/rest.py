"""Resting poses of a mesh on a table, with its convex hull."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh, frozen_array

# Poses with less than this fraction of random throws are left out, such as a bottle balancing on its cap.
MIN_WEIGHT = 0.01


@dataclass(frozen=True, eq=False)
class Rest:
    """Convex hull and stable poses of a mesh, in its own frame.

    hull_vertices: (H, 3) float64, metres. hull_faces: (F, 3) int32, counter-clockwise seen from outside.
    rotations: (R, 3, 3) float64, table_from_object; the first is upright (the identity). weights: (R,) float64, sum 1:
    the fraction of random throws that end in each pose. R >= 1.
    """

    hull_vertices: NDArray[np.float64]
    hull_faces: NDArray[np.int32]
    rotations: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "hull_vertices", frozen_array(self.hull_vertices, np.float64, (None, 3), "hull"))
        object.__setattr__(self, "hull_faces", frozen_array(self.hull_faces, np.int32, (None, 3), "hull_faces"))
        object.__setattr__(self, "rotations", frozen_array(self.rotations, np.float64, (None, 3, 3), "rotations"))
        object.__setattr__(self, "weights", frozen_array(self.weights, np.float64, (len(self.rotations),), "weights"))
        if not len(self.rotations):
            raise ValueError("rest: expected at least the upright pose")

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """Middle (3,) of the bounding box, metres."""
        return (self.hull_vertices.min(axis=0) + self.hull_vertices.max(axis=0)) / 2


def rest_from_mesh(mesh: Mesh) -> Rest:
    """Compute the hull and stable poses of `mesh`, deterministically.

    The poses are those of stable_poses.py plus always the upright one, since retail products are made to stand. Flat
    or degenerate meshes have only the upright pose.
    """
    from scipy.spatial import QhullError

    from assets.mesh.stable_poses import stable_poses

    try:
        hull = _convex_hull(mesh)
        # A ball can rest on many faces with tiny weights: none reaches the threshold.
        return Rest(hull.vertices, hull.faces, *_merge_upright(*stable_poses(hull, MIN_WEIGHT)))
    except (QhullError, ValueError):
        return _upright_box(mesh)


def upright_rest(mesh: Mesh) -> Rest:
    """Compute the hull of `mesh` with its upright pose only: for props, which stand as modelled."""
    from scipy.spatial import QhullError

    try:
        hull = _convex_hull(mesh)
    except (QhullError, ValueError):
        return _upright_box(mesh)
    return Rest(hull.vertices, hull.faces, np.eye(3)[None], np.ones(1))


def _convex_hull(mesh: Mesh) -> Any:
    import trimesh

    return trimesh.convex.convex_hull(mesh.vertices.astype(np.float64))


def _upright_box(mesh: Mesh) -> Rest:
    import trimesh

    low, high = mesh.bounds.astype(np.float64)
    box = trimesh.creation.box(bounds=[low, np.maximum(high, low + 1e-4)])
    return Rest(box.vertices, box.faces, np.eye(3)[None], np.ones(1))


def _merge_upright(rotations: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Return the upright pose, then the others by falling weight; poses that differ by a rotation about Z are one."""
    downs = -rotations[:, 2, :]  # the direction in the object's frame that points down in each pose
    upright = downs @ np.array([0.0, 0.0, -1.0]) > np.cos(np.radians(5))
    share = max(float(weights[upright].sum()), MIN_WEIGHT)
    order = np.flatnonzero(~upright)
    order = order[np.argsort(-weights[order], kind="stable")]
    kept = np.concatenate([np.eye(3)[None], rotations[order]])
    shares = np.concatenate([[share], weights[order]])
    return kept, shares / shares.sum()
