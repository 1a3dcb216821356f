"""Bodies of revolution: smooth strips between the hard edges of an outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Outline = list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Strip:
    """Swept outline. corners, normals: (V, 3) metres. uv: (V, 2), u 0..1 around, v 0..1 along. faces: (F, 3) outward.

    length: of the outline, metres.
    """

    corners: NDArray[np.float64]
    normals: NDArray[np.float64]
    uv: NDArray[np.float64]
    faces: NDArray[np.int64]
    length: float


def sweep(outline: Outline, segments: int, start: float = 0.0) -> Strip:
    """Sweep a smooth outline of (radius, height) about Z, counter-clockwise from angle `start`.

    Outside is to the right of the outline: it goes upwards on the outer wall, inwards on top.
    """
    points = np.array(outline, dtype=np.float64)
    r, z = points.T
    along = np.gradient(points, axis=0)
    around = np.linspace(0, 1, segments + 1)
    cosine, sine = np.cos(start + 2 * np.pi * around), np.sin(start + 2 * np.pi * around)
    level = np.ones_like(around)
    corners = np.stack([np.outer(r, cosine), np.outer(r, sine), np.outer(z, level)], axis=-1).reshape(-1, 3)
    outward, up = along[:, 1], -along[:, 0]
    normals = np.stack([np.outer(outward, cosine), np.outer(outward, sine), np.outer(up, level)], axis=-1).reshape(
        -1, 3
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    steps = np.concatenate([[0], np.cumsum(np.hypot(np.diff(r), np.diff(z)))])
    share = steps / max(float(steps[-1]), 1e-12)
    uv = np.stack([np.tile(around, len(r)), np.repeat(share, segments + 1)], axis=1)
    return Strip(corners, normals, uv, _grid_faces(corners, len(r), segments + 1), float(steps[-1]))


def _grid_faces(corners: NDArray, rows: int, columns: int) -> NDArray[np.int64]:
    """Return two triangles per cell of the vertex grid, without degenerate ones at an apex."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
    lower = np.stack([first, first + 1, first + columns + 1], axis=1)
    upper = np.stack([first, first + columns + 1, first + columns], axis=1)
    faces = np.concatenate([lower, upper])
    a, b, c = (corners[faces[:, corner]] for corner in range(3))
    return faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
