"""Cartons: six printed panels with folded edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import PAPER, PackagePlan
from assets.packages.shapes.sheet import Sheet

# Approximate fold radius of cardboard.
BEVEL_M = 0.0012
# Panel -> axis and sign of its outward normal; the front faces -Y.
PANELS = {"front": (1, -1), "right": (0, 1), "back": (1, 1), "left": (0, -1), "top": (2, 1), "bottom": (2, -1)}


def build(plan: PackagePlan) -> Mesh:
    """Build a box: six panels, with strips and corners between them that continue the panels' borders."""
    width, depth, height = (float(side) for side in plan.size)
    sides = {"front": (width, height), "back": (width, height), "left": (depth, height), "right": (depth, height)}
    sheet = Sheet(plan, {**sides, "top": (width, depth), "bottom": (width, depth)})
    for panel in PANELS:
        sheet.render(panel, panel)
    pieces = Pieces()
    pieces.add(*_make_box(plan.size, sheet), sheet.material(PAPER))
    return pieces.mesh(plan.size)


def _make_box(size: NDArray, sheet: Sheet) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    half = size / 2
    bevel = min(BEVEL_M, float(half.min()) / 4)
    corners: list[NDArray] = []
    normals: list[NDArray] = []
    uv: list[NDArray] = []
    faces: list[list[int]] = []
    indices: dict[tuple[tuple[int, ...], int], int] = {}
    for panel, (axis, sign) in PANELS.items():
        normal = np.eye(3)[axis] * sign
        up = np.array([0.0, 0, 1]) if axis < 2 else np.array([0.0, sign, 0])
        right = np.cross(up, normal)
        square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        uv += list(sheet.uv(panel, (square + 1) / 2))
        for a, b in square:
            direction = normal + a * right + b * up
            indices[tuple(int(part) for part in np.sign(direction)), axis] = len(corners)
            corners.append(direction * (half - bevel) + normal * bevel)
            normals.append(normal)
        start = len(corners) - 4
        faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
    points = np.array(corners)
    folds = np.array([_orient_outward(points, triangle) for triangle in _fold_triangles(indices)])
    # A fold has its own vertices: it continues the print of one of its panels.
    names = {key: name for name, key in indices.items()}
    printed = [
        uv[indices[names[key][0], _panel_axis([names[other] for other in fold])]] for fold in folds for key in fold
    ]
    faces += (np.arange(folds.size).reshape(-1, 3) + len(points)).tolist()
    spread = folds.ravel()
    all_normals = np.array(normals)
    return (
        np.concatenate([points, points[spread]]),
        np.concatenate([all_normals, all_normals[spread]]),
        np.array([*uv, *printed]),
        np.array(faces),
    )


def _panel_axis(corners: list[tuple[tuple[int, ...], int]]) -> int:
    """Return the axis of the panel whose print a fold continues: front and back before sides before top and bottom."""
    axes = {axis for _, axis in corners}
    return 1 if 1 in axes else 0


def _fold_triangles(indices: dict[tuple[tuple[int, ...], int], int]) -> list[list[int]]:
    """Return the triangles between the panels: two for each of the 12 edges, one for each of the 8 corners."""
    triangles = []
    signs = (-1, 1)
    for axis in range(3):
        first, second = (other for other in range(3) if other != axis)
        for a in signs:
            for b in signs:
                low, high = [0, 0, 0], [0, 0, 0]
                low[axis], high[axis] = -1, 1
                for end in (low, high):
                    end[first], end[second] = a, b
                quad = [
                    indices[tuple(low), first],
                    indices[tuple(high), first],
                    indices[tuple(high), second],
                    indices[tuple(low), second],
                ]
                triangles += [[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]
    for corner in ((x, y, z) for x in signs for y in signs for z in signs):
        triangles.append([indices[corner, 0], indices[corner, 1], indices[corner, 2]])
    return triangles


def _orient_outward(points: NDArray, triangle: list[int]) -> list[int]:
    a, b, c = points[triangle]
    inwards = np.cross(b - a, c - a) @ (a + b + c) < 0
    return triangle[::-1] if inwards else triangle
