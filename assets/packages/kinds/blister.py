"""Blister packs: a printed card with a hang hole and, in front of it, an opaque tinted dome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from assets.mesh.types import Material, Mesh
from assets.packages.print.artwork import render_panel, render_window
from assets.packages.shapes.film import add_slab
from assets.packages.shapes.panels import background_color
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FACE_FRONT, PAPER, PackagePlan
from assets.packages.shapes.rings import UPWARDS, add_lid, lift, rounded_loop
from assets.packages.shapes.round import profile_rows
from assets.packages.shapes.sheet import Sheet

CARD_M, CORNER_M = 0.0008, 0.004
# Borders of the card around the dome: left and right, below, above, as fractions of the card.
ASIDE, BELOW, ABOVE = 0.09, 0.06, 0.42
DOME_ROUGHNESS = 0.08
# Height of the hole as a fraction of the card's; its colour.
HOLE, DARK = 0.07, (38, 38, 40)


def build(plan: PackagePlan) -> Mesh:
    """Build a card with a dome towards the front."""
    width, _, height = (float(side) for side in plan.size)
    dome = ((1 - 2 * ASIDE) * width, (1 - BELOW - ABOVE) * height)
    sheet = Sheet(plan, {"front": (width, height), "back": (width, height)})
    glossy = Sheet(plan, {"front": dome}, {"background": (226, 232, 236)})
    sheet.render("back", "back")
    if "front" not in plan.art.sides:
        sheet.paste("front", _render_card(plan, sheet.size("front")))
        glossy.paste("front", render_window(plan.sku, glossy.size("front"), background_color(plan)))
    else:
        sheet.render("front", "front")
        card = sheet.panel("front")
        down, across = card.shape[:2]
        rows, columns = slice(round(down * ABOVE), round(down * (1 - BELOW))), slice(round(across * ASIDE), None)
        behind = Image.fromarray(np.ascontiguousarray(card[rows, columns][:, : round(across * (1 - 2 * ASIDE))]))
        glossy.paste("front", behind.resize(glossy.size("front"), Image.Resampling.BOX))
    pieces = Pieces()
    _add_card(pieces, plan, sheet)
    _add_dome(pieces, plan, glossy)
    return pieces.mesh(plan.size)


def _render_card(plan: PackagePlan, size: tuple[int, int]) -> Image.Image:
    """Render a card with all texts above the dome and a dark hang hole: a slot with a round middle."""
    width, height = size
    background = background_color(plan)
    card = Image.new("RGB", size, background)
    top = round(height * HOLE)
    card.paste(render_panel("front", plan.sku, (width, max(round(height * ABOVE) - top, 16)), background), (0, top))
    x, y, r = width / 2, top / 2, min(width * 0.04, height * 0.022)
    draw = ImageDraw.Draw(card)
    draw.rounded_rectangle((x - 3.2 * r, y - 0.45 * r, x + 3.2 * r, y + 0.45 * r), r * 0.45, fill=DARK)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=DARK)
    return card


def _add_card(pieces: Pieces, plan: PackagePlan, sheet: Sheet) -> None:
    width, depth, height = (float(side) for side in plan.size)
    thick = min(CARD_M, depth * 0.2)
    profile = plan.art.profile
    if profile is not None:
        rows = profile.heights[profile_rows(profile)]
        left, right = (np.interp(rows, profile.heights, border) * width for border in (profile.left, profile.right))
        right = np.maximum(right, left + 0.004 * width)
    else:
        corner = min(CORNER_M, width / 4, height / 4)
        turn = corner * (1 - np.cos(np.linspace(0, np.pi / 2, 6)))
        rows = np.concatenate([turn, height - turn[::-1]]) / height
        from_end = np.minimum(rows, 1 - rows) * height
        cut = corner - np.sqrt(np.maximum(corner**2 - np.maximum(corner - from_end, 0) ** 2, 0))
        left, right = cut - width / 2, width / 2 - cut
    share = np.stack([np.stack([left, right], 1) / width + 0.5, np.repeat(rows[:, None], 2, 1)], axis=2)
    uv = (sheet.uv("front", share), sheet.uv("back", share * [-1, 1] + [1, 0]))
    flat = np.ones(len(rows))
    near, far = (depth / 2 - thick) * flat, depth / 2 * flat
    add_slab(pieces, (rows * height, left, right), near, far, uv, sheet.material(PAPER))


def _add_dome(pieces: Pieces, plan: PackagePlan, sheet: Sheet) -> None:
    width, depth, height = (float(side) for side in plan.size)
    x, y = (0.5 - ASIDE) * width, (1 - BELOW - ABOVE) / 2 * height
    middle = BELOW * height + y
    card = min(CARD_M, depth * 0.2)
    tall, shorter = depth - card, min(x, y)
    lip, corner = min(0.004, shorter * 0.12), min(0.012, shorter * 0.4)
    edge = min(0.006, tall * 0.3, shorter * 0.2)
    lean = min(tall * 0.12, shorter * 0.1)
    bend = np.linspace(0, np.pi / 2, 5)
    steps = [(0.0, card * 0.5), (0.0, card + tall * 0.03), (lip, card + tall * 0.03)]
    steps += [(lip + lean + edge * (1 - np.cos(t)), card + tall - edge * (1 - np.sin(t))) for t in bend]
    rings = np.stack([lift(rounded_loop(x - inset, y - inset, corner, 6), z) for inset, z in steps])
    front = rings @ FACE_FRONT.T
    front += [0, depth / 2, middle]
    share = np.stack([front[..., 0] / (2 * x) + 0.5, (front[..., 2] - middle) / (2 * y) + 0.5], axis=2)
    _add_shell(pieces, front, sheet.uv("front", share), sheet.material(DOME_ROUGHNESS))


def _add_shell(pieces: Pieces, rings: NDArray, uv: NDArray, material: Material) -> None:
    """Add a body of rings around the Y axis, with its own texture coordinates and flat ends."""
    for first, last in ((0, 2), (1, 3), (2, len(rings))):
        pieces.add_patch(rings[first:last], uv[first:last], material, around=True)
    for row, up in ((-1, True), (0, False)):
        add_lid(pieces, rings[row], uv[row], material, up=up, axis=FACE_FRONT @ UPWARDS)
