"""Stable poses of a convex body on a table, with their probabilities.

Goldberg et al., "Part pose statistics" (1999), without noise: a body thrown at random lands on a face of its hull with
a probability proportional to the solid angle of the face at the centre of mass, then topples over the edge beyond which
that centre lies, from face to face, until it is stable. Same result as trimesh.poses.compute_stable_poses, which loops
over the faces and takes thirty times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Faces whose normals agree to this many decimals are one side of the body.
DECIMALS = 3
SHARE_DECIMALS = 6


def stable_poses(hull: Any, threshold: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotations (R, 3, 3), table_from_object, and their probabilities (R,), the most frequent first.

    hull: a trimesh.Trimesh, convex and closed. threshold: only poses with a larger probability are returned. Raises
    ValueError if the hull is not closed or has no volume.
    """
    count = len(hull.faces)
    pairs = hull.face_adjacency
    if len(pairs) * 2 != count * 3 or not np.bincount(pairs.ravel(), minlength=count).tolist() == [3] * count:
        raise ValueError("the hull is not closed")
    middle = hull.center_mass
    if not (np.einsum("ij,ij->i", middle - hull.triangles_center, hull.face_normals) < 0).all():
        raise ValueError("the hull has no volume")
    shares = np.bincount(
        _final_faces(_next_faces(hull, middle)), _landing_shares(hull.triangles, middle), minlength=count
    )
    return _rank_poses(hull.face_normals, shares, threshold)


def _landing_shares(triangles: NDArray, middle: NDArray) -> NDArray[np.float64]:
    """Return the fraction (F,) of the sphere about `middle` (3,) covered by each triangle (F, 3, 3) (l'Huilier)."""
    rays = triangles - middle
    rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    sides = [np.arccos(np.clip(np.einsum("ij,ij->i", rays[:, k], rays[:, (k + 1) % 3]), -1, 1)) for k in range(3)]
    half = sum(sides) / 2
    product = np.tan(half / 2) * np.prod([np.tan((half - side) / 2) for side in sides], axis=0)
    # Rounding makes slivers slightly negative.
    return np.arctan(np.sqrt(np.maximum(product, 0))) / np.pi


def _next_faces(hull: Any, middle: NDArray) -> NDArray[np.int64]:
    """Return the face (F,) that the body topples to from each face; the same face if it is stable."""
    from trimesh.triangles import points_to_barycentric

    triangles, normals = hull.triangles, hull.face_normals
    below = middle - np.einsum("ij,ij->i", normals, middle - triangles[:, 0])[:, None] * normals
    falls = np.flatnonzero((points_to_barycentric(triangles, below) < 0).any(axis=1))
    successor = np.arange(len(triangles))
    neighbours, edges = _find_neighbours(hull)
    if not len(falls):
        return successor
    centre, normal = hull.triangles_center[falls][:, None], normals[falls][:, None]
    first, second = (hull.vertices[edges[falls]][:, :, k] for k in range(2))
    turned = np.einsum("ijk,ijk->ij", np.cross(first - centre, second - centre), normal + np.zeros_like(first)) < 0
    first, second = np.where(turned[..., None], second, first), np.where(turned[..., None], first, second)
    point = below[falls][:, None]
    between = (_side(centre, first, first + normal, point) >= 0) & (_side(centre, second + normal, second, point) >= 0)
    # The last edge if rounding leaves the point between none.
    chosen = np.where(between.any(axis=1), between.argmax(axis=1), 2)
    successor[falls] = neighbours[falls, chosen]
    return successor


def _find_neighbours(hull: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the neighbours (F, 3) of each face, and the vertices (F, 3, 2) of the edges to them."""
    pairs, edges = hull.face_adjacency, hull.face_adjacency_edges
    own, other, shared = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]]), edges
    order = np.lexsort([np.tile(np.arange(len(pairs)), 2), own])
    return other[order].reshape(-1, 3), np.concatenate([shared, shared])[order].reshape(-1, 3, 2)


def _side(a: NDArray, b: NDArray, c: NDArray, point: NDArray) -> NDArray[np.float64]:
    """Return a number whose sign is the side of the plane through a, b, c that `point` is on; all (..., 3)."""
    return np.einsum("...k,...k->...", a - point, np.cross(b - point, c - point))


def _final_faces(successor: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the face (F,) on which a body landing on each face comes to rest, by pointer doubling."""
    for _ in range(len(successor).bit_length()):
        successor = successor[successor]
    return successor


def _rank_poses(normals: NDArray, shares: NDArray, threshold: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rests = np.flatnonzero(shares > 0)
    keys = np.round(normals[rests], DECIMALS) + 0.0  # no negative zeros
    sides, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(group.ravel(), shares[rests])
    # Shares are rounded: those of a round body's sides differ only in the last digits, which depend on the machine.
    order = np.lexsort([*sides.T[::-1], -np.round(total, SHARE_DECIMALS)])
    order = order[total[order] > threshold]
    rotations = [_rotation_to_z(-normals[rests[first[k]]]) for k in order]
    return np.array(rotations).reshape(-1, 3, 3), total[order]


def _rotation_to_z(up: NDArray) -> NDArray[np.float64]:
    """Return the rotation that takes the object's direction `up` (3,) to +Z."""
    x = np.array([-up[1], up[0], 0.0])
    length = np.linalg.norm(x)
    x = x / length if length else np.array([1.0, 0.0, 0.0])
    y = np.cross(up, x)
    return np.array([x, y / np.linalg.norm(y), up])
