"""Jars: a filled glass or plastic body with a label and a wide lid; tubs if they are wider than high."""

from __future__ import annotations

import numpy as np

from assets.mesh.types import Mesh
from assets.packages.print.label_colors import blend, flavour_color
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FILM, PAPER, PackagePlan, solid_material
from assets.packages.shapes.round import Outline, add_outlines, add_profiled, has_packshot
from assets.packages.shapes.wrap import label_material

# Height and protrusion of a lid, metres.
LID_M, STEP_M = 0.016, 0.0012
# Wider than this fraction of its height, a jar is a tub with sloped walls.
TUB = 1.05


def build(plan: PackagePlan) -> Mesh:
    """Build a jar with a lid that hides its neck, or a tub."""
    pieces = Pieces()
    if has_packshot(plan):
        add_profiled(pieces, plan)
    elif plan.size[0] > TUB * plan.size[2]:
        _add_tub(pieces, plan)
    else:
        _add_jar(pieces, plan)
    return pieces.mesh(plan.size)


def _add_jar(pieces: Pieces, plan: PackagePlan) -> None:
    r, h = float(plan.size[0]) / 2, float(plan.size[2])
    background, second, _ = plan.colors
    filling = solid_material(blend(flavour_color(plan.sku.name) or background, (70, 60, 50), 0.15), 0.12)
    lid = solid_material(second, 0.3, 0.4)
    tall, bend = min(LID_M, h * 0.2), np.linspace(0, np.pi / 2, 6)
    neck, round_m = r * 0.86, min(r * 0.25, h * 0.06)
    stand_off = min(2e-4, r * 0.01)
    body, low, high = r - stand_off, h * 0.16, h * 0.64
    foot = [(body - round_m * (1 - np.sin(t)), round_m * (1 - np.cos(t))) for t in bend]
    shoulder_low, shoulder_high = h * 0.72, h - tall
    shoulder = [
        (neck + (body - neck) * np.cos(t), shoulder_low + (shoulder_high - shoulder_low) * np.sin(t)) for t in bend
    ]
    label = label_material(plan, float(np.pi * (plan.size[0] + plan.size[1]) / 2), high - low, PAPER)
    rim: Outline = [(neck, shoulder_high), (r * 0.92, shoulder_high)]
    top, edge = r * 0.92, min(STEP_M, tall * 0.2)
    cover: Outline = [(top, shoulder_high), (top, h - edge), (top - edge, h), (top * 0.8, h), (top * 0.78, h - edge)]
    add_outlines(
        pieces,
        plan,
        [
            (filling, [*foot, (body, low), (r, low)]),
            (label, [(r, low), (r, high)]),
            (filling, [(r, high), (body, high), *shoulder]),
            (lid, rim),
            (lid, cover),
        ],
    )


def _add_tub(pieces: Pieces, plan: PackagePlan) -> None:
    r, h = float(plan.size[0]) / 2, float(plan.size[2])
    _, second, third = plan.colors
    tall = min(LID_M * 0.8, h * 0.16)
    edge = min(STEP_M, tall * 0.25, r * 0.05)
    low, high, base, body = h * 0.05, h - tall, r * 0.86, r * 0.965
    tub, lid = solid_material(third, FILM), solid_material(second, FILM)
    label = label_material(plan, float(np.pi * (plan.size[0] + plan.size[1]) / 2 * 0.92), high - low, FILM)
    cover: Outline = [
        (r - edge, high),
        (r, high + edge),
        (r, h - edge),
        (r - edge, h),
        (r * 0.9, h),
        (r * 0.88, h - edge),
    ]
    add_outlines(
        pieces,
        plan,
        [
            (tub, [(base - edge, 0), (base, edge), (base + (body - base) * 0.05, low)]),
            (label, [(base + (body - base) * 0.05, low), (body, high)]),
            (lid, [(body, high), (r - edge, high)]),
            (lid, cover),
        ],
    )
