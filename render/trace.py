"""Ray tracing of one mesh at a time, in the mesh's own frame, from which all labels are computed.

Each shape keeps one Embree tree for as long as it is in use, so nothing is built per scene, and tracing a placement's
full outline (its amodal mask) costs no more than tracing its visible part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from assets.mesh.types import Material, Mesh

# Largest number of holes of cut-out textures and of panes that a ray may pass through.
MAX_HOLES = 32
# Number of cached trees: about 5 MB each for a scan of 25,000 faces.
MAX_TREES = 192


@dataclass(frozen=True, eq=False)
class Hits:
    """First hit of each ray. t: (N,) float32, in multiples of the ray's direction, inf = none.

    faces: (N,) int32, the face that is hit, -1 = none.
    """

    t: NDArray[np.float32]
    faces: NDArray[np.int32]


def trace_mesh(mesh: Mesh, origin: NDArray, directions: NDArray) -> Hits:
    """Trace N rays in the mesh's frame; both sides of a face are hit, holes of cut-out textures and panes are not.

    Products behind the glass door of a cooler are so labelled as if it were open; see docs/conventions.md.

    origin: (3,), metres, of all rays. directions: (N, 3), not necessarily unit.
    """
    origins, directions = _rays(origin, directions)
    tree = _solid_of(mesh).tree
    found = tree.run(origins, directions, output=True)
    if any(_has_holes(part.material) for part in mesh.parts):
        return _skip_holes(mesh, tree, origins, directions, found)
    return Hits(np.where(found["primID"] >= 0, found["tfar"], np.float32(np.inf)), found["primID"])


def meets_glass(mesh: Mesh, origin: NDArray, directions: NDArray) -> NDArray[np.bool_]:
    """Return whether the first face that each ray (N, 3) meets is transparent, panes included: (N,) bool."""
    glass = [part for part in mesh.parts if part.material.transmission]
    faces = _solid_of(mesh).tree.run(*_rays(origin, directions), output=True)["primID"] if glass else np.zeros(0)
    clear = np.zeros(len(directions), bool)
    for part in glass:
        clear |= (faces >= part.face_start) & (faces < part.face_stop)
    return clear


def _rays(origin: NDArray, directions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    directions = np.ascontiguousarray(directions, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(origin, directions.shape), dtype=np.float32), directions


def outline_points(mesh: Mesh) -> NDArray[np.float64]:
    """Return the corners (N, 3) of the mesh's convex hull, metres."""
    return _solid_of(mesh).corners


@dataclass(frozen=True, eq=False)
class _Solid:
    """A shape prepared for tracing.

    vertices, faces: its arrays, kept alive because their ids are the cache's key and must not be reused.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    tree: Any

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """Corners (N, 3) of the convex hull, which not every caller needs."""
        return _hull_corners(self.vertices)


_SOLIDS: LRUCache[tuple[int, int], _Solid] = LRUCache(MAX_TREES)
_LOCK = Lock()


def _solid_of(mesh: Mesh) -> _Solid:
    # Worn copies of a mesh share its arrays, and so its tree.
    key = (id(mesh.vertices), id(mesh.faces))
    with _LOCK:
        if key not in _SOLIDS:
            _SOLIDS[key] = _build(mesh)
        return _SOLIDS[key]


def _build(mesh: Mesh) -> _Solid:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    # "robust" closes the cracks along shared edges through which single rays would slip.
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, mesh.vertices, mesh.faces)
    # The tree is built by the first ray: here, under the lock, and not in two threads at once.
    scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))
    return _Solid(mesh.vertices, mesh.faces, scene)


def _hull_corners(vertices: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.spatial import ConvexHull, QhullError

    points = vertices.astype(np.float64)
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # flat, or too few points: there is no hull, and little to gain from one
        return points


def _skip_holes(mesh: Mesh, tree: Any, origins: NDArray, directions: NDArray, found: dict[str, NDArray]) -> Hits:
    """Continue each ray that hit a hole behind it, until it meets solid surface or nothing."""
    t = np.where(found["primID"] >= 0, found["tfar"], np.inf).astype(np.float32)
    faces, u, v = found["primID"].copy(), found["u"].copy(), found["v"].copy()
    going = np.flatnonzero(faces >= 0)
    for _ in range(MAX_HOLES):
        going = going[_in_hole(mesh, faces[going], u[going], v[going])]
        if not len(going):
            break
        start = np.nextafter(t[going] * np.float32(1 + 1e-6), np.float32(np.inf))
        again = tree.run(origins[going] + start[:, None] * directions[going], directions[going], output=True)
        hit = again["primID"] >= 0
        t[going] = np.where(hit, start + again["tfar"], np.inf)
        faces[going], u[going], v[going] = again["primID"], again["u"], again["v"]
        going = going[hit]
    return Hits(t, faces)


def _in_hole(mesh: Mesh, faces: NDArray, u: NDArray, v: NDArray) -> NDArray[np.bool_]:
    holes = np.zeros(len(faces), dtype=bool)
    for part in mesh.parts:
        mine = np.flatnonzero((faces >= part.face_start) & (faces < part.face_stop))
        if part.material.pane:
            holes[mine] = True
        elif part.material.alpha_cutoff is not None and len(mine):
            holes[mine] = _alpha_at(mesh, part.material, faces[mine], u[mine], v[mine]) < part.material.alpha_cutoff
    return holes


def _has_holes(material: Material) -> bool:
    return material.pane or material.alpha_cutoff is not None


def _alpha_at(mesh: Mesh, material: Material, faces: NDArray, u: NDArray, v: NDArray) -> NDArray[np.float64]:
    """Return the opacity (N,) at barycentric u, v of the faces: bilinear texture alpha times the base colour's."""
    alpha = np.full(len(faces), material.base_color[3])
    corners = mesh.faces[faces]
    weights = np.stack([1 - u - v, u, v], axis=1).astype(np.float64)
    if mesh.colors is not None:
        alpha *= (mesh.colors[corners, 3] / 255.0 * weights).sum(axis=1)
    if material.texture is not None and mesh.uv is not None:
        uv = (mesh.uv[corners].astype(np.float64) * weights[..., None]).sum(axis=1)
        alpha *= bilinear_wrapped(material.texture[..., 3], uv) / 255.0
    return alpha


def bilinear_wrapped(image: NDArray, uv: NDArray) -> NDArray[np.float64]:
    """Sample `image` (H, W) bilinearly at uv (N, 2), v = 0 at the bottom, repeating beyond 0..1: (N,) float64."""
    height, width = image.shape
    x = uv[:, 0] * width - 0.5
    y = (1 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = x - x0, y - y0
    left, right, top, bottom = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    upper = image[top, left] * (1 - fx) + image[top, right] * fx
    lower = image[bottom, left] * (1 - fx) + image[bottom, right] * fx
    return upper * (1 - fy) + lower * fy
