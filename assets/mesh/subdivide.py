"""Subdivision: long edges are split until a mesh has enough vertices to be bent, without opening it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh

# Faces, above which nothing more is split: the number of a dense scan.
MAX_FACES = 24_000
MAX_ROUNDS = 12


def split_long_edges(mesh: Mesh, longest_m: float, *, max_faces: int = MAX_FACES) -> Mesh:
    """Return the mesh with all edges over `longest_m` metres halved, as often as needed; same surface, parts and key.

    Edges are split on both of their sides, so a closed mesh stays closed. It ends early beyond `max_faces` faces.
    """
    for _ in range(MAX_ROUNDS):
        corners = mesh.vertices[mesh.faces]
        long = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2) > longest_m
        if not long.any() or len(mesh.faces) + long.sum() > max_faces:
            break
        mesh = _split(mesh, long)
    return mesh


def _split(mesh: Mesh, long: NDArray[np.bool_]) -> Mesh:
    """Split the edges (F, 3) bool; edge k of a face runs from its corner k to the next one."""
    count = len(mesh.vertices)
    ends = np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=2), axis=2).astype(np.int64)
    codes, which = np.unique(ends[long] @ [count, 1], return_inverse=True)
    pairs = np.stack([codes // count, codes % count], axis=1)
    middles = np.full(mesh.faces.shape, -1, np.int64)
    middles[long] = count + which.ravel()
    faces, owners = _pieces_of(mesh.faces.astype(np.int64), middles, long)
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], [part.face_start for part in mesh.parts] + [len(mesh.faces)])
    parts = tuple(
        replace(part, face_start=int(start), face_stop=int(stop))
        for part, start, stop in zip(mesh.parts, starts[:-1], starts[1:], strict=True)
    )
    normals = _with_means(mesh.normals, pairs)
    return replace(
        mesh,
        vertices=_with_means(mesh.vertices, pairs),
        faces=faces[order].astype(np.int32),
        normals=normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30),
        uv=None if mesh.uv is None else _with_means(mesh.uv, pairs),
        colors=None if mesh.colors is None else np.rint(_with_means(mesh.colors.astype(np.float64), pairs)),
        parts=parts,
    )


def _with_means(values: NDArray, pairs: NDArray) -> NDArray:
    # A sum of two is the same in either order, so both sides of a seam get equal positions.
    return np.concatenate([values, (values[pairs[:, 0]] + values[pairs[:, 1]]) / 2])


def _pieces_of(
    faces: NDArray[np.int64], middles: NDArray[np.int64], long: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pieces (P, 3) of all faces and the face of each (P,)."""
    number = long.sum(axis=1)
    # Turned so that the first edge is the long one of one, and the last one the short one of three.
    shift = np.where(number == 1, long.argmax(axis=1), np.where(number == 2, long.argmin(axis=1) + 1, 0))
    turned = (shift[:, None] + np.arange(3)) % 3
    table = np.concatenate([np.take_along_axis(faces, turned, 1), np.take_along_axis(middles, turned, 1)], axis=1)
    pieces, owners = [], []
    for split, patterns in enumerate(PATTERNS):
        mine = np.flatnonzero(number == split)
        for pattern in patterns:
            pieces.append(table[mine][:, pattern])
            owners.append(mine)
    return np.concatenate(pieces), np.concatenate(owners)


# Pieces of a face by the number of its split edges: 0 to 2 are its corners, 3 to 5 the middles of the edges after them.
PATTERNS = (
    ((0, 1, 2),),
    ((0, 3, 2), (3, 1, 2)),
    ((3, 1, 4), (0, 3, 4), (0, 4, 2)),
    ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
)
