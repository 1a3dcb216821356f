"""Planning of bays of shelves, for recipes that differ in their fixtures: which product stands on which board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from assets.props.look import Color, FixtureValue
from render.layout import SceneLayout, SceneRequest, Support
from render.placement.capping import cap_block
from render.placement.facings import FacingBlock, FacingParams, set_in_facings
from render.placement.hanging import can_hang, hang_blocks
from render.placement.leaning import lean_items
from render.placement.shelving import BayRanges, BoardPlan, ShelfProduct, plan_bays
from render.recipes.boards import Board, Fittings, ShelvesRecipe, lay_out_boards
from render.recipes.shop import FLOORS, PAINTS, Bay, CameraReach, stand_fixture
from render.scene import Placement
from render.streams import StreamPurpose

# Bays as planned, from the left: the boards of each, from below.
BayPlans = tuple[tuple[BoardPlan, ...], ...]
# Of aisles and lamps over them, metres, and colours of lamps, sRGB: 6500, 4000 and 3000 K.
MAX_AISLE, MAX_LAMPS = 9.0, 8.0
LAMPS = ((1.0, 1.0, 1.0), (1.0, 0.92, 0.82), (1.0, 0.85, 0.68))


def lay_out_shelves(
    recipe: ShelvesRecipe, request: SceneRequest, ranges: BayRanges, build: Callable[[BayRanges, BayPlans], Fittings]
) -> SceneLayout:
    """Plan the bays, fill their boards, then hang tags; all views share the shelf.

    ranges: limits of the bays; gap and columns follow from the recipe. build: builds the fixtures, one per planned bay,
    whose surfaces are its boards.
    """
    layout = request.streams.scene(StreamPurpose.LAYOUT)
    ranges, products = sample_products(recipe, request, ranges, rng=layout)
    ranges = replace(ranges, gap=recipe.products.gap_m[1])
    plans = plan_bays(products, ranges, rng=layout)
    fittings = build(ranges, plans)
    untidy = request.streams.scene(StreamPurpose.UNTIDY)
    boards = [
        _fill_board(recipe, bay, number, board, layout, untidy)
        for bay, plan in zip(fittings.bays, plans, strict=True)
        for number, board in enumerate(plan)
    ]
    return lay_out_boards(recipe, request, boards, fittings, recipe.products, layout)


def sample_products(
    recipe: ShelvesRecipe, request: SceneRequest, ranges: BayRanges, *, rng: np.random.Generator
) -> tuple[BayRanges, list[ShelfProduct]]:
    """Sample facings of each product, those that are sold out too; the bays have room for the largest one."""
    products = [_wanted(recipe, request, ranges, sku, number, rng) for number, sku in enumerate(request.skus)]
    products += _sold_out(recipe, request, ranges, rng)
    return replace(widened(ranges, products), columns=recipe.products.facings[1]), products


def widened(ranges: BayRanges, products: Sequence[ShelfProduct]) -> BayRanges:
    """Return bays with room for the largest product, so that no SKU is left out."""
    widest = max((float(product.block.size[0]) for product in products), default=0.0)
    deepest = max((float(product.block.size[1]) for product in products), default=0.0)
    return replace(
        ranges,
        width=max(ranges.width, round(widest + 0.06, 2)),
        depth=max(ranges.depth, round(deepest + 0.06, 2)),
    )


def _wanted(
    recipe: ShelvesRecipe,
    request: SceneRequest,
    ranges: BayRanges,
    sku: str,
    number: int,
    rng: np.random.Generator,
) -> ShelfProduct:
    """Sample facings, rows and layers of a product. number: its place in the request, -1 if it is not among those."""
    wanted = recipe.products
    # Few products have many facings: the count is uniform in its logarithm.
    low, high = np.log(np.array(wanted.facings) + [0, 1])
    columns = int(np.exp(rng.uniform(low, high)))
    rows = int(rng.integers(wanted.rows[0], wanted.rows[1] + 1))
    layers = int(rng.integers(2, 5)) if rng.random() < wanted.stack else 1
    turn = np.round(request.orientations[number][0] * 4) * np.pi / 2 if request.orientations and number >= 0 else 0.0
    block = FacingBlock(request.library.rest(sku), max(columns, 1), rows, float(turn), layers, stocked=number >= 0)
    found = request.library.catalog.find(sku)
    # Neither side of a card can be seen from the aisle: what must show one stands.
    hangs = ranges.hooks > 0 and abs(np.sin(block.turn)) < 0.5 and can_hang(found, block.size)
    return ShelfProduct(sku, found.brand, block, hangs)


def _sold_out(
    recipe: ShelvesRecipe, request: SceneRequest, ranges: BayRanges, rng: np.random.Generator
) -> list[ShelfProduct]:
    """Choose further products of the catalogue of which only the tags are there."""
    number = int(rng.binomial(len(request.skus), rng.uniform(*recipe.products.sold_out)))
    keys = request.library.catalog.keys
    others = {keys[int(i)] for i in rng.integers(len(keys), size=number)} - {*request.skus}
    return [_wanted(recipe, request, ranges, sku, -1, rng) for sku in sorted(others)]


def _fill_board(
    recipe: ShelvesRecipe,
    bay: Bay,
    number: int,
    plan: BoardPlan,
    rng: np.random.Generator,
    untidy: np.random.Generator,
) -> Board:
    """Set the blocks of one board. untidy: of what lies on others or leans."""
    ranges = recipe.products
    support = Support.of(bay.surfaces[number], bay.placement.world_from_object)
    params = FacingParams(
        gap=ranges.gap_m,
        setback=ranges.setback_m,
        turn=float(np.radians(rng.uniform(*ranges.turn_deg))),
        missing=float(rng.uniform(*ranges.missing)),
        sold_out=float(rng.uniform(*ranges.sold_out)),
    )
    wanted = [product.block for product in plan.products]
    if plan.hangs:
        blocks = hang_blocks(wanted, support, params.missing, params.sold_out, rng=rng)
    else:
        blocks = set_in_facings(wanted, support, params, rng=rng)
        blocks = tuple(
            cap_block(block, one, support, params.turn, rng=untidy) if untidy.random() < ranges.capped else one
            for block, one in zip(wanted, blocks, strict=True)
        )
        blocks = lean_items(wanted, blocks, support, float(untidy.uniform(*ranges.leaning)), rng=untidy)
    name = f"{bay.name}/{number + 1}"
    positions = tuple(f"{name}/{place}" for place in range(1, len(blocks) + 1))
    return Board(name, bay, number, support, plan.products, blocks, positions)


def stand_bay(
    kind: str, name: str, number: int, ranges: BayRanges, plans: BayPlans, pitch: float, **look: FixtureValue
) -> Bay:
    """Stand the fixture of plan `number` beside the others, `pitch` metres apart, around x = 0, fronts in one plane.

    name: of the bays, before their number from 1. look: settings beside sizes and boards.
    """
    pose = np.eye(4)
    pose[0, 3] = (number - (len(plans) - 1) / 2) * pitch
    return stand_fixture(
        kind,
        pose,
        f"{name} {number + 1}",
        width=ranges.width,
        boards=tuple(board.height for board in plans[number] if not board.hangs),
        board_depths=(ranges.depth,),
        thickness=ranges.thickness,
        **look,
    )


def sample_room(
    width: float,
    depth: float,
    top: float,
    reach: CameraReach,
    *,
    goods: bool,
    rng: np.random.Generator,
) -> Placement:
    """Sample what is around shelves of that whole width and depth, metres; the camera has room in it.

    top: height of the neighbours at least. goods: neighbours show painted goods.
    """
    far, opposite = bool(rng.random() < 0.5), reach.away + float(rng.uniform(0.2, 1.5))
    opposite = round(opposite, 2) if rng.random() < 0.6 and opposite < MAX_AISLE else 0.0
    lamps = round(max(float(rng.uniform(2.8, 4.5)), reach.high + 0.2), 2)
    return stand_fixture(
        "room",
        np.eye(4),
        "room",
        width=round(width + 2 * (float(rng.uniform(1, 4)) + far * reach.away), 2),
        aisle=max(opposite, 2.4),
        opposite=opposite,
        far=far,
        lamp_rows=int(rng.integers(4)) if lamps < MAX_LAMPS else 0,
        lamp_height=min(lamps, MAX_LAMPS),
        lamp_color=LAMPS[int(rng.integers(len(LAMPS)))],
        lamp_radiance=round(float(rng.uniform(4, 20)), 1),
        gap=round(width, 3),
        depth=round(depth, 3),
        height=round(min(max(top, 0.5) + float(rng.uniform(0.0, 0.3)), 3.0), 2),
        wall_height=float(rng.choice([0.0, 2.6, 3.0, 4.0])),
        wall_color=tint((0.8, 0.79, 0.76), rng=rng),
        floor_color=tint(FLOORS[int(rng.integers(len(FLOORS)))], rng=rng),
        floor_gloss=float(np.round(rng.uniform(0, 1), 2)),
        goods=goods,
        seed=int(rng.integers(24)),
    ).placement


def sample_paint(*, rng: np.random.Generator) -> Color:
    """Sample the paint of a steel shelf, sRGB."""
    return tint(PAINTS[int(rng.integers(len(PAINTS)))], rng=rng)


def tint(color: Color, *, rng: np.random.Generator) -> Color:
    """Vary a colour a little."""
    red, green, blue = (float(part) for part in np.clip(np.array(color) * rng.uniform(0.92, 1.06, size=3), 0, 1))
    return red, green, blue
