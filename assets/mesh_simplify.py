"""Meshes of millions of triangles made lighter, textures kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh_part import RawPart

# A product of more faces is decimated to KEPT_FACES: at arm's length a face is then smaller than a pixel.
MOST_FACES = 200_000
KEPT_FACES = 100_000


def simplify_part(part: RawPart, faces: int) -> RawPart:
    """The part with about `faces` faces, by quadric error (Garland and Heckbert 1997); uv and colours carried over.

    Each new face takes over the flat map from space to texture of the old face nearest to its middle, so that texture
    seams stay sharp; vertices are therefore no longer shared between faces where there is a texture.
    """
    import fast_simplification

    positions, inverse = np.unique(part.vertices, axis=0, return_inverse=True)
    welded = inverse.reshape(-1)[part.faces]
    welded = welded[(welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])]
    reduction = 1 - faces / max(len(welded), 1)
    if reduction <= 0:
        return part
    light = fast_simplification.simplify(positions, welded.astype(np.int64), target_reduction=reduction)
    vertices, triangles = np.asarray(light[0], np.float64), np.asarray(light[1], np.int64)
    if part.uv is None and part.colors is None:
        return replace(part, vertices=vertices, faces=triangles, normals=None)
    return _carry_over(part, vertices, triangles)


def _carry_over(part: RawPart, vertices: NDArray, triangles: NDArray) -> RawPart:
    from scipy.spatial import cKDTree

    middles = part.vertices[part.faces].mean(axis=1)
    _, nearest = cKDTree(middles).query(vertices[triangles].mean(axis=1))
    corners = vertices[triangles]
    weights = _barycentric(part.vertices[part.faces[nearest]], corners)
    old = part.faces[nearest]
    uv = None if part.uv is None else np.einsum("fcw,fwd->fcd", weights, part.uv[old]).reshape(-1, 2)
    colors = None
    if part.colors is not None:
        mixed = np.einsum("fcw,fwd->fcd", np.clip(weights, 0, 1), part.colors[old].astype(np.float64))
        colors = np.clip(mixed.reshape(-1, 4) + 0.5, 0, 255).astype(np.uint8)
    faces = np.arange(3 * len(triangles)).reshape(-1, 3)
    return replace(part, vertices=corners.reshape(-1, 3), faces=faces, uv=uv, colors=colors, normals=None)


def _barycentric(old: NDArray, points: NDArray) -> NDArray[np.float64]:
    """Weights (F, 3, 3) of three points each in the planes of F old triangles; kept within one triangle around it."""
    first, second = old[:, 1] - old[:, 0], old[:, 2] - old[:, 0]
    offsets = points - old[:, None, 0]
    d00, d01 = (first * first).sum(1), (first * second).sum(1)
    d11 = (second * second).sum(1)
    determinant = np.maximum(d00 * d11 - d01 * d01, 1e-30)[:, None]
    d20 = np.einsum("fcd,fd->fc", offsets, first)
    d21 = np.einsum("fcd,fd->fc", offsets, second)
    v = (d11[:, None] * d20 - d01[:, None] * d21) / determinant
    w = (d00[:, None] * d21 - d01[:, None] * d20) / determinant
    return np.clip(np.stack([1 - v - w, v, w], axis=2), -4, 5)
