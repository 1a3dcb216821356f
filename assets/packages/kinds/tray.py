"""Trays: sloped walls with rounded corners, a flange, and a printed film or lid on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material, Mesh
from assets.packages.packshots.silhouette import Profile
from assets.packages.print.artwork import render_panel
from assets.packages.print.label_colors import hash_number
from assets.packages.shapes.panels import background_color, scale_packshot
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FACE_FRONT, FILM, PackagePlan, lying_plan, solid_material
from assets.packages.shapes.rings import add_lid, add_wall, lift, rounded_loop
from assets.packages.shapes.sheet import Sheet

# Metres: width and thickness of the flange, depth of the film below it, radius of the corners.
FLANGE_M, FLANGE_THICK_M, SUNK_M, CORNER_M = 0.006, 0.0014, 0.0012, 0.022
# Rows of a silhouette at shorter this wide (fraction of the width) are the flange.
FULL = 0.985
# Outward lean of the walls, as a fraction of the height.
SLOPE = 0.3
CORNER_POINTS = 6
COLORS = ((32, 32, 34), (244, 244, 240), (196, 182, 150), (60, 66, 60))


def build(plan: PackagePlan) -> Mesh:
    """Build a lying tray with its print on top, or, if higher than deep, one on its edge with its print in front."""
    standing = plan.size[2] > plan.size[1]
    width, depth, height = (float(side) for side in plan.size)
    size = np.array([width, height, depth]) if standing else plan.size
    shown = plan if standing else lying_plan(plan)
    panels = {"front": (float(size[0]), float(size[1]))}
    if not standing:
        panels["label"] = (width, height)
    sheet = Sheet(shown, panels)
    sheet.render("front", "front")
    if not standing:
        _render_wall(plan, sheet)
    pieces = Pieces()
    _add_tray(pieces, plan, size, sheet, printed=not standing)
    return pieces.mesh(plan.size, FACE_FRONT if standing else None)


def _render_wall(plan: PackagePlan, sheet: Sheet) -> None:
    """Render the label on the front wall: the front packshot, unless that shows the tray from above."""
    pictured = "front" in plan.art.sides and "top" in plan.art.sides
    size = sheet.size("label")
    drawn = render_panel("front", plan.sku, size, background_color(plan))
    sheet.paste("label", scale_packshot(plan.art.sides["front"], size) if pictured else drawn)


def _add_tray(pieces: Pieces, plan: PackagePlan, size: NDArray, sheet: Sheet, *, printed: bool) -> None:
    x, y, h = float(size[0]) / 2, float(size[1]) / 2, float(size[2])
    shorter = min(x, y)
    flange, thick, lean = _find_shape(size, plan.art.profile if printed else None)
    edge, corner = min(0.004, h * 0.12, shorter * 0.1), min(CORNER_M, shorter * 0.5)
    rim_x, rim_y = x - flange, y - flange

    def ring(inset: float, z: float) -> NDArray:
        loop = rounded_loop(rim_x - inset, rim_y - inset, max(corner - inset * 0.5, corner * 0.4), CORNER_POINTS)
        return lift(loop, z)

    sunk = min(SUNK_M, thick * 0.8)
    walls = np.stack([ring(lean + edge, 0), ring(lean + edge * 0.3, edge * 0.3), ring(lean, edge), ring(0, h - thick)])
    brim = np.stack([ring(0, h - thick), ring(-flange, h - thick), ring(-flange, h)])
    film = np.stack([ring(-flange, h), ring(0, h), ring(min(0.004, shorter * 0.05), h - sunk)])
    tray = solid_material(COLORS[hash_number(plan.sku.brand or plan.sku.name, len(COLORS))], FILM)
    material = sheet.material(FILM)
    if printed:
        _add_wall_print(pieces, walls, sheet, tray, material)
    else:
        add_wall(pieces, walls, np.zeros(len(walls)), tray)
    add_wall(pieces, brim, np.zeros(len(brim)), tray)
    _add_film(pieces, film, sheet, material)
    add_lid(pieces, walls[0], np.zeros(2), tray, up=False)


def _find_shape(size: NDArray, profile: Profile | None) -> tuple[float, float, float]:
    """Return width and thickness of the flange and the lean of the walls, metres; from the profile if it shows them.

    profile: of a tray seen from the side.
    """
    width, h, shorter = float(size[0]), float(size[2]), float(min(size[:2])) / 2
    flange, thick, lean = min(FLANGE_M, shorter * 0.15), min(FLANGE_THICK_M, h * 0.15), min(h * SLOPE, shorter * 0.25)
    if profile is None:
        return flange, thick, lean
    under = np.flatnonzero(profile.widths < FULL)
    brim = float(profile.heights[under[-1]]) if len(under) else 1.0
    # The walls are straight: fitting a line ignores debris at the foot of a cut-out.
    wall = (profile.heights > 0.1 * brim) & (profile.heights < 0.97 * brim)
    if wall.sum() < 2:
        return flange, thick, lean
    top, floor = np.polyval(np.polyfit(profile.heights[wall], profile.widths[wall], 1), (0.97 * brim, 0.03 * brim))
    flange = float(np.clip((1 - top) / 2 * width, shorter * 0.01, shorter * 0.3))
    thick = h * float(np.clip(1 - brim, 0.01, 0.3))
    return flange, thick, float(np.clip((top - floor) / 2 * width, 0, shorter * 0.5))


def _add_wall_print(pieces: Pieces, walls: NDArray, sheet: Sheet, tray: Material, material: Material) -> None:
    """Add the walls, with the label on the straight front one."""
    add_wall(pieces, walls[:3], np.zeros(3), tray)
    upper = walls[2:]
    middle = (walls.shape[1] - 1) // 2
    first, last = middle - 1, middle + 1  # the straight wall's ends, its middle between them
    for start, stop in ((0, first), (last, walls.shape[1] - 1)):
        pieces.add_patch(upper[:, start : stop + 1], np.zeros(2), tray)
    front = upper[:, first : last + 1]
    low, high = front.reshape(-1, 3).min(axis=0), front.reshape(-1, 3).max(axis=0)
    share = (front[..., [0, 2]] - low[[0, 2]]) / np.maximum((high - low)[[0, 2]], 1e-300)
    pieces.add_patch(front, sheet.uv("label", share), material)


def _add_film(pieces: Pieces, film: NDArray, sheet: Sheet, material: Material) -> None:
    outer = film[0]
    low, high = outer[:, :2].min(axis=0), outer[:, :2].max(axis=0)
    uv = sheet.uv("front", (film[..., :2] - low) / np.maximum(high - low, 1e-300))
    for row in range(len(film) - 1):
        pieces.add_patch(film[row : row + 2], uv[row : row + 2], material, around=True)
    add_lid(pieces, film[-1], uv[-1], material, up=True)
