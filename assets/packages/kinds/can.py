"""Cans: a wall with a label or print, protruding rims, a recessed lid with rings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assets.mesh.types import Material, Mesh
from assets.packages.packshots.silhouette import Profile
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import METAL, PAPER, PackagePlan, solid_material
from assets.packages.shapes.rings import add_lid, add_wall, oval_rings, unit_loop
from assets.packages.shapes.round import Outline, add_outlines, add_profiled, has_packshot
from assets.packages.shapes.wrap import label_material

TIN = (205, 205, 202)
# Height and protrusion of a double seam, metres.
RIM_M, SEAM_M = 0.0035, 0.0008
# Fraction of a packshot's height at each end that may be the curve of the lid.
ENDS = 0.04


def build(plan: PackagePlan) -> Mesh:
    """Build a can with rims and a recessed lid."""
    pieces = Pieces()
    tin = solid_material(TIN, METAL, 1.0)
    r, h = float(plan.size[0]) / 2, float(plan.size[2])
    rim = min(RIM_M, h * 0.05, r * 0.2)
    if has_packshot(plan):
        rings = add_profiled(pieces, _with_flat_ends(plan), PAPER, top=tin)
        _add_recess(pieces, plan, rings[-1], rim, tin)
        return pieces.mesh(plan.size)
    wall = r - min(SEAM_M, r * 0.05)
    low, high = rim * 1.6, h - rim * 1.6
    around = float(np.pi * (plan.size[0] + plan.size[1]) / 2)
    label = label_material(plan, around, high - low, PAPER)
    foot: Outline = [(r * 0.9, rim), (r * 0.93, 0), (r * 0.985, 0), (r, rim * 0.6), (wall, low)]
    seam: Outline = [(wall, high), (r, h - rim * 0.6), (r * 0.985, h), (r * 0.93, h), *_lid_outline(r, h, rim)]
    add_outlines(pieces, plan, [(tin, foot), (label, [(wall, low), (wall, high)]), (tin, seam)])
    return pieces.mesh(plan.size)


def _with_flat_ends(plan: PackagePlan) -> PackagePlan:
    """Return the plan with straight ends: a packshot from slightly above or below shows the ends as curves."""
    profile = plan.art.profile
    assert profile is not None  # has_packshot was asked
    inner = np.clip(profile.heights, ENDS, 1 - ENDS)
    left = np.minimum(profile.left, np.interp(inner, profile.heights, profile.left))
    right = np.maximum(profile.right, np.interp(inner, profile.heights, profile.right))
    return replace(plan, art=replace(plan.art, profile=Profile(profile.heights, left, right)))


def _lid_outline(r: float, h: float, rim: float) -> Outline:
    """Return the outline inwards from the rim: down to the lid, a raised ring, the flat middle."""
    low = h - rim
    return [(r * 0.9, low), (r * 0.72, low), (r * 0.68, low + rim * 0.3), (r * 0.64, low)]


def _add_recess(pieces: Pieces, plan: PackagePlan, border: np.ndarray, rim: float, tin: Material) -> None:
    """Add the lid inside the rim of a body whose wall ends at `border` (N + 1, 3)."""
    h = float(border[0, 2])
    middle, half = border[:, :2].mean(axis=0), np.ptp(border[:, :2], axis=0) / 2
    outline = np.array([(1.0, h), (0.95, h), *_lid_outline(1.0, h, rim)])
    unit = unit_loop(float(half[1] / half[0]), segments=plan.segments)
    rings = oval_rings(unit, outline[:, 0] * half[0], outline[:, 0] * half[1], outline[:, 1])
    rings[:, :, :2] += middle
    rings[0] = border
    add_wall(pieces, rings, np.zeros(len(rings)), tin)
    add_lid(pieces, rings[-1], np.zeros(2), tin, up=True)
