"""Gable-top cartons: a box, a roof with its ends folded inwards, a sealed fin along the ridge, a screw cap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material, Mesh
from assets.packages.shapes.panels import background_color, panel_image
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import PAPER, PackagePlan, solid_material
from assets.packages.shapes.rings import UPWARDS, add_lid, add_wall, oval_rings, unit_loop
from assets.packages.shapes.sheet import Sheet

# Metres: height of the fin, thickness of its four layers; cartons higher than CAPPED have a screw cap.
FIN_M, FIN_THICK_M, CAPPED = 0.016, 0.0024, 0.16
BEVEL_M = 0.0015
CAP_RADIUS_M, CAP_HIGH_M = 0.016, 0.014


def build(plan: PackagePlan) -> Mesh:
    """Build a gable-top carton, whose front image continues over the roof and the fin."""
    width, depth, height = (float(side) for side in plan.size)
    sides = {"front": (width, height), "back": (width, height), "left": (depth, height), "right": (depth, height)}
    sheet = Sheet(plan, {**sides, "bottom": (width, depth)})
    roof = _Roof(plan.size)
    for panel in sides:
        _render_side(plan, sheet, panel, roof.eaves / roof.top)
    sheet.render("bottom", "bottom")
    material = sheet.material(PAPER)
    pieces = Pieces()
    _add_body(pieces, roof, sheet, material)
    _add_roof(pieces, roof, sheet, material)
    if height > CAPPED and "front" not in plan.art.sides and min(roof.slope, width) > 2.4 * CAP_RADIUS_M:
        _add_cap(pieces, plan, roof)
    return pieces.mesh(plan.size)


def _render_side(plan: PackagePlan, sheet: Sheet, side: str, eaves: float) -> None:
    """Render a side: a packshot from bottom to fin, artwork only below the eaves (a fraction of the height)."""
    if side in plan.art.sides:
        sheet.render(side, side)
        return
    width, height = sheet.size(side)
    below = max(round(height * eaves), 16)
    sheet.paste(side, np.array(background_color(plan), np.uint8))
    sheet.panel(side)[-below:] = panel_image(plan, side, (width, below))


class _Roof:
    """Fold positions, metres: half sizes x, y; eaves, ridge and top heights; bevel; half thickness of the fin."""

    def __init__(self, size: NDArray) -> None:
        width, depth, height = (float(side) for side in size)
        self.x, self.y, self.top = width / 2, depth / 2, height
        self.bevel = min(BEVEL_M, self.x / 8, self.y / 8)
        self.thick = min(FIN_THICK_M / 2, self.y / 8)
        fin = min(FIN_M, height * 0.08)
        self.eaves = max(height - fin - depth * 0.42, height * 0.6)
        self.ridge = height - fin
        self.slope = float(np.hypot(self.y, self.ridge - self.eaves))
        # The ends fold in under the ridge.
        self.inset = min(self.y * 0.75, self.x * 0.7)


def _add_body(pieces: Pieces, roof: _Roof, sheet: Sheet, material: Material) -> None:
    x, y, b = roof.x, roof.y, roof.bevel
    # Corners counter-clockwise from above, starting at the back's right one as seen from behind.
    loop = np.array(
        [(x - b, y), (b - x, y), (-x, y - b), (-x, b - y), (b - x, -y), (x - b, -y), (x, b - y), (x, y - b)]
    )
    normals = np.array([(0, 1), (0, 1), (-1, 0), (-1, 0), (0, -1), (0, -1), (1, 0), (1, 0)])
    names = ("back", "left", "front", "right")
    rise = roof.eaves / roof.top
    for number in range(8):
        ends = [number, (number + 1) % 8]
        points = np.array([[(*loop[end], z) for end in ends] for z in (0.0, roof.eaves)])
        if number % 2 == 0:
            share = np.array([[(0, 0), (1, 0)], [(0, rise), (1, rise)]], dtype=float)
            uv = sheet.uv(names[number // 2], share)
        else:
            share = np.array([[(1, 0), (1, 0)], [(1, rise), (1, rise)]], dtype=float)
            uv = sheet.uv(names[number // 2], share)
        tilted = np.array([(*normals[end], 0.0) for end in ends] * 2)
        faces = np.array([[0, 1, 3], [0, 3, 2]])
        pieces.add(points.reshape(-1, 3), tilted, uv.reshape(-1, 2), faces, material)
    base = np.column_stack([loop, np.zeros(8)])
    share = loop / [2 * x, 2 * y] + 0.5
    fan = np.array([[0, i + 1, i] for i in range(1, 7)])
    pieces.add(base, np.tile([0.0, 0, -1], (8, 1)), sheet.uv("bottom", share * [1, -1] + [0, 1]), fan, material)


def _add_roof(pieces: Pieces, roof: _Roof, sheet: Sheet, material: Material) -> None:
    for sign in (-1, 1):
        rotation = np.array([-sign, -sign, 1.0])  # -1: front, as built; 1: rotated by 180 degrees
        front, side = ("front", "right") if sign < 0 else ("back", "left")
        for points, panel in _half_roof(roof):
            placed = points * rotation
            across = placed @ ([1, 0, 0] if panel == "front" else [0, 1, 0]) * -sign
            half = roof.x if panel == "front" else roof.y
            share = np.stack([across / (2 * half) + 0.5, placed[:, 2] / roof.top], axis=1)
            _add_polygon(pieces, placed, sheet.uv(front if panel == "front" else side, share), material)


def _half_roof(roof: _Roof) -> list[tuple[NDArray, str]]:
    """Return the polygons (counter-clockwise from outside) of the front half and the right end, and their panels."""
    x, y, b, t = roof.x, roof.y, roof.bevel, roof.thick
    e, r, top = roof.eaves, roof.ridge, roof.top
    left, right, corner, behind = (b - x, -y, e), (x - b, -y, e), (x, b - y, e), (x, y - b, e)
    low_left, low_right, high_left, high_right = (-x, -t, r), (x, -t, r), (-x, -t, top), (x, -t, top)
    back_right, back_high = (x, t, r), (x, t, top)
    tuck = (x - roof.inset, 0.0, r - (r - e) * 0.12)
    back_corner = (x - b, y, e)
    polygons: list[tuple[list[tuple[float, float, float]], str]] = [
        ([left, right, low_right, low_left], "front"),
        ([low_left, low_right, high_right, high_left], "front"),
        ([corner, behind, tuck], "right"),
        ([right, corner, low_right], "right"),
        ([corner, tuck, low_right], "right"),
        ([behind, back_right, tuck], "right"),
        ([behind, back_corner, back_right], "right"),
        ([low_right, tuck, back_right], "right"),
        ([low_right, back_right, back_high, (x, 0.0, top), high_right], "right"),
        ([high_left, high_right, (x, 0.0, top), (-x, 0.0, top)], "front"),
    ]
    return [(np.array(points), panel) for points, panel in polygons]


def _add_polygon(pieces: Pieces, points: NDArray, uv: NDArray, material: Material) -> None:
    """Add a flat polygon as a fan."""
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal = normal / max(float(np.linalg.norm(normal)), 1e-300)
    fan = np.array([[0, i, i + 1] for i in range(1, len(points) - 1)])
    pieces.add(points, np.tile(normal, (len(points), 1)), uv, fan, material)


def _add_cap(pieces: Pieces, plan: PackagePlan, roof: _Roof) -> None:
    """Add a screw cap perpendicular to the front slope."""
    color = plan.colors[1] if plan.colors[1] != background_color(plan) else plan.colors[2]
    cap = solid_material(color, 0.35)
    unit = unit_loop(1.0, 2.0, 24)
    outline = np.array([(1.0, -0.004), (1.0, CAP_HIGH_M - 0.001), (0.94, CAP_HIGH_M)])
    rings = oval_rings(unit, outline[:, 0] * CAP_RADIUS_M, outline[:, 0] * CAP_RADIUS_M, outline[:, 1])
    slope = np.arctan2(roof.ridge - roof.eaves, roof.y)
    rotation = np.array([[1, 0, 0], [0, np.cos(slope), -np.sin(slope)], [0, np.sin(slope), np.cos(slope)]])
    middle = np.array([0, -(roof.y + roof.thick) / 2, (roof.eaves + roof.ridge) / 2])
    # Keep the cap within the box of the stated sizes.
    tip = rings @ rotation.T + middle
    tip[:, :, 1] += max(-roof.y * 0.999 - float(tip[:, :, 1].min()), 0.0)
    tip[:, :, 2] -= max(float(tip[:, :, 2].max()) - roof.top * 0.999, 0.0)
    add_wall(pieces, tip, np.zeros(3), cap)
    for ring, up in ((tip[0], False), (tip[-1], True)):
        add_lid(pieces, ring, np.zeros(2), cap, up=up, axis=rotation @ UPWARDS)
