"""Bays of a supermarket: products in facings on boards with price tags, seen from the aisle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from assets.fixtures.boards import CLEARANCE
from assets.fixtures.gondola import GondolaFixture, board_back
from assets.fixtures.surface import Surface
from assets.planogram.types import Planogram
from assets.props.look import FixtureValue
from render.layout import SceneLayout, SceneRequest
from render.placement.hanging import hook_places, wire_height
from render.placement.shelving import BayRanges, BoardPlan
from render.recipes.boards import Fittings, ShelvesRecipe
from render.recipes.parts import Section, Share, Span
from render.recipes.planograms import PlanogramStand, back_of, bay_spans, lay_out_planogram, plinth_of
from render.recipes.shelves import (
    BayPlans,
    lay_out_shelves,
    sample_paint,
    sample_room,
    stand_bay,
    tint,
)
from render.recipes.shop import Bay, stand_fixture
from render.scene import Placement
from render.streams import StreamPurpose

# Widths and depths of bays, metres, and the step of their boards: Europe, USA.
WIDTHS = ((0.8, 1.0, 1.25, 1.33), (0.914, 1.219))
DEPTHS = ((0.37, 0.47, 0.57), (0.41, 0.48, 0.56))
STEPS = (0.05, 0.0254)
UPRIGHT_M = 0.03


class Bays(Section):
    """The bays."""

    height_m: Span = Field((1.2, 2.1), description="of the highest board at most, metres")
    headroom_m: Span = Field((0.03, 0.12), description="over the products of a board, metres")
    pegboard: Share = Field(0.15, description="chance of a perforated back panel")
    hooks: Share = Field(
        0.6, description="chance that light bags, pouches and blister cards hang from hooks in a perforated panel"
    )
    slope: Share = Field(0.1, description="chance that boards slope towards the front, without hooks over them")
    goods: Share = Field(0.2, description="chance that neighbouring bays show painted goods, which are not labelled")
    us: Share = Field(0.4, description="chance of bays in sizes of the USA; otherwise those of Europe")


class ShelfRecipe(ShelvesRecipe):
    """Ranges of the shelf recipe."""

    bays: Bays = Field(default_factory=Bays, description="the bays")

    def without_planograms(self) -> str:
        return ""


SETTINGS = ShelfRecipe


def lay_out(recipe: ShelfRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out gondola bays in a room; all views share them."""
    rng = request.streams.scene(StreamPurpose.TABLE)
    if request.planogram is not None:
        return lay_out_planogram(recipe, request, lambda planogram: _gondolas_around(recipe, request, planogram, rng))
    region = int(rng.random() < recipe.bays.us)
    ranges = BayRanges(
        width=float(rng.choice(WIDTHS[region])),
        height=float(rng.uniform(*recipe.bays.height_m)),
        base=float(np.round(rng.uniform(0.1, 0.2), 2)),
        depth=float(rng.choice(DEPTHS[region])),
        headroom=recipe.bays.headroom_m,
        step=STEPS[region],
    )
    pegboard = bool(rng.random() < recipe.bays.pegboard)
    slope = float(rng.uniform(4, 12)) if rng.random() < recipe.bays.slope else 0.0
    hooks = request.streams.scene(StreamPurpose.HOOKS)
    if pegboard and hooks.random() < recipe.bays.hooks:
        ranges, slope = replace(ranges, hooks=round(float(hooks.uniform(0.15, 0.3)), 3)), 0.0
    ranges = replace(ranges, slope=np.radians(slope))

    def build(ranges: BayRanges, plans: BayPlans) -> Fittings:
        bays = _gondolas(recipe, ranges, plans, pegboard, rng=rng)
        hooked = [_add_hooks(bay, plan, ranges) for bay, plan in zip(bays, plans, strict=True)]
        width, top = len(bays) * (ranges.width + UPRIGHT_M), max(plan[-1].height for plan in plans) + 0.3
        goods = bool(rng.random() < recipe.bays.goods)
        reach = recipe.camera.reach(width, top, request.aspect)
        room = sample_room(width, ranges.depth + 0.05, top, reach, goods=goods, rng=rng)
        hung = (row for _, rows in hooked for row in rows)
        return Fittings(tuple(bay for bay, _ in hooked), (*hung, room))

    return lay_out_shelves(recipe, request, ranges, build)


