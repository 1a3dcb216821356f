"""Levels of detail: the same shape and print in fewer triangles, for pictures in which nobody can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.raw_part import RawPart
from assets.mesh.simplify import simplify_part
from assets.mesh.types import Mesh, MeshPart

# Vertices of the source whose normal a corner may take, and how much further than the nearest they may lie: at a sharp
# edge a place has a normal for each side, and the nearest vertex may be of the other one.
CANDIDATES = 6
AS_NEAR = 1.5


def lighter_mesh(mesh: Mesh, faces: int) -> Mesh:
    """A mesh of one part in about `faces` faces, by quadric error; texture coordinates and colours are carried over.

    Its material has no texture: worn copies of the mesh share one lighter mesh, each with its own picture.
    Raises ValueError for a mesh of several parts, whose borders would gape.
    """
    if len(mesh.parts) != 1:
        raise ValueError(f"a lighter mesh needs one part, found {len(mesh.parts)}")
    material = replace(mesh.parts[0].material, texture=None)
    uv = None if mesh.uv is None else mesh.uv.astype(np.float64)
    part = RawPart(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), material, uv, None, mesh.colors)
    light = simplify_part(part, faces)
    a, b, c = light.vertices[light.faces].transpose(1, 0, 2)
    light = replace(light, faces=light.faces[(np.cross(b - a, c - a) != 0).any(axis=1)])
    # Every face with corners of its own: seams and sharp edges stay what they are.
    corners = light.faces.ravel()
    return Mesh(
        key=f"{mesh.shape_key}-{faces}faces",
        vertices=light.vertices[corners].astype(np.float32),
        faces=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        normals=_normals(mesh, light.vertices[light.faces]),
        parts=(MeshPart(0, len(light.faces), material),),
        uv=None if light.uv is None else light.uv[corners].astype(np.float32),
        colors=None if light.colors is None else light.colors[corners],
    )


def _normals(mesh: Mesh, triangles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Normals (3 F, 3) of the corners of triangles (F, 3, 3): of the vertex beside each that looks most their way."""
    from scipy.spatial import cKDTree

    flat = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    distance, near = cKDTree(mesh.vertices).query(triangles.reshape(-1, 3), k=min(CANDIDATES, len(mesh.vertices)))
    distance, near = distance.reshape(len(near), -1), near.reshape(len(near), -1)
    facing = np.einsum("nkd,nd->nk", mesh.normals[near], np.repeat(flat, 3, axis=0))
    facing[distance > AS_NEAR * distance[:, :1] + 1e-6] = -np.inf
    return mesh.normals[near[np.arange(len(near)), facing.argmax(axis=1)]]
