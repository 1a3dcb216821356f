"""Meshes of props: simple bodies, and the slabs that products stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material, Mesh, MeshPart, cross_products
from assets.packages.shapes.pieces import grid_faces
from assets.props.look import Shape

SEGMENTS = 48
Outline = list[tuple[float, float]]


def make_prop(shape: Shape, image: NDArray[np.uint8], size_m: float, key: str) -> Mesh:
    """Make the mesh of `shape` with texture `image` (H, W, 3) uint8 sRGB, whose repeats cover `size_m` metres."""
    corners, normals, uv, faces = _make_box(shape) if shape.kind in ("box", "slab") else _make_lathe(shape)
    texture = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    parts = (MeshPart(0, len(faces), Material(np.ones(4), texture)),)
    return Mesh(key, corners, faces, normals, parts, uv=uv / size_m)


def _make_box(shape: Shape) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Make six rectangles with hard edges; texture coordinates in metres from the centre of each."""
    half = np.array([shape.width, shape.depth, shape.height]) / 2
    lift = -half[2] if shape.kind == "slab" else half[2]
    corners, normals, uv = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            across, along = _face_axes(axis, sign)
            normal = np.eye(3)[axis] * sign
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                point = (normal + a * across + b * along) * half
                corners.append(point + [0, 0, lift])
                normals.append(normal)
                uv.append([a * abs(across @ half), b * abs(along @ half)])
    starts = np.arange(0, 24, 4)[:, None]
    faces = np.concatenate([starts + [0, 1, 2], starts + [0, 2, 3]])
    return np.array(corners), np.array(normals), np.array(uv), faces


def _face_axes(axis: int, sign: float) -> tuple[NDArray, NDArray]:
    """Return the right and up directions of the face with this normal, seen from outside."""
    up = np.array([0.0, 0, 1]) if axis < 2 else np.array([0.0, 1, 0])
    return np.cross(up, np.eye(3)[axis] * sign), up


def _make_lathe(shape: Shape) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Make a body of revolution; texture coordinates in metres around and along."""
    strips = [sweep(outline, SEGMENTS) for outline in OUTLINES[shape.kind](shape)]
    starts = np.cumsum([0, *(len(strip.corners) for strip in strips[:-1])])
    faces = np.concatenate([strip.faces + start for strip, start in zip(strips, starts, strict=True)])
    uv = np.concatenate([strip.uv * [np.pi * shape.width, strip.length] for strip in strips])
    # The sweep is round; a shape with different depth and width is oval.
    squeeze = np.array([1.0, shape.depth / shape.width, 1.0])
    corners = np.concatenate([strip.corners for strip in strips]) * squeeze
    normals = np.concatenate([strip.normals for strip in strips]) / squeeze
    return corners, normals / np.linalg.norm(normals, axis=1, keepdims=True), uv, faces


def _cylinder_outlines(shape: Shape) -> list[Outline]:
    r, h = shape.width / 2, shape.height
    return [[(0, 0), (r, 0)], [(r, 0), (r, h)], [(r, h), (0, h)]]


def _cone_outlines(shape: Shape) -> list[Outline]:
    r, h = shape.width / 2, shape.height
    return [[(0, 0), (r, 0)], [(r, 0), (r / 2, h / 2), (0, h)]]


def _sphere_outlines(shape: Shape) -> list[Outline]:
    polar = np.linspace(0, np.pi, 25)
    return [[(shape.width / 2 * np.sin(p), shape.height / 2 * (1 - np.cos(p))) for p in polar]]


def _capsule_outlines(shape: Shape) -> list[Outline]:
    r = min(shape.width, shape.height) / 2
    quarter = np.linspace(0, np.pi / 2, 13)
    low = [(shape.width / 2 * np.sin(p), r * (1 - np.cos(p))) for p in quarter]
    return [[*low, *((x, shape.height - z) for x, z in reversed(low))]]


def _torus_outlines(shape: Shape) -> list[Outline]:
    tube = min(shape.height / 2, shape.width / 4)
    turn = np.linspace(-np.pi, np.pi, 25)
    ring = shape.width / 2 - tube
    return [[(ring + tube * np.cos(p), shape.height / 2 * (1 + np.sin(p))) for p in turn]]


OUTLINES = {
    "cylinder": _cylinder_outlines,
    "cone": _cone_outlines,
    "sphere": _sphere_outlines,
    "capsule": _capsule_outlines,
    "torus": _torus_outlines,
}


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


def sweep(outline: Outline, segments: int) -> Strip:
    """Sweep a smooth outline of (radius, height) about Z, counter-clockwise from +X.

    Outside is to the right of the outline: it goes upwards on the outer wall, inwards on top.
    """
    points = np.array(outline, dtype=np.float64)
    r, z = points.T
    along = np.gradient(points, axis=0)
    around = np.linspace(0, 1, segments + 1)
    cosine, sine = np.cos(2 * np.pi * around), np.sin(2 * np.pi * around)
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
    faces = grid_faces(len(r), segments + 1)
    faces = faces[np.linalg.norm(cross_products(corners[faces]), axis=1) > 1e-12]  # an apex makes some degenerate
    return Strip(corners, normals, uv, faces, float(steps[-1]))
