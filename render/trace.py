"""Rays against one mesh at a time, in the mesh's own frame: the ground that every label stands on.

Each mesh keeps one Embree tree for as long as it is in use, so nothing is built per scene, and each placement's full
outline (its amodal mask) costs no more than its visible one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.mesh import Material, Mesh

# A ray may pass through this many holes of cut-out textures before it counts as stopped.
MOST_HOLES = 32
# Trees kept at once: about 5 MB each for a scan of 25,000 faces.
MOST_TREES = 192


@dataclass(frozen=True, eq=False)
class Hits:
    """The first hit of each ray. t: (N,) float32, multiples of the ray's direction, inf = none.

    normals: (N, 3) float32, unit, mesh frame, of the face (not smoothed, either side); 0 where nothing is hit.
    """

    t: NDArray[np.float32]
    normals: NDArray[np.float32]


def trace_mesh(mesh: Mesh, origins: NDArray, directions: NDArray) -> Hits:
    """First hits of N rays in the mesh's frame; both sides of a face count, holes of cut-out textures do not.

    origins, directions: (N, 3), metres; the directions need not be unit.
    """
    origins = np.ascontiguousarray(origins, dtype=np.float32)
    directions = np.ascontiguousarray(directions, dtype=np.float32)
    found = _tree_of(mesh).run(origins, directions, output=True)
    t = np.where(found["primID"] >= 0, found["tfar"], np.inf).astype(np.float32)
    normals, faces = found["Ng"], found["primID"]
    if any(part.material.alpha_cutoff is not None for part in mesh.parts):
        t, normals, faces = _skip_holes(mesh, origins, directions, found)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    normals[faces < 0] = 0
    return Hits(t, normals.astype(np.float32))


@lru_cache(maxsize=MOST_TREES)
def _tree_of(mesh: Mesh) -> Any:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    # "robust" closes the cracks along shared edges through which single rays would slip.
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, mesh.vertices, mesh.faces)
    return scene


def _skip_holes(
    mesh: Mesh, origins: NDArray, directions: NDArray, found: dict[str, NDArray]
) -> tuple[NDArray, NDArray, NDArray]:
    """Sends each ray that hit a hole on behind it, until it meets solid surface or nothing."""
    t = np.where(found["primID"] >= 0, found["tfar"], np.inf).astype(np.float32)
    normals, faces = found["Ng"].copy(), found["primID"].copy()
    u, v = found["u"].copy(), found["v"].copy()
    going = np.flatnonzero(faces >= 0)
    for _ in range(MOST_HOLES):
        going = going[_in_hole(mesh, faces[going], u[going], v[going])]
        if not len(going):
            break
        start = np.nextafter(t[going] * np.float32(1 + 1e-6), np.float32(np.inf))
        again = _tree_of(mesh).run(origins[going] + start[:, None] * directions[going], directions[going], output=True)
        hit = again["primID"] >= 0
        t[going] = np.where(hit, start + again["tfar"], np.inf)
        normals[going], faces[going] = again["Ng"], again["primID"]
        u[going], v[going] = again["u"], again["v"]
        going = going[hit]
    return t, normals, faces


def _in_hole(mesh: Mesh, faces: NDArray, u: NDArray, v: NDArray) -> NDArray[np.bool_]:
    holes = np.zeros(len(faces), dtype=bool)
    for part in mesh.parts:
        mine = np.flatnonzero((faces >= part.face_start) & (faces < part.face_stop))
        if part.material.alpha_cutoff is None or not len(mine):
            continue
        alpha = _alpha_at(mesh, part.material, faces[mine], u[mine], v[mine])
        holes[mine] = alpha < part.material.alpha_cutoff
    return holes


def _alpha_at(mesh: Mesh, material: Material, faces: NDArray, u: NDArray, v: NDArray) -> NDArray[np.float64]:
    """Opacity at barycentric u, v of the faces: bilinear texture alpha times the base colour's (N,)."""
    alpha = np.full(len(faces), material.base_color[3])
    corners = mesh.faces[faces]
    weights = np.stack([1 - u - v, u, v], axis=1).astype(np.float64)
    if mesh.colors is not None:
        alpha *= (mesh.colors[corners, 3] / 255.0 * weights).sum(axis=1)
    if material.texture is not None and mesh.uv is not None:
        uv = (mesh.uv[corners].astype(np.float64) * weights[..., None]).sum(axis=1)
        alpha *= bilinear_wrapped(material.texture[..., 3], uv) / 255.0
    return alpha


def bilinear_wrapped(image: NDArray, uv: NDArray) -> NDArray[np.float64]:
    """`image` (H, W) sampled bilinearly at uv (N, 2), v = 0 at the bottom, repeating beyond 0..1; (N,) float64."""
    height, width = image.shape
    x = uv[:, 0] * width - 0.5
    y = (1 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = x - x0, y - y0
    left, right, top, bottom = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    upper = image[top, left] * (1 - fx) + image[top, right] * fx
    lower = image[bottom, left] * (1 - fx) + image[bottom, right] * fx
    return upper * (1 - fy) + lower * fy
