"""Dents: vertices pushed inwards, in a copy whose shape is traced like any other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.subdivide import split_long_edges
from assets.mesh.types import Mesh, cross_products, shape_copy_key

# Depth at strength 1, as a share of the shortest side and in metres, and the radius of a dent as a share of that side.
DEPTH, MAX_DEPTH_M = 0.08, 0.006
RADIUS = (0.18, 0.34)
# Edges within a dent, in radii: coarser ones make flat facets.
EDGE = 0.3
# No dents in the lowest part, on which the product stands.
FOOT = 0.12


@dataclass(frozen=True, eq=False)
class Dent:
    """centre (3,) on the surface, direction (3,) inwards, unit. radius, depth: metres."""

    centre: NDArray[np.float64]
    direction: NDArray[np.float64]
    radius: float
    depth: float


def max_depth(mesh: Mesh, dents: float) -> float:
    """Return how far, in metres, dents of that strength move a vertex at most."""
    return dents * min(DEPTH * float(mesh.size.min()), MAX_DEPTH_M)


def dented_mesh(mesh: Mesh, dents: float) -> Mesh:
    """Return `mesh` with one to three dents, 0 < dents <= 1 in steps of 0.25; closed if it was, with a key of its own.

    Deterministic: where the dents are depends on the mesh's key. A mesh without volume is returned as it is.
    """
    step = min(max(round(dents * 4), 1), 4) / 4
    if not float(mesh.size.min()) > 0:
        return mesh
    rng = np.random.default_rng([int.from_bytes(mesh.key.encode()[:8].ljust(8, b"\0"), "big"), 3])
    placed = [_sample_dent(mesh, step, rng) for _ in range(int(rng.integers(1, 4)))]
    fine = split_long_edges(mesh, EDGE * RADIUS[0] * float(mesh.size.min()))
    vertices, normals = _push(fine.vertices.astype(np.float64), fine.normals.astype(np.float64), placed)
    key = shape_copy_key(mesh, f"-dents{step:g}")
    return replace(fine, key=key, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))


def _sample_dent(mesh: Mesh, step: float, rng: np.random.Generator) -> Dent:
    triangles = mesh.vertices[mesh.faces].astype(np.float64)
    across = cross_products(triangles)
    areas = np.linalg.norm(across, axis=1)
    weights = areas * (triangles[..., 2].max(axis=1) > FOOT * float(mesh.size[2]))
    face = int(rng.choice(len(areas), p=weights / weights.sum()))
    shares = rng.dirichlet(np.ones(3))
    centre = shares @ triangles[face]
    outwards = across[face] / areas[face]
    smallest = float(mesh.size.min())
    return Dent(centre, -outwards, float(rng.uniform(*RADIUS)) * smallest, max_depth(mesh, step))


def _push(vertices: NDArray, normals: NDArray, dents: list[Dent]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return vertices (V, 3) moved by the deepest of the dents over them, and their normals.

    The depth falls off as (1 - (d / radius)^2)^2. It follows from the position alone, so seams stay closed.
    """
    depth, moved, turned = np.zeros(len(vertices)), vertices.copy(), normals.copy()
    for dent in dents:
        offset = vertices - dent.centre
        inside = np.clip(1 - (offset**2).sum(axis=1) / dent.radius**2, 0, None)
        mine = np.flatnonzero(dent.depth * inside**2 > depth)
        depth[mine] = dent.depth * inside[mine] ** 2
        moved[mine] = vertices[mine] + depth[mine, None] * dent.direction
        # A normal turns by the inverse transpose of the Jacobian, I + direction gradient^T (Sherman, Morrison 1950).
        gradient = -4 * dent.depth / dent.radius**2 * inside[mine, None] * offset[mine]
        along = 1 + gradient @ dent.direction
        turned[mine] = normals[mine] - gradient * (normals[mine] @ dent.direction / np.maximum(along, 0.1))[:, None]
    return moved, turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-30)
