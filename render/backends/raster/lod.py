"""Levels of detail: lighter meshes for small images and shadows, and meshes whose back faces are never visible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.mesh.simplify import weld

# Number of faces of the lighter copies of a scan, and the number above which it gets any.
LEVELS = (4000, 1000)
DENSE = 6000
# Faces that a mesh needs per squared pixel of its diagonal in the image: a visible face then covers about 2 pixels.
# Thirty scans of 18,000 faces: PSNR of 40 dB to the full meshes, all differing ids within a pixel of outlines.
FACES_PER_PX2 = 0.5
# A product covers 100 to 400 texels of a shadow map, in which more triangles than this cannot be distinguished.
SHELL_FACES = 600
# Vertices closer than this share of the diagonal are merged: the ends of a lathed shape's seam differ by rounding.
SEAM = 1e-6
# Six times a volume in cubed diagonals: a piece that encloses less is a sheet with two visible sides.
FLAT = 1e-9


def shadow_shell(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]] | None:
    """Simplify a shape to about SHELL_FACES triangles: (V, 3) float32 metres, (F, 3) int32; None if it has few."""
    if len(faces) <= 2 * SHELL_FACES:
        return None
    import fast_simplification

    points, merged = weld(vertices, faces)
    points, found = fast_simplification.simplify(points, merged, target_count=SHELL_FACES)
    return points.astype(np.float32), found.astype(np.int32)


def level_for(levels: Sequence[int], diagonal_px: float) -> int:
    """Return the number of the lightest level whose image cannot be distinguished from that of the full mesh.

    levels: numbers of faces, decreasing. diagonal_px: of the mesh's box in the image, pixels.
    """
    needed = FACES_PER_PX2 * diagonal_px**2
    enough = [number for number, faces in enumerate(levels) if faces >= needed]
    return max(enough, default=0)


def open_area(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> float:
    """Return the area of the holes through which back faces are visible from outside, in squared diagonals of the box.

    inf if a piece of the surface faces inwards or encloses nothing. vertices (V, 3), faces (F, 3).
    """
    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    points, merged = weld(np.round(vertices.astype(np.float64) / max(size * SEAM, 1e-12)), faces)
    points = points * SEAM  # in diagonals
    if not len(merged):
        return np.inf
    a, b, c = (points - points.mean(axis=0))[merged].transpose(1, 0, 2)
    piece = _pieces(merged.ravel(), np.roll(merged, -1, axis=1).ravel(), len(points))[merged[:, 0]]
    volume = np.bincount(piece, np.einsum("ij,ij->i", a, np.cross(b, c)))
    return _hole_area(points, merged) if (volume[np.unique(piece)] > FLAT).all() else np.inf


def _hole_area(points: NDArray[np.float64], faces: NDArray) -> float:
    """Return the area of the holes, each the vector area of its rim, which is 0 for a slit between coinciding edges."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    unique, which = np.unique(low * len(points) + high, return_inverse=True)
    # How many more faces use an edge in one direction than in the other.
    surplus = np.bincount(which.ravel(), np.where(start < end, 1, -1), len(unique))
    open_edges = np.flatnonzero(surplus)
    if not len(open_edges):
        return 0.0
    tail, head = unique[open_edges] // len(points), unique[open_edges] % len(points)
    areas = np.cross(points[tail], points[head]) * surplus[open_edges, None] / 2
    rim = _pieces(tail, head, len(points))[tail]
    return float(np.linalg.norm([np.bincount(rim, axis) for axis in areas.T], axis=0).sum())


def _pieces(start: NDArray, end: NDArray, count: int) -> NDArray[np.int32]:
    """Return the connected component of each of `count` points, linked by edges from `start` to `end`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(start), bool), (start, end)), shape=(count, count))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels
