"""Mesh under construction from grid patches, each with its material."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.mesh.load import mesh_key
from assets.mesh.types import Material, Mesh, MeshPart


class Pieces:
    """Surface patches that together form a closed package.

    Neighbouring patches have exactly the same positions along their border, which makes the surface watertight.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[NDArray, NDArray, NDArray]] = []
        self._faces: list[NDArray] = []
        self._materials: list[Material] = []
        self._corners = 0

    def add(self, corners: NDArray, normals: NDArray, uv: NDArray, faces: NDArray, material: Material) -> None:
        """Add arbitrary triangles: (V, 3), (V, 3), (V, 2), (F, 3) counter-clockwise seen from outside."""
        self._blocks.append((corners, normals, uv))
        self._faces.append(faces + self._corners)
        self._materials.append(material)
        self._corners += len(corners)

    def add_patch(
        self,
        points: NDArray,
        uv: NDArray,
        material: Material,
        *,
        normal: NDArray | None = None,
        around: bool = False,
    ) -> None:
        """Add a grid of points (R, C, 3): seen from outside, rows go up and columns to the right; uv (R, C, 2).

        normal: (3,) of a flat patch, else computed from the grid. around: the last column equals the first.
        """
        rows, columns = points.shape[:2]
        if normal is None:
            normals = _grid_normals(points, around).reshape(-1, 3)
        else:
            normals = np.broadcast_to(normal, (rows * columns, 3))
        faces = grid_faces(rows, columns)
        self.add(
            points.reshape(-1, 3), normals, np.broadcast_to(uv, (rows, columns, 2)).reshape(-1, 2), faces, material
        )

    def add_copies(self, mesh: Mesh, offsets: NDArray) -> None:
        """Add copies of a finished mesh at offsets (K, 3); they share their materials."""
        count, copies = len(mesh.vertices), len(offsets)
        corners = (mesh.vertices[None].astype(np.float64) + offsets[:, None]).reshape(-1, 3)
        normals = np.tile(mesh.normals.astype(np.float64), (copies, 1))
        uv = np.zeros((count, 2)) if mesh.uv is None else mesh.uv.astype(np.float64)
        for part in mesh.parts:
            faces = mesh.faces[part.face_start : part.face_stop].astype(np.int64)
            moved = (faces[None] + (np.arange(copies) * count)[:, None, None]).reshape(-1, 3)
            self._faces.append(moved + self._corners)
            self._materials.append(part.material)
        self._blocks.append((corners, normals, np.tile(uv, (copies, 1))))
        self._corners += len(corners)

    def mesh(self, size: NDArray, turn: NDArray | None = None) -> Mesh:
        """Return the mesh, rotated by `turn` (3, 3), scaled to exactly `size` metres and standing on z = 0."""
        corners, normals, uv = (np.concatenate(columns) for columns in zip(*self._blocks, strict=True))
        if turn is not None:
            corners, normals = corners @ turn.T, normals @ turn.T
        low, high = corners.min(axis=0), corners.max(axis=0)
        stretch = size / (high - low)
        corners = (corners - [*(low + high)[:2] / 2, low[2]]) * stretch
        return self._finish(corners, normals / stretch, np.clip(uv, 0, 1))

    def as_built(self) -> Mesh:
        """Return the mesh in the frame in which it was built; textures may repeat."""
        corners, normals, uv = (np.concatenate(columns) for columns in zip(*self._blocks, strict=True))
        return self._finish(corners, normals, uv)

    def _finish(self, corners: NDArray, normals: NDArray, uv: NDArray) -> Mesh:
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
        vertices = corners.astype(np.float32)
        faces, parts = self._merge_parts(vertices)
        arrays: dict[str, Any] = {
            "vertices": vertices,
            "normals": normals.astype(np.float32),
            "faces": faces.astype(np.int32),
            "uv": uv.astype(np.float32),
        }
        return Mesh(key=mesh_key(parts, **arrays), parts=parts, **arrays)

    def _merge_parts(self, vertices: NDArray[np.float32]) -> tuple[NDArray, tuple[MeshPart, ...]]:
        """Return all faces, grouped by material, without those that have two corners at the same position."""
        groups: dict[int, list[NDArray]] = {}
        materials: dict[int, Material] = {}
        for faces, material in zip(self._faces, self._materials, strict=True):
            groups.setdefault(id(material), []).append(faces)
            materials[id(material)] = material
        found: list[NDArray] = []
        parts: list[MeshPart] = []
        start = 0
        for number, blocks in groups.items():
            faces = np.concatenate(blocks)
            corners = vertices[faces]
            empty = (corners == corners[:, [1, 2, 0]]).all(axis=2).any(axis=1)
            faces = faces[~empty]
            if len(faces):
                found.append(faces)
                parts.append(MeshPart(start, start + len(faces), materials[number]))
                start += len(faces)
        return np.concatenate(found), tuple(parts)


def grid_faces(rows: int, columns: int) -> NDArray[np.int64]:
    """Return two triangles per grid cell, (F, 3), counter-clockwise if columns go right and rows up."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([first, first + 1, first + columns + 1], axis=1)
    upper = np.stack([first, first + columns + 1, first + columns], axis=1)
    return np.concatenate([lower, upper])


def _grid_normals(points: NDArray, around: bool) -> NDArray[np.float64]:
    """Compute normals (R, C, 3) from finite differences, one-sided at the grid's borders unless it goes around."""
    across = np.gradient(points, axis=1)
    if around:
        across[:, [0, -1]] = (points[:, 1] - points[:, -2])[:, None] / 2
    along = np.gradient(points, axis=0)
    # Sizes range from half a millimetre to metres: only directions count, not lengths.
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-300)
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-300)
    normals = np.cross(across, along)
    lengths = np.linalg.norm(normals, axis=2, keepdims=True)
    if (lengths < 1e-9).any():  # where rows meet in a point: mean of the patch
        normals = np.where(lengths < 1e-9, normals.sum(axis=(0, 1)) + [0, 0, 1e-12], normals)
        lengths = np.linalg.norm(normals, axis=2, keepdims=True)
    return normals / lengths
