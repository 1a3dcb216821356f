"""Flow-wrap bags: a pillow of film with crimped, serrated ends and a fin seal along the back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assets.mesh.types import Material, Mesh
from assets.packages.shapes.film import ACROSS, COLUMNS, Film, add_film, add_slab, folds
from assets.packages.shapes.panels import background_color
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FACE_UP, FILM, PackagePlan, lying_plan
from assets.packages.shapes.round import profile_rows
from assets.packages.shapes.sheet import Sheet

# Metres: height, thickness and tooth depth of the crimps; width of the fin.
CRIMP_M, THICK_M, TOOTH_M, FIN_M = 0.011, 0.0007, 0.0016, 0.011
# Wider than this relative to its height, a bag is a bar with its crimps left and right.
BAR = 1.3
# From the frame in which a bar is built (seals at top and bottom) to the package's frame.
SEALS_ASIDE = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])


def build(plan: PackagePlan) -> Mesh:
    """Build a flow-wrap bag, upright, or lying on its back if it is deeper than high."""
    lying = plan.size[2] < plan.size[1]
    shown = lying_plan(plan) if lying else plan
    rotation = FACE_UP if lying else np.eye(3)
    width, depth, height = (float(side) for side in shown.size)
    sheet = Sheet(shown, {"front": (width, height), "back": (width, height)}, {"background": background_color(shown)})
    sheet.render("front", "front")
    sheet.render("back", "back")
    material = sheet.material(FILM)
    pieces = Pieces()
    bar = shown.art.profile is None and width > BAR * height
    if bar:
        shown = replace(shown, size=np.array([height, depth, width]))
    film = _make_film(shown)
    add_film(pieces, film, sheet, material, turned=bar)
    _add_fin(pieces, shown, film, sheet, material)
    return pieces.mesh(plan.size, rotation @ SEALS_ASIDE if bar else rotation)


def _make_film(plan: PackagePlan) -> Film:
    width, depth, height = (float(side) for side in plan.size)
    crimp, thick = min(CRIMP_M, height * 0.08) / height, min(THICK_M, depth * 0.2)
    ends = np.linspace(0, crimp, 6)
    rows = np.concatenate([ends, np.linspace(crimp, 1 - crimp, 21)[1:-1], 1 - ends[::-1]])
    inside = np.clip((rows - crimp) / (1 - 2 * crimp), 0, 1)
    fat = (1 - np.abs(2 * inside - 1) ** 2.4) ** 0.62
    profile = plan.art.profile
    if profile is not None:
        kept = profile.heights[profile_rows(profile)]
        rows, fat = _insert_rows(rows, fat, kept)
        left, right = (np.interp(rows, profile.heights, border) * width for border in (profile.left, profile.right))
        half = np.maximum((right - left) / 2, 0.004 * width)
        left, right = (left + right) / 2 - half, (left + right) / 2 + half
    else:
        # The film has the same girth everywhere: where it bulges it gets narrower.
        half = width / 2 * np.maximum(1 - 0.35 * (fat * depth / width) ** 2, 0.82)
        left, right = -half, half
    inside = np.clip((rows - crimp) / (1 - 2 * crimp), 0, 1)
    bent = np.sqrt(1 - ACROSS**2)[None] * (depth / 2) * fat[:, None]
    bulge = bent * folds(plan, rows, np.abs(2 * inside - 1) ** 1.5, 1.6)
    bulge = np.maximum(bulge, thick / 2)
    pressed = (rows < crimp) | (rows > 1 - crimp)
    lines = pressed * (np.arange(len(rows)) % 2 - 0.5) * thick * 1.4
    tooth = min(TOOTH_M, height * crimp * 0.25) * (np.arange(COLUMNS) % 2)
    notch = None if profile is not None else tooth
    return Film(rows * height, left, right, bulge + lines[:, None], bulge - lines[:, None], notch)


def _insert_rows(rows: np.ndarray, values: np.ndarray, more: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = np.unique(np.concatenate([rows, more]))
    return both, np.interp(both, rows, values)


def _add_fin(pieces: Pieces, plan: PackagePlan, film: Film, sheet: Sheet, material: Material) -> None:
    """Add the fin seal, flat on the back from crimp to crimp."""
    width, depth, _ = (float(side) for side in plan.size)
    middle = COLUMNS // 2
    wide, thick = min(FIN_M, width * 0.12), min(THICK_M, depth * 0.1)
    rows = slice(1, -1)
    y = film.back[rows, middle]
    # Off the middle, so that none of its edges coincides with one of the film.
    x = (film.left + film.right)[rows] / 2 - wide * 0.1
    uv = sheet.spread("background", len(y), 2)
    if "back" in plan.art.sides:  # the packshot shows the fin
        up = (film.z[rows] - film.z[0]) / np.ptp(film.z)
        across = 0.5 - np.stack([x, x + wide], axis=1) / np.ptp([film.left.min(), film.right.max()])
        uv = sheet.uv("back", np.stack([across, np.repeat(up[:, None], 2, axis=1)], axis=2))
    add_slab(pieces, (film.z[rows], x, x + wide), y - thick * 0.7, y + thick * 0.9, (uv, uv), material)