def _gondolas(
    recipe: ShelfRecipe, ranges: BayRanges, plans: BayPlans, pegboard: bool, *, rng: np.random.Generator
) -> tuple[Bay, ...]:
    """Stand one gondola per plan side by side, with their fronts in one plane."""
    slope = float(np.degrees(ranges.slope))
    color, panel = sample_paint(rng=rng), sample_paint(rng=rng)
    rail = float(rng.choice([0.026, 0.03, 0.039, 0.039, 0.052]))
    tilt, rail_color = float(rng.uniform(0, 25)), tint((0.9, 0.9, 0.88), rng=rng)
    bays = []
    for number, plan in enumerate(plans):
        top = max(plan[-1].height + float(rng.uniform(0.2, 0.45)), plan[-1].top if plan[-1].hangs else 0.0)
        bay = stand_bay(
            "gondola",
            "bay",
            number,
            ranges,
            plans,
            ranges.width + UPRIGHT_M,
            slopes_deg=tuple(slope if i else 0.0 for i in range(sum(not board.hangs for board in plan))) or (0.0,),
            height=round(min(max(top, 0.4), 3.0), 3),
            back="pegboard" if pegboard else "panel",
            rail_height=rail,
            rail_tilt_deg=tilt,
            rail_color=rail_color,
            color=color,
            back_color=panel,
            slot_step=ranges.step,
        )
        bays.append(bay)
    return tuple(bays)


def _add_hooks(bay: Bay, plan: tuple[BoardPlan, ...], ranges: BayRanges) -> tuple[Bay, list[Placement]]:
    """Hang the rows of hooks of a plan into a gondola; return it with their surfaces, and the rows."""
    assert bay.placement.fixture is not None
    gondola = GondolaFixture.model_validate(dict(bay.placement.fixture.settings))
    hung = [board for board in plan if board.hangs]
    surfaces = [_below_hooks(surface, hung) for surface in bay.surfaces]
    rows = []
    for row in hung:
        blocks = [product.block for product in row.products]
        places = hook_places(blocks, ranges.width)
        gondola_from_row = np.eye(4)
        gondola_from_row[1:3, 3] = board_back(gondola) - ranges.hooks / 2, row.height
        hooks = stand_fixture(
            "hooks",
            bay.placement.world_from_object @ gondola_from_row,
            f"{bay.name} hooks",
            width=ranges.width,
            depth=ranges.hooks,
            height=round(wire_height(blocks), 4),
            hooks=tuple(round(x, 4) for block in places for x in block),
            plate=gondola.rail_height,
        )
        rows.append(hooks.placement)
        surfaces += [surface.moved(gondola_from_row) for surface in hooks.surfaces]
    return replace(bay, surfaces=tuple(surfaces)), rows


def _below_hooks(surface: Surface, hung: Sequence[BoardPlan]) -> Surface:
    """Return a level board whose free height ends below what hangs over it."""
    free = (row.height - CLEARANCE - float(surface.fixture_from_surface[2, 3]) for row in hung)
    return replace(surface, height=min([surface.height, *free]))


def _gondolas_around(
    recipe: ShelfRecipe, request: SceneRequest, planogram: Planogram, rng: np.random.Generator
) -> PlanogramStand:
    """Stand uprights, back panels and bases around the shelves of a planogram."""
    color, panel, tilt = sample_paint(rng=rng), sample_paint(rng=rng), float(rng.uniform(0, 25))
    rail = float(rng.choice([0.026, 0.03, 0.039, 0.039, 0.052]))
    back = back_of(planogram)
    shared: dict[str, FixtureValue] = {
        "boards": (),
        "board_depths": (float(np.clip(back, 0.1, 1.5)),),
        "rail_height": 0.0,
        "height": float(np.clip(planogram.height, 0.3, 3.0)),
        "color": color,
        "back_color": panel,
        "kick": plinth_of(planogram, 0.3),
        "slot_step": float(np.clip(planogram.notch_spacing or 0.05, 0.01, 0.1)),
    }
    bays = []
    for number, (x, width) in enumerate(bay_spans(planogram), start=1):
        pose = np.eye(4)
        pose[0, 3] = x
        bays.append(stand_fixture("gondola", pose, f"bay {number}", width=max(width, 0.2), **shared).placement)
    wall = board_back(GondolaFixture.model_validate(shared))
    goods = bool(rng.random() < recipe.bays.goods)
    reach = recipe.camera.reach(planogram.width, planogram.height, request.aspect)
    width, depth = planogram.width + UPRIGHT_M, min(back + 0.05, 1.5)
    room = sample_room(width, depth, planogram.height, reach, goods=goods, rng=rng)
    rail_color = tint((0.9, 0.9, 0.88), rng=rng)
    look: dict[str, FixtureValue] = {
        "rail_height": rail,
        "rail_tilt_deg": tilt,
        "rail_color": rail_color,
        "color": color,
        "back_color": panel,
    }
    return PlanogramStand(wall - back, look, (*bays, room))
