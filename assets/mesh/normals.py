"""Vertex normals for files without them: smooth over round surfaces, hard at the edges of cartons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from assets.mesh.types import cross_products

# Faces that meet at a larger angle keep a hard edge between them.
CREASE = np.radians(40)
# At a vertex with more corners than this (the hub of a fan) the face normals are kept.
MAX_CORNERS = 256
# Limit of compared pairs: a million triangles have 18 million, faces repeated dozens of times far more.
MAX_PAIRS = 30_000_000


def crease_normals(vertices: NDArray, faces: NDArray, crease: float = CREASE) -> NDArray[np.float64]:
    """Compute a unit normal for each corner of each face, (F, 3, 3) float64.

    It is the area-weighted mean normal of the faces at the corner's position (across texture seams) whose own normal is
    within `crease` radians of the corner's face.
    """
    crosses = cross_products(vertices[faces])
    lengths = np.linalg.norm(crosses, axis=1, keepdims=True)
    units = crosses / np.maximum(lengths, 1e-30)
    _, positions = np.unique(np.round(vertices, 7), axis=0, return_inverse=True)
    corners = positions.reshape(-1)[faces].ravel()
    owner = np.repeat(np.arange(len(faces)), 3)
    first, second = _meeting_corners(corners)
    alike = np.einsum("ij,ij->i", units[owner[first]], units[owner[second]]) > np.cos(crease)
    normals = crosses[owner].copy()
    for axis in range(3):
        added = np.bincount(first[alike], crosses[owner[second[alike]], axis], minlength=len(corners))
        normals[:, axis] += added
    size = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(size > 1e-20, normals / np.maximum(size, 1e-20), [0.0, 0.0, 1.0])
    return normals.reshape(-1, 3, 3)


def _meeting_corners(corners: NDArray) -> tuple[NDArray, NDArray]:
    """Return all ordered pairs of different corners at one position."""
    counts = np.bincount(corners)
    positions = np.bincount(np.minimum(counts, MAX_CORNERS + 1))[: MAX_CORNERS + 1]
    pairs_up_to = np.cumsum(positions * np.arange(len(positions)) ** 2)
    limit = np.flatnonzero(pairs_up_to <= MAX_PAIRS)[-1]  # where more corners meet they keep the normal of their face
    used = np.flatnonzero(counts[corners] <= limit)
    incidence = sparse.csr_matrix(
        (np.ones(len(used), np.int32), (used, corners[used])), shape=(len(corners), len(counts))
    )
    pairs = (incidence @ incidence.T).tocoo()
    different = pairs.row != pairs.col
    return pairs.row[different], pairs.col[different]
