"""In which poses a convex body comes to rest on a table, and how often.

Goldberg et al., "Part pose statistics" (1999), without noise: a body thrown at random lands on a face of its hull with
the share of the sphere that the face covers seen from the centre of mass, and topples from face to face, each time over
the edge beyond which that centre lies, until it stands. The same as trimesh.poses.compute_stable_poses, which goes
through the faces one by one and takes thirty times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Faces whose normals agree to so many decimals are one side of the body.
DECIMALS = 3
SHARE_DECIMALS = 6


def stable_poses(hull: Any, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotations (R, 3, 3), table_from_object, and their shares (R,) of all throws, the most frequent first.

    hull: a trimesh.Trimesh, convex and closed. least: poses with no larger share are left out. Raises ValueError where
    the hull is not closed, or has no volume.
    """
    count = len(hull.faces)
    pairs = hull.face_adjacency
    if len(pairs) * 2 != count * 3 or not np.bincount(pairs.ravel(), minlength=count).tolist() == [3] * count:
        raise ValueError("the hull is not closed")
    middle = hull.center_mass
    if not (np.einsum("ij,ij->i", middle - hull.triangles_center, hull.face_normals) < 0).all():
        raise ValueError("the hull has no volume")
    shares = np.bincount(_ends(_next_faces(hull, middle)), _landing_shares(hull.triangles, middle), minlength=count)
    return _poses(hull.face_normals, shares, least)


def _landing_shares(triangles: NDArray, middle: NDArray) -> NDArray[np.float64]:
    """(F,) share of the sphere about `middle` (3,) that each triangle (F, 3, 3) covers, by l'Huilier's formula."""
    rays = triangles - middle
    rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    sides = [np.arccos(np.clip(np.einsum("ij,ij->i", rays[:, k], rays[:, (k + 1) % 3]), -1, 1)) for k in range(3)]
    half = sum(sides) / 2
    product = np.tan(half / 2) * np.prod([np.tan((half - side) / 2) for side in sides], axis=0)
    # Slivers come out a hair below nothing.
    return np.arctan(np.sqrt(np.maximum(product, 0))) / np.pi


def _next_faces(hull: Any, middle: NDArray) -> NDArray[np.int64]:
    """(F,) the face that the body topples to from each face, that face itself where it stands."""
    from trimesh.triangles import points_to_barycentric

    triangles, normals = hull.triangles, hull.face_normals
    below = middle - np.einsum("ij,ij->i", normals, middle - triangles[:, 0])[:, None] * normals
    falls = np.flatnonzero((points_to_barycentric(triangles, below) < 0).any(axis=1))
    following = np.arange(len(triangles))
    neighbours, edges = _neighbours(hull)
    if not len(falls):
        return following
    centre, normal = hull.triangles_center[falls][:, None], normals[falls][:, None]
    first, second = (hull.vertices[edges[falls]][:, :, k] for k in range(2))
    turned = np.einsum("ijk,ijk->ij", np.cross(first - centre, second - centre), normal + np.zeros_like(first)) < 0
    first, second = np.where(turned[..., None], second, first), np.where(turned[..., None], first, second)
    point = below[falls][:, None]
    between = (_side(centre, first, first + normal, point) >= 0) & (_side(centre, second + normal, second, point) >= 0)
    # The last edge where rounding leaves the point between none.
    chosen = np.where(between.any(axis=1), between.argmax(axis=1), 2)
    following[falls] = neighbours[falls, chosen]
    return following


def _neighbours(hull: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(F, 3) the faces beside each face, and (F, 3, 2) the vertices of the edges towards them."""
    pairs, edges = hull.face_adjacency, hull.face_adjacency_edges
    own, other, shared = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]]), edges
    order = np.lexsort([np.tile(np.arange(len(pairs)), 2), own])
    return other[order].reshape(-1, 3), np.concatenate([shared, shared])[order].reshape(-1, 3, 2)


def _side(a: NDArray, b: NDArray, c: NDArray, point: NDArray) -> NDArray[np.float64]:
    """Above 0 where `point` is on the one side of the plane through a, b and c, below on the other; (..., 3) each."""
    return np.einsum("...k,...k->...", a - point, np.cross(b - point, c - point))


def _ends(following: NDArray[np.int64]) -> NDArray[np.int64]:
    """(F,) where the body comes to rest that lands on each face. Steps are doubled: faces are few powers of two."""
    for _ in range(len(following).bit_length()):
        following = following[following]
    return following


def _poses(normals: NDArray, shares: NDArray, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rests = np.flatnonzero(shares > 0)
    keys = np.round(normals[rests], DECIMALS) + 0.0  # no two zeros
    sides, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(group.ravel(), shares[rests])
    # By rounded shares: those of a round body's sides are equal but for the last digits, which no machine agrees upon.
    order = np.lexsort([*sides.T[::-1], -np.round(total, SHARE_DECIMALS)])
    order = order[total[order] > least]
    rotations = [_upwards(-normals[rests[first[k]]]) for k in order]
    return np.array(rotations).reshape(-1, 3, 3), total[order]


def _upwards(up: NDArray) -> NDArray[np.float64]:
    """The rotation that takes the object's direction `up` (3,) to +Z."""
    x = np.array([-up[1], up[0], 0.0])
    length = np.linalg.norm(x)
    x = x / length if length else np.array([1.0, 0.0, 0.0])
    y = np.cross(up, x)
    return np.array([x, y / np.linalg.norm(y), up])
