"""What one sees of a mesh from far away: silhouettes and colours, traced without any renderer."""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray

from assets.mesh.types import Mesh

# Looking along +Y with +X to the right and +Z up; looking down with +X to the right and +Y up.
FRONT = (np.array([1.0, 0, 0]), np.array([0.0, 0, 1]))
ABOVE = (np.array([1.0, 0, 0]), np.array([0.0, 1, 0]))


def view(
    mesh: Mesh, columns: int, rows: int, axes: tuple[NDArray, NDArray] = FRONT
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Silhouette (rows, columns) and sRGB colours (rows, columns, 3) of a mesh that fills the image."""
    right, up = axes
    low, high = mesh.bounds.astype(float)
    across, along = np.meshgrid((np.arange(columns) + 0.5) / columns, 1 - (np.arange(rows) + 0.5) / rows)
    towards = np.cross(right, up)  # from the viewer's side
    start = (low + high) / 2 + (high - low) * ((across[..., None] - 0.5) * right + (along[..., None] - 0.5) * up)
    far = float(np.linalg.norm(high - low))
    start = start - towards * (start @ towards)[..., None] + towards * (far + np.abs(mesh.bounds).max())
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    rays = np.broadcast_to(-towards, start.shape).reshape(-1, 3)
    hit = solid.ray.intersects_first(start.reshape(-1, 3), rays)
    colors = np.zeros((rows * columns, 3), np.uint8)
    seen = np.flatnonzero(hit >= 0)
    colors[seen] = _colors(mesh, hit[seen], start.reshape(-1, 3)[seen], -towards)
    return (hit >= 0).reshape(rows, columns), colors.reshape(rows, columns, 3)


def _colors(mesh: Mesh, faces: NDArray, start: NDArray, direction: NDArray) -> NDArray[np.uint8]:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces[faces]].astype(float), 1, 0)
    # Solve a + s (b - a) + t (c - a) = start + l * direction.
    matrices = np.stack([b - a, c - a, np.broadcast_to(-direction, a.shape)], axis=2)
    s, t, _ = np.linalg.solve(matrices, (start - a)[..., None])[..., 0].T
    weights = np.stack([1 - s - t, s, t], axis=1)
    assert mesh.uv is not None
    uv = np.einsum("nk,nkd->nd", weights, mesh.uv[mesh.faces[faces]].astype(float))
    colors = np.zeros((len(faces), 3), np.uint8)
    for part in mesh.parts:
        mine = (faces >= part.face_start) & (faces < part.face_stop)
        texture = part.material.texture
        if texture is None:
            colors[mine] = np.round(part.material.base_color[:3] ** (1 / 2.2) * 255)
        else:
            rows = np.clip((1 - uv[mine, 1]) * texture.shape[0], 0, texture.shape[0] - 1).astype(int)
            columns = np.clip(uv[mine, 0] * texture.shape[1], 0, texture.shape[1] - 1).astype(int)
            colors[mine] = texture[rows, columns, :3]
    return colors
