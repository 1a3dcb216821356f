"""Simplification of meshes with millions of triangles, keeping textures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh, MeshPart, RawPart, cross_products

# A product with more faces is decimated to KEPT_FACES: at arm's length a face is then still smaller than a pixel.
MAX_FACES = 200_000
KEPT_FACES = 100_000
# Nearest source faces (by centre) that a corner's texture coordinate may come from.
CANDIDATES = 8
CHUNK = 50_000
# A face whose texture is stretched more than this, relative to its surroundings, spans a cut.
MAX_STRETCH = 4.0
# Slivers without area would be split endlessly: splitting stops at this number of faces.
MAX_SPLIT = 1_000_000
# Source vertices whose normal a corner may take, and their maximal distance relative to the nearest: a sharp edge has a
# normal for each side, and the nearest vertex may be that of the other side.
CANDIDATES = 6
MAX_DISTANCE_RATIO = 1.5


def simplify_part(part: RawPart, faces: int) -> RawPart:
    """Simplify a part to about `faces` faces by quadric error (Garland and Heckbert 1997); uv and colours are kept.

    Flat regions collapse to a few huge faces, too large for a linear texture mapping: they are split again. Each corner
    then takes the texture coordinate of the nearest point on the chart of its face, so that seams stay sharp; faces of
    textured parts therefore share no vertices.
    """
    import fast_simplification

    positions, welded = weld(part.vertices, part.faces)
    reduction = 1 - faces / max(len(welded), 1)
    if reduction <= 0:
        return part
    light = fast_simplification.simplify(positions, welded, target_reduction=reduction)
    vertices, triangles = np.asarray(light[0], np.float64), np.asarray(light[1], np.int64)
    if part.uv is None and part.colors is None:
        return replace(part, vertices=vertices, faces=triangles, normals=None)
    # Three times the edge of `faces` equilateral triangles that cover the surface.
    limit = 3 * np.sqrt(4 / np.sqrt(3) * float(_compute_areas(vertices[triangles]).sum()) / faces)
    return _transfer_attributes(part, *split_long_edges(vertices, triangles, limit))


def weld(vertices: NDArray, faces: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """Merge vertices at equal positions; return (V, 3) and (F, 3) without the faces that collapse."""
    points, index = np.unique(vertices, axis=0, return_inverse=True)
    merged = index.reshape(-1).astype(np.int64)[faces]
    return points, merged[(merged != np.roll(merged, 1, axis=1)).all(axis=1)]


def split_long_edges(vertices: NDArray, faces: NDArray, limit: float) -> tuple[NDArray, NDArray]:
    """Split edges longer than `limit`, also in their neighbours so that no gap opens; return (V, 3) and (F, 3)."""
    while len(faces) <= MAX_SPLIT:
        edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2).reshape(-1, 2)
        unique, which = np.unique(edges[:, 0] * len(vertices) + edges[:, 1], return_inverse=True)
        ends = np.stack([unique // len(vertices), unique % len(vertices)], axis=1)
        long = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1) > limit
        if not long.any():
            return vertices, faces
        middle = np.where(long, len(vertices) - 1 + np.cumsum(long), -1)[which.reshape(-1, 3)]
        vertices = np.concatenate([vertices, vertices[ends[long]].mean(axis=1)])
        faces = _split_faces(faces, middle)
    return vertices, faces


def _split_faces(faces: NDArray, middle: NDArray) -> NDArray:
    """Split faces at new vertices `middle` (F, 3) on the edges that follow their corners; -1 = edge not split."""
    count = (middle >= 0).sum(axis=1)
    # Rotate each face so that its split edges come first; with two of them, the unsplit edge comes last.
    first = np.select(
        [count == 1, count == 2], [np.argmax(middle >= 0, axis=1), (np.argmin(middle, axis=1) + 1) % 3], 0
    )
    order = (first[:, None] + np.arange(3)) % 3
    (a, b, c), (p, q, r) = np.take_along_axis(faces, order, 1).T, np.take_along_axis(middle, order, 1).T
    one, two, three = count == 1, count == 2, count == 3
    pieces = [faces[count == 0]]
    pieces += [np.stack(corners, axis=1)[one] for corners in ((a, p, c), (p, b, c))]
    pieces += [np.stack(corners, axis=1)[two] for corners in ((a, p, c), (p, b, q), (p, q, c))]
    pieces += [np.stack(corners, axis=1)[three] for corners in ((a, p, r), (p, b, q), (r, q, c), (p, q, r))]
    return np.concatenate(pieces)


def _transfer_attributes(part: RawPart, vertices: NDArray, triangles: NDArray) -> RawPart:
    from scipy.spatial import cKDTree

    tree = cKDTree(part.vertices[part.faces].mean(axis=1))
    charts = _label_charts(part)
    uv, colors = [], []
    for start in range(0, len(triangles), CHUNK):
        corners = vertices[triangles[start : start + CHUNK]]
        _, own = tree.query(corners.mean(axis=1))
        _, near = tree.query(corners.reshape(-1, 3), k=min(CANDIDATES, len(part.faces)))
        near = np.column_stack([near, np.repeat(own, 3)])
        face, weights = _find_nearest_points(
            part, corners.reshape(-1, 3), near, charts[near] == np.repeat(charts[own], 3)[:, None]
        )
        if part.uv is not None:
            found = np.einsum("nw,nwd->nd", weights, part.uv[face]).reshape(-1, 3, 2)
            uv.append(_repair_cuts(part, part.uv, corners, found, part.faces[own]).reshape(-1, 2))
        if part.colors is not None:
            colors.append(np.einsum("nw,nwd->nd", weights, part.colors[face].astype(np.float64)))
    return replace(
        part,
        vertices=vertices[triangles].reshape(-1, 3),
        faces=np.arange(3 * len(triangles)).reshape(-1, 3),
        uv=np.concatenate(uv) if uv else None,
        colors=np.clip(np.concatenate(colors) + 0.5, 0, 255).astype(np.uint8) if colors else None,
        normals=None,
    )


def _repair_cuts(part: RawPart, uv: NDArray, corners: NDArray, found: NDArray, source: NDArray) -> NDArray[np.float64]:
    """Return texture coordinates (F, 3, 2) in which no face spans the cut of a chart.

    A label wrapped around a can is one chart, cut where its ends meet: there the nearest point may be at either end.
    corners: (F, 3, 3). source: (F, 3) vertices of the nearest source face, whose mapping is extrapolated.
    """
    before, after = _compute_areas(part.vertices[source]), _compute_areas(np.pad(uv[source], ((0, 0), (0, 0), (0, 1))))
    density = np.sqrt(after / np.maximum(before, 1e-30))
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    torn = (before > 1e-6 * longest**2) & (np.ptp(found, axis=1).max(axis=1) > MAX_STRETCH * density * longest)
    if not torn.any():
        return found
    anchors = part.vertices[source[torn]]
    first, second = anchors[:, 1] - anchors[:, 0], anchors[:, 2] - anchors[:, 0]
    across = np.stack([first, second, np.cross(first, second)], axis=-1)
    shares = np.linalg.solve(across[:, None], (corners[torn] - anchors[:, :1])[..., None])[..., :2, 0]
    edges = uv[source[torn]][:, 1:] - uv[source[torn]][:, :1]
    repaired = found.copy()
    repaired[torn] = uv[source[torn]][:, :1] + shares @ edges
    return repaired


def _compute_areas(triangles: NDArray) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(cross_products(triangles), axis=1) / 2)


def _label_charts(part: RawPart) -> NDArray[np.int64]:
    """Return the chart index of each face: faces connected through shared texture coordinates."""
    from scipy import sparse

    columns = [part.vertices] if part.uv is None else [part.vertices, part.uv]
    _, corner = np.unique(np.concatenate(columns, axis=1), axis=0, return_inverse=True)
    a, b, c = corner.reshape(-1)[part.faces].T
    size = int(corner.max()) + 1
    joined = sparse.coo_matrix((np.ones(2 * len(a), bool), (np.r_[a, a], np.r_[b, c])), shape=(size, size))
    _, label = sparse.csgraph.connected_components(joined, directed=False)
    return label[a]


def _find_nearest_points(
    part: RawPart, points: NDArray, near: NDArray, allowed: NDArray[np.bool_]
) -> tuple[NDArray, NDArray[np.float64]]:
    """Find the nearest point to each point (N, 3) on allowed faces of `near`; return vertices and weights (N, 3)."""
    candidates = part.faces[near]
    corners = part.vertices[candidates]
    weights = _barycentric(corners, points[:, None])
    distance = np.linalg.norm(np.einsum("nkw,nkwd->nkd", weights, corners) - points[:, None], axis=2)
    best = np.argmin(np.where(allowed, distance, np.inf), axis=1)
    rows = np.arange(len(points))
    return candidates[rows, best], weights[rows, best]


def _barycentric(triangles: NDArray, points: NDArray) -> NDArray[np.float64]:
    """Return barycentric weights (..., 3) of points in triangles (..., 3, 3), clipped to the triangles."""
    first, second = triangles[..., 1, :] - triangles[..., 0, :], triangles[..., 2, :] - triangles[..., 0, :]
    offset = points - triangles[..., 0, :]
    d00, d01, d11 = (first * first).sum(-1), (first * second).sum(-1), (second * second).sum(-1)
    d20, d21 = (offset * first).sum(-1), (offset * second).sum(-1)
    determinant = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / determinant, (d00 * d21 - d01 * d20) / determinant
    weights = np.clip(np.stack([1 - v - w, v, w], axis=-1), 0, 1)
    return weights / weights.sum(axis=-1, keepdims=True)


def lighter_mesh(mesh: Mesh, faces: int) -> Mesh:
    """Simplify a mesh of one part to about `faces` faces by quadric error; texture coordinates and colours are kept.

    The material has no texture: worn copies of the mesh share one lighter mesh, each with its own texture.
    Raises ValueError for a mesh of several parts, because gaps would open between them.
    """
    if len(mesh.parts) != 1:
        raise ValueError(f"a lighter mesh needs one part, found {len(mesh.parts)}")
    material = replace(mesh.parts[0].material, texture=None)
    uv = None if mesh.uv is None else mesh.uv.astype(np.float64)
    part = RawPart(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), material, uv, None, mesh.colors)
    light = simplify_part(part, faces)
    light = replace(light, faces=light.faces[(cross_products(light.vertices[light.faces]) != 0).any(axis=1)])
    # Faces share no corners, so that seams and sharp edges are kept.
    corners = light.faces.ravel()
    return Mesh(
        key=f"{mesh.shape_key}-{faces}faces",
        vertices=light.vertices[corners].astype(np.float32),
        faces=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        normals=_transfer_normals(mesh, light.vertices[light.faces]),
        parts=(MeshPart(0, len(light.faces), material),),
        uv=None if light.uv is None else light.uv[corners].astype(np.float32),
        colors=None if light.colors is None else light.colors[corners],
    )


def _transfer_normals(mesh: Mesh, triangles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return normals (3 F, 3) of the corners of triangles (F, 3, 3): the best aligned of the nearest vertices."""
    from scipy.spatial import cKDTree

    flat = cross_products(triangles)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    distance, near = cKDTree(mesh.vertices).query(triangles.reshape(-1, 3), k=min(CANDIDATES, len(mesh.vertices)))
    distance, near = distance.reshape(len(near), -1), near.reshape(len(near), -1)
    facing = np.einsum("nkd,nd->nk", mesh.normals[near], np.repeat(flat, 3, axis=0))
    facing[distance > MAX_DISTANCE_RATIO * distance[:, :1] + 1e-6] = -np.inf
    return mesh.normals[near[np.arange(len(near)), facing.argmax(axis=1)]]
