"""End caps: large blocks of a few products on offer, in a narrow bay under a sign or stacked on pallets."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from assets.fixtures.pallet import PalletStyle, deck_height
from assets.fixtures.surface import pose_at
from assets.props.look import Color, FixtureValue
from render.layout import SceneLayout, SceneRequest, Support
from render.placement.pallets import (
    PACKED,
    PalletStack,
    PlacedCarton,
    StackParams,
    sample_packing,
    stack_block,
)
from render.placement.shelving import BayRanges, ShelfProduct, plan_rows
from render.recipes.boards import Board, Fittings, ShelvesRecipe, lay_out_boards
from render.recipes.parts import Section, Share, Span, within
from render.recipes.shelves import (
    BayPlans,
    lay_out_shelves,
    sample_paint,
    sample_products,
    sample_room,
    stand_bay,
    tint,
)
from render.recipes.shop import AisleCamera, Bay, PriceTags, ShelfProducts, stand_fixture
from render.scene import Placement
from render.streams import StreamPurpose

# Widths and depths, metres (36 in is the rule in the USA).
WIDTHS, DEPTHS = (0.665, 0.8, 0.914, 1.0), (0.37, 0.41, 0.47, 0.56)
# Metres between end caps that stand side by side, each with its side panels.
APART = 0.08
# Share of scenes with pallets; pallets of Europe (whole and half) and the USA, from both sides, metres.
PALLETS = 0.3
SIZES: dict[PalletStyle, tuple[tuple[float, float], ...]] = {
    "block": ((1.2, 0.8), (0.8, 1.2), (0.8, 0.6), (0.6, 0.8)),
    "stringer": ((1.219, 1.016), (1.016, 1.219)),
}
# Corrugated board, brown or bleached; heights of signs (A5, A4), and what is left below them, metres.
BOARDS: tuple[Color, ...] = ((0.69, 0.54, 0.38), (0.76, 0.62, 0.46), (0.9, 0.89, 0.86))
SIGNS, OVER = (0.148, 0.21), 0.04


class EndCaps(Section):
    """The end caps."""

    height_m: Span = Field((1.1, 1.6), description="of the highest board at most, metres")
    headroom_m: Span = Field((0.03, 0.15), description="over the products of a board, metres")
    header: Share = Field(0.8, description="chance of a sign on top")
    sides: Share = Field(0.7, description="chance of side panels")


class Pallets(Section):
    """The pallets."""

    height_m: Annotated[Span, within(0.2, 2.5)] = Field((0.6, 1.4), description="of the stacks over the floor, metres")
    cartons: Share = Field(0.6, description="chance that products that carry each other are in trays or cases, too")
    half: Share = Field(0.4, description="chance that the layer on top is half taken")
    us: Share = Field(0.4, description="chance of pallets of the USA; otherwise those of Europe")
    height_deg: Annotated[Span, within(0, 80)] = Field((8.0, 35.0), description="how far the camera looks down on them")


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
    base: Literal["any", "bay", "pallet"] = Field(
        "any", description="bays or pallets; any: three in ten scenes have pallets"
    )
    caps: EndCaps = Field(default_factory=EndCaps, description="the end caps with a bay")
    pallets: Pallets = Field(default_factory=Pallets, description="the pallets")


SETTINGS = EndcapRecipe


def lay_out(recipe: EndcapRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out end caps or pallets in a room, mostly one; all views share them."""
    pallets = request.streams.scene(StreamPurpose.FIXTURES).random() < PALLETS
    rng = request.streams.scene(StreamPurpose.TABLE)
    if recipe.base == "pallet" or (recipe.base == "any" and pallets):
        return _lay_out_pallets(recipe, request, rng)
    ranges = BayRanges(
        width=float(rng.choice(WIDTHS)),
        height=float(rng.uniform(*recipe.caps.height_m)),
        base=float(np.round(rng.uniform(0.1, 0.2), 2)),
        depth=float(rng.choice(DEPTHS)),
        headroom=recipe.caps.headroom_m,
    )
    return lay_out_shelves(
        recipe, request, ranges, lambda fitted, plans: _fittings(recipe, request, fitted, plans, rng)
    )


def _fittings(
    recipe: EndcapRecipe, request: SceneRequest, ranges: BayRanges, plans: BayPlans, rng: np.random.Generator
) -> Fittings:
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
    seen = recipe.camera.reach(len(plans) * pitch, max(plan[-1].height for plan in plans) + 0.5, request.aspect)
    room = sample_room(len(plans) * pitch + 0.4, ranges.depth + 0.05, 0.5, seen, goods=False, rng=rng)
    return Fittings(tuple(bays), (room,))


