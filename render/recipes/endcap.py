"""End caps: a narrow bay at the end of an aisle, under a sign, with large blocks of a few products on offer."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from render.layout import SceneLayout, SceneRequest
from render.placement.shelving import BayRanges
from render.recipes.boards import Fittings, ShelvesRecipe
from render.recipes.parts import Section, Share, Span
from render.recipes.shelves import (
    BayPlans,
    lay_out_shelves,
    sample_paint,
    sample_room,
    stand_bay,
    tint,
)
from render.recipes.shop import AisleCamera, PriceTags, ShelfProducts
from render.streams import StreamPurpose

# Widths and depths, metres (36 in is the rule in the USA).
WIDTHS, DEPTHS = (0.665, 0.8, 0.914, 1.0), (0.37, 0.41, 0.47, 0.56)
# Metres between end caps that stand side by side, each with its side panels.
APART = 0.08


class EndCaps(Section):
    """The end caps."""

    height_m: Span = Field((1.1, 1.6), description="of the highest board at most, metres")
    headroom_m: Span = Field((0.03, 0.15), description="over the products of a board, metres")
    header: Share = Field(0.8, description="chance of a sign on top")
    sides: Share = Field(0.7, description="chance of side panels")


class EndcapRecipe(ShelvesRecipe):
    """Ranges of the end cap recipe."""

    products: ShelfProducts = Field(
        default_factory=lambda: ShelfProducts(
            count=(2, 8), facings=(2, 10), rows=(1, 4), stack=0.8, missing=(0.0, 0.35), misplaced=(0.0, 0.05)
        ),
        description="what stands on the boards",
    )
    tags: PriceTags = Field(default_factory=lambda: PriceTags(electronic=0.15), description="price tags")
    camera: AisleCamera = Field(
        default_factory=lambda: AisleCamera(side_deg=(-35.0, 35.0)), description="where the image is taken from"
    )
    caps: EndCaps = Field(default_factory=EndCaps, description="the end caps")


SETTINGS = EndcapRecipe


def lay_out(recipe: EndcapRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out end caps in a room, mostly one; all views share them."""
    rng = request.streams.scene(StreamPurpose.TABLE)
    ranges = BayRanges(
        width=float(rng.choice(WIDTHS)),
        height=float(rng.uniform(*recipe.caps.height_m)),
        base=float(np.round(rng.uniform(0.1, 0.2), 2)),
        depth=float(rng.choice(DEPTHS)),
        headroom=recipe.caps.headroom_m,
    )
    return lay_out_shelves(recipe, request, ranges, lambda fitted, plans: _fittings(recipe, fitted, plans, rng))


def _fittings(recipe: EndcapRecipe, ranges: BayRanges, plans: BayPlans, rng: np.random.Generator) -> Fittings:
    """Stand one end cap per plan."""
    color, back = sample_paint(rng=rng), sample_paint(rng=rng)
    sign = tuple(float(part) for part in rng.uniform(0.05, 0.95, size=3))
    header = float(np.round(rng.uniform(0.15, 0.4), 2)) if rng.random() < recipe.caps.header else 0.0
    sides, rail = bool(rng.random() < recipe.caps.sides), float(rng.choice([0.03, 0.039, 0.052]))
    pitch, bays = ranges.width + APART, []
    for number, plan in enumerate(plans):
        bay = stand_bay(
            "gondola",
            "end cap",
            number,
            ranges,
            plans,
            pitch,
            height=round(min(plan[-1].height + float(rng.uniform(0.35, 0.5)), 2.4), 3),
            rail_height=rail,
            rail_tilt_deg=float(rng.uniform(0, 25)),
            rail_color=tint((0.9, 0.9, 0.88), rng=rng),
            color=color,
            back_color=back,
            header=header,
            header_color=sign,
            sides=sides,
        )
        bays.append(bay)
    room = sample_room(len(plans) * pitch + 0.4, ranges.depth + 0.05, 0.5, goods=False, rng=rng)
    return Fittings(tuple(bays), (room,))
