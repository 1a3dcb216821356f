"""Levels of detail: the same shape and print with fewer triangles, for images in which the difference is invisible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.raw_part import RawPart
from assets.mesh.simplify import simplify_part
from assets.mesh.types import Mesh, MeshPart

# Source vertices whose normal a corner may take, and their maximal distance relative to the nearest: a sharp edge has a
# normal for each side, and the nearest vertex may be that of the other side.
CANDIDATES = 6
MAX_DISTANCE_RATIO = 1.5


def lighter_mesh(mesh: Mesh, faces: int) -> Mesh:
    """Simplify a mesh of one part to about `faces` faces by quadric error; texture coordinates and colours are kept.

    The material has no texture: worn copies of the mesh share one lighter mesh, each with its own texture.
    Raises ValueError for a mesh of several parts, because gaps would open between them.
    """
    if len(mesh.parts) != 1:
        raise ValueError(f"a lighter mesh needs one part, found {len(mesh.parts)}")
    material = replace(mesh.parts[0].material, texture=None)
    uv = None if mesh.uv is None else mesh.uv.astype(np.float64)
    part = RawPart(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), material, uv, None, mesh.colors)
    light = simplify_part(part, faces)
    a, b, c = light.vertices[light.faces].transpose(1, 0, 2)
    light = replace(light, faces=light.faces[(np.cross(b - a, c - a) != 0).any(axis=1)])
    # Faces share no corners, so that seams and sharp edges are kept.
    corners = light.faces.ravel()
    return Mesh(
        key=f"{mesh.shape_key}-{faces}faces",
        vertices=light.vertices[corners].astype(np.float32),
        faces=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        normals=_transfer_normals(mesh, light.vertices[light.faces]),
        parts=(MeshPart(0, len(light.faces), material),),
        uv=None if light.uv is None else light.uv[corners].astype(np.float32),
        colors=None if light.colors is None else light.colors[corners],
    )


def _transfer_normals(mesh: Mesh, triangles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return normals (3 F, 3) of the corners of triangles (F, 3, 3): the best aligned of the nearest vertices."""
    from scipy.spatial import cKDTree

    flat = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    distance, near = cKDTree(mesh.vertices).query(triangles.reshape(-1, 3), k=min(CANDIDATES, len(mesh.vertices)))
    distance, near = distance.reshape(len(near), -1), near.reshape(len(near), -1)
    facing = np.einsum("nkd,nd->nk", mesh.normals[near], np.repeat(flat, 3, axis=0))
    facing[distance > MAX_DISTANCE_RATIO * distance[:, :1] + 1e-6] = -np.inf
    return mesh.normals[near[np.arange(len(near)), facing.argmax(axis=1)]]