def _lay_out_pallets(recipe: EndcapRecipe, request: SceneRequest, rng: np.random.Generator) -> SceneLayout:
    """Stack products on pallets side by side, with signs on stands behind them."""
    style: PalletStyle = "stringer" if rng.random() < recipe.pallets.us else "block"
    width, depth = SIZES[style][int(rng.integers(len(SIZES[style])))]
    layout, deck, sign = request.streams.scene(StreamPurpose.LAYOUT), deck_height(style), float(rng.choice(SIGNS))
    ranges = BayRanges(width, np.inf, deck, depth, gap=PACKED)
    ranges, products = sample_products(recipe, request, ranges, rng=layout)
    rows = plan_rows(products, ranges, rng=layout)
    pitch = ranges.width + float(rng.uniform(0.03, 0.25))
    boards, cartons = [], []
    for number, row in enumerate(rows):
        x = (number - (len(rows) - 1) / 2) * pitch
        height = float(rng.uniform(*recipe.pallets.height_m))
        tallest = max(float(product.block.size[2]) for product in row)
        bay = stand_fixture(
            "pallet",
            pose_at(x, 0, 0),
            f"pallet {number + 1}",
            style=style,
            width=ranges.width,
            depth=ranges.depth,
            room=round(max(height - deck, tallest) + 0.05, 3),
            sign_m=round(max(height, tallest + deck) + OVER, 3),
            sign_height=sign,
            color=tint((0.74, 0.6, 0.42), rng=rng),
            seed=int(rng.integers(8)),
        )
        board, opened = _stack(recipe, bay, row, deck, layout)
        boards.append(board)
        cartons += [placement for stack in opened for placement in _cartons(stack, layout)]
    camera = recipe.camera.model_copy(update={"height_deg": recipe.pallets.height_deg})
    reach = camera.reach(len(rows) * pitch, recipe.pallets.height_m[1] + 0.5, request.aspect)
    room = sample_room(len(rows) * pitch, ranges.depth + 0.1, 0.5, reach, goods=bool(rng.random() < 0.2), rng=rng)
    fittings = Fittings(tuple(board.bay for board in boards), (*cartons, room), reach=0.0)
    seen = recipe.model_copy(update={"camera": camera})
    return _with_stands(lay_out_boards(seen, request, boards, fittings, recipe.products, layout))


def _stack(
    recipe: EndcapRecipe, bay: Bay, row: list[ShelfProduct], deck: float, rng: np.random.Generator
) -> tuple[Board, list[PalletStack]]:
    """Stack the blocks of one pallet side by side in its middle."""
    (surface,), ranges = bay.surfaces, recipe.products
    support = Support.of(surface, bay.placement.world_from_object)
    widths = [product.block.columns * (float(product.block.size[0]) + PACKED) for product in row]
    left, stacks = -sum(widths) / 2, []
    setback = float(rng.uniform(*ranges.setback_m))
    for product, width in zip(row, widths, strict=True):
        packing = sample_packing(product.block, recipe.pallets.cartons, rng=rng)
        params = StackParams(
            surface.height - 0.05,
            setback,
            bool(rng.random() < recipe.pallets.half),
            float(rng.uniform(*ranges.missing)),
        )
        stacks.append(stack_block(product.block, left, support, packing, params, rng=rng))
        left += width
    positions = tuple(f"{bay.name}/1/{place}" for place in range(1, len(row) + 1))
    blocks = tuple(stack.stocked for stack in stacks)
    return Board(f"{bay.name}/1", bay, 0, support, tuple(row), blocks, positions, front_m=deck), stacks


def _cartons(stack: PalletStack, rng: np.random.Generator) -> list[Placement]:
    """Return the cartons of a stack, all of one look."""
    board = tint(BOARDS[int(rng.integers(len(BOARDS)))], rng=rng)
    red, green, blue = (float(part) for part in rng.uniform(0.05, 0.9, size=3))
    front = (red, green, blue) if rng.random() < 0.5 else board
    return [_carton(carton, board, front if not carton.closed else board) for carton in stack.cartons]


def _carton(carton: PlacedCarton, board: Color, front: Color) -> Placement:
    width, depth, height = (round(float(side), 4) for side in carton.size)
    settings: dict[str, FixtureValue] = {
        "width": width,
        "depth": depth,
        "height": height,
        "front": round(carton.front, 4),
        "closed": carton.closed,
        "color": board,
        "front_color": front,
    }
    return stand_fixture("carton", carton.world_from_carton, "carton", **settings).placement


def _with_stands(layout: SceneLayout) -> SceneLayout:
    """Put a stand behind each sign."""
    assert layout.marks is not None
    stands = []
    for mark in layout.marks.tags:
        sign = layout.props[mark.instance]
        assert sign.fixture is not None
        values, (x, y, z) = dict(sign.fixture.settings), sign.world_from_object[:3, 3]
        size: dict[str, FixtureValue] = {name: values[name] for name in ("width", "height")}
        stands.append(
            stand_fixture("sign", pose_at(x, y + 0.001, 0), "stand", lift=round(float(z), 4), **size).placement
        )
    return replace(layout, props=(*layout.props, *stands))
