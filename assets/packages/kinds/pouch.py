"""Stand-up pouches: two sheets, a bottom gusset that opens into an oval foot, sealed sides and top."""

from __future__ import annotations

import numpy as np

from assets.mesh.types import Mesh
from assets.packages.shapes.film import ACROSS, Film, add_film, folds
from assets.packages.shapes.panels import background_color
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FILM, PackagePlan
from assets.packages.shapes.round import profile_rows
from assets.packages.shapes.sheet import Sheet

# Metres: height of the top seal, thickness of the sheets; side seals as a fraction of the half width.
SEAL_M, THICK_M, SIDE = 0.014, 0.0006, 0.06
CORNER_M = 0.008


def build(plan: PackagePlan) -> Mesh:
    """Build a stand-up pouch."""
    width, _, height = (float(side) for side in plan.size)
    sheet = Sheet(plan, {"front": (width, height), "back": (width, height)}, {"background": background_color(plan)})
    sheet.render("front", "front")
    sheet.render("back", "back")
    pieces = Pieces()
    add_film(pieces, _make_film(plan), sheet, sheet.material(FILM))
    return pieces.mesh(plan.size)


def _make_film(plan: PackagePlan) -> Film:
    width, depth, height = (float(side) for side in plan.size)
    seal, thick = min(SEAL_M, height * 0.1) / height, min(THICK_M, depth * 0.2)
    outline = np.linspace(0, 1 - seal, 20)
    pressed = np.linspace(1 - seal, 1, 7)
    profile = plan.art.profile
    if profile is not None:
        rows = np.unique(np.concatenate([outline, pressed, profile.heights[profile_rows(profile)]]))
        left, right = (np.interp(rows, profile.heights, border) * width for border in (profile.left, profile.right))
        half = np.maximum((right - left) / 2, 0.004 * width)
        left, right = (left + right) / 2 - half, (left + right) / 2 + half
    else:
        rows = np.unique(np.concatenate([outline, pressed]))
        corner = min(CORNER_M, width / 4, height / 4)
        from_end = np.minimum(rows, 1 - rows) * height
        cut = corner - np.sqrt(np.maximum(corner**2 - np.maximum(corner - from_end, 0) ** 2, 0))
        left, right = cut - width / 2, width / 2 - cut
    up = np.clip(rows / (1 - seal), 0, 1)
    # Thickest just above the foot, then a wedge towards the seal.
    fat = np.where(
        up < 0.13, 0.82 + 0.18 * np.sin(up / 0.13 * np.pi / 2), np.cos((up - 0.13) / 0.87 * np.pi / 2) ** 0.8
    )
    side = plan.art.side_profile
    if side is not None:
        fat = np.interp(rows, side.heights, side.widths)
    inner = np.clip(1 - np.abs(ACROSS) / (1 - SIDE), 0, 1)
    bulge = np.sin(inner * np.pi / 2) ** 0.8 * fat[:, None] * (depth / 2) * folds(plan, rows, up**2)
    bulge = np.maximum(bulge, thick / 2)
    lines = np.where(rows > 1 - seal, 1.0, 0.0) * (np.arange(len(rows)) % 2 - 0.5) * thick * 0.8
    return Film(rows * height, left, right, bulge + lines[:, None], bulge - lines[:, None])
