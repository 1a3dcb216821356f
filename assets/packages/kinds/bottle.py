"""Bottles: the packshot's outline, or one of several families of outlines without a packshot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assets.mesh.types import Mesh
from assets.packages.print.label_colors import blend, flavour_color, hash_number
from assets.packages.print.lettering import Rgb
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FILM, PAPER, PackagePlan, solid_material
from assets.packages.shapes.round import Outline, add_outlines, add_profiled, has_packshot
from assets.packages.shapes.wrap import label_material

# With a smaller ratio of the horizontal sizes a bottle has an oval section: detergent, oil, shampoo.
OVAL = 0.8
WORDS = {
    "wine": {"wine", "champagne", "prosecco", "spirits", "vodka", "gin", "rum", "whisky", "vinegar", "liqueur"},
    "longneck": {"beer", "ale", "lager", "cider", "stout"},
    "soda": {"cola", "soda", "lemonade", "carbonated", "sparkling", "tonic", "energy"},
    "water": {"water"},
    "oval": {"shampoo", "detergent", "cleaner", "softener", "lotion", "oil", "soap", "ketchup", "mustard"},
}
BEND = np.linspace(0, np.pi / 2, 7)


def build(plan: PackagePlan) -> Mesh:
    """Build a bottle with shoulder, neck and cap."""
    pieces = Pieces()
    if has_packshot(plan):
        add_profiled(pieces, plan)
    else:
        family = family_of(plan)
        _add_bottle(pieces, plan, family)
    return pieces.mesh(plan.size)


def family_of(plan: PackagePlan) -> str:
    """Return the family of outlines from the words of name and category, the section, or else the brand."""
    words = set(f"{plan.sku.category} {plan.sku.name}".lower().split())
    for family, known in WORDS.items():
        if words & known:
            return family
    if not OVAL < plan.size[1] / plan.size[0] < 1 / OVAL:
        return "oval"
    return ("juice", "water", "soda")[hash_number(plan.sku.brand or plan.sku.name, 3)]


def _add_bottle(pieces: Pieces, plan: PackagePlan, family: str) -> None:
    r, h = float(plan.size[0]) / 2, float(plan.size[2])
    body, neck_cap, (low, high) = FAMILIES[family](r, h)
    color, glass = _body_color(plan, family)
    plastic = solid_material(color, 0.12 if glass else 0.22)
    cap = solid_material(plan.colors[1] if plan.colors[1] != color else plan.colors[2], 0.4, 0.5 if glass else 0.0)
    straight = max(radius for radius, _ in body)
    stand_off = min(3e-4, r * 0.01)
    outer = straight
    below = [(radius - stand_off, z) for radius, z in body if z < low]
    above = [(radius - stand_off * (radius > straight * 0.9), z) for radius, z in body if z > high]
    around = float(np.pi * (plan.size[0] + plan.size[1]) / 2)
    label = label_material(plan, around, high - low, PAPER if glass else FILM)
    add_outlines(
        pieces,
        plan,
        [
            (plastic, [*below, (outer - stand_off, low), (outer, low)]),
            (label, [(outer, low), (outer, high)]),
            (plastic, [(outer, high), (outer - stand_off, high), *above, neck_cap[0]]),
            (cap, neck_cap),
        ],
        exponent=2.6 if family == "oval" else 2.0,
    )


def _body_color(plan: PackagePlan, family: str) -> tuple[Rgb, bool]:
    """Return the colour of the body and whether it is glass."""
    background, _, _ = plan.colors
    if family == "wine":
        return ((28, 46, 26), (52, 34, 14), (70, 78, 60))[hash_number(plan.sku.brand or plan.sku.name, 3)], True
    if family == "longneck":
        return ((74, 40, 14), (24, 60, 30))[hash_number(plan.sku.brand or plan.sku.name, 2)], True
    if family == "water":
        return blend(background, (206, 226, 236), 0.75), False
    if family == "soda":
        return blend(flavour_color(plan.sku.name) or background, (40, 24, 18), 0.35), False
    return background, False


Family = tuple[Outline, Outline, tuple[float, float]]


def _foot(r: float, h: float, share: float) -> Outline:
    tall = min(h * 0.03, r * 0.3)
    return [(r * (1 - share * (1 - np.sin(t))), tall * (1 - np.cos(t))) for t in BEND]


def _shoulder(r: float, neck: float, low: float, high: float) -> Outline:
    """Return an S curve from the body to the neck."""
    return [(neck + (r - neck) * (0.5 + 0.5 * np.cos(2 * t)), low + (high - low) * t / (np.pi / 2)) for t in BEND]


def _cap(neck: float, r: float, low: float, h: float) -> Outline:
    edge = min(0.001, r * 0.05, (h - low) * 0.2)
    return [(neck, low), (r, low), (r, h - edge), (r - edge, h)]


def _juice_family(r: float, h: float) -> Family:
    neck = r * 0.36
    body = [*_foot(r, h, 0.1), *_shoulder(r, neck, h * 0.58, h * 0.82)]
    return body, _cap(neck, neck * 1.18, h * 0.88, h), (h * 0.1, h * 0.54)


def _water_family(r: float, h: float) -> Family:
    """Return ribs in the lower half, a round shoulder and a flat cap."""
    neck = r * 0.38
    ribs = [(r * (1 - 0.035 * (number % 2)), h * (0.07 + 0.025 * number)) for number in range(11)]
    dome = [(neck + (r - neck) * np.cos(t), h * (0.66 + 0.2 * np.sin(t))) for t in BEND]
    return [*_foot(r, h, 0.16), *ribs, *dome], _cap(neck, neck * 1.15, h * 0.925, h), (h * 0.36, h * 0.62)


def _soda_family(r: float, h: float) -> Family:
    """Return a narrow foot, a waist below the label and a long cone."""
    neck = r * 0.38
    waist = [(r * (1 - 0.09 * np.sin(t)), h * (0.12 + 0.26 * t / np.pi)) for t in np.linspace(0, np.pi, 9)]
    cone = [(neck + (r - neck) * (1 - t) ** 1.25, h * (0.66 + 0.25 * t)) for t in np.linspace(0, 1, 7)]
    return [*_foot(r, h, 0.3), *waist, *cone], _cap(neck, neck * 1.12, h * 0.935, h), (h * 0.4, h * 0.64)


def _wine_family(r: float, h: float) -> Family:
    """Return a long cylinder, a short shoulder and a long neck with foil."""
    neck = r * 0.38
    body = [*_foot(r, h, 0.06), *_shoulder(r, neck, h * 0.56, h * 0.72)]
    foil = neck * 1.05
    lip: Outline = [(foil, h * 0.955), (foil * 1.1, h * 0.96), (foil * 1.1, h * 0.985), (foil, h)]
    return body, [(neck, h * 0.76), (foil, h * 0.76), *lip], (h * 0.14, h * 0.46)


def _longneck_family(r: float, h: float) -> Family:
    neck = r * 0.44
    body = [*_foot(r, h, 0.08), *_shoulder(r, neck * 1.15, h * 0.55, h * 0.74), (neck, h * 0.92)]
    crown: Outline = [(neck, h * 0.955), (neck * 1.18, h * 0.958), (neck * 1.1, h * 0.985), (neck * 0.95, h)]
    return body, crown, (h * 0.12, h * 0.44)


def _oval_family(r: float, h: float) -> Family:
    """Return broad shoulders and a low, wide cap."""
    neck = r * 0.34
    dome = [(neck + (r - neck) * np.cos(t) ** 0.8, h * (0.7 + 0.14 * np.sin(t))) for t in BEND]
    return [*_foot(r, h, 0.1), *dome], _cap(neck, neck * 1.25, h * 0.86, h), (h * 0.08, h * 0.64)


FAMILIES: dict[str, Callable[[float, float], Family]] = {
    "juice": _juice_family,
    "water": _water_family,
    "soda": _soda_family,
    "wine": _wine_family,
    "longneck": _longneck_family,
    "oval": _oval_family,
}
