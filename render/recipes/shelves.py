"""Laying out of bays of shelves, for recipes that differ in their fixtures: products, tags, gaps, camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.library import Library
from assets.props.look import Color, FixtureValue
from render.geometry import rotation_about_z
from render.layout import LightWish, PlacedProduct, SceneLayout, SceneRequest, Support
from render.marks import GapMark, LineMark, ShopMarks, TagMark
from render.placement.arrange import resting_pose
from render.placement.facings import FacingBlock, FacingParams, StockedBlock, StockedItem, set_in_facings
from render.placement.shelving import BayRanges, BoardPlan, ShelfProduct, plan_bays
from render.recipes.cameras import CAMERAS
from render.recipes.parts import Backgrounds, Finishes, Lights, Optics, SceneRecipe
from render.recipes.shop import (
    FLOORS,
    FRONT,
    PAINTS,
    AisleCamera,
    Bay,
    Occluders,
    PriceTags,
    ShelfProducts,
    TagStyle,
    frame_part,
    opening,
    sample_occluders,
    sample_tag_style,
    stand_fixture,
    tag_placement,
    typical_side,
)
from render.scene import AreaLight, Placement
from render.streams import StreamPurpose

# Bays as planned, from the left: the boards of each, from below.
BayPlans = tuple[tuple[BoardPlan, ...], ...]


class ShelvesRecipe(SceneRecipe):
    """Base of the settings of recipes with boards."""

    has_marks = True
    products: ShelfProducts = Field(default_factory=ShelfProducts, description="what stands on the boards")
    tags: PriceTags = Field(default_factory=PriceTags, description="price tags")
    occluders: Occluders = Field(default_factory=Occluders, description="before the shelf")
    camera: AisleCamera = Field(default_factory=AisleCamera, description="where the image is taken from")
    lights: Lights = Field(
        default_factory=lambda: Lights(area_count=(1, 3), area_size_m=(0.3, 1.6), area_distance_m=(1.6, 3.0)),
        description="where light comes from",
    )
    finish: Finishes = Field(
        default_factory=lambda: Finishes(material=0.15, dented=0.02, sticker=0.02),
        description="surface of the products",
    )
    background: Backgrounds = Field(
        default_factory=lambda: Backgrounds(environment=3.0, photo=1.0, texture=0.0), description="over the shelf"
    )
    optics: Optics = Field(
        default_factory=lambda: Optics(**CAMERAS["phone"].optics), description="lens, shutter and colour filters"
    )

    def product_count(self) -> tuple[int, int]:
        return self.products.count


@dataclass(frozen=True, eq=False)
class Fittings:
    """The bays as built. around: further props, such as doors and the room. lights: those of the fixtures."""

    bays: tuple[Bay, ...]
    around: tuple[Placement, ...] = ()
    lights: tuple[AreaLight, ...] = ()


@dataclass(frozen=True, eq=False)
class _Board:
    """A board with what stands on it. name: for positions, such as "bay 1 shelf 2"."""

    bay: Bay
    number: int
    support: Support
    products: tuple[ShelfProduct, ...]
    blocks: tuple[StockedBlock, ...]

    def position(self, block: int) -> str:
        """Return the name of a place: bay, shelf from below, block from the left."""
        return f"{self.bay.name}/{self.number + 1}/{block + 1}"


def lay_out_shelves(
    recipe: ShelvesRecipe, request: SceneRequest, ranges: BayRanges, build: Callable[[BayRanges, BayPlans], Fittings]
) -> SceneLayout:
    """Plan the bays, fill their boards, then hang tags; all views share the shelf.

    ranges: limits of the bays; gap and columns follow from the recipe. build: builds the fixtures, one per planned bay,
    whose surfaces are its boards.
    """
    layout = request.streams.scene(StreamPurpose.LAYOUT)
    ranges, plans = _plan(recipe, request, ranges, layout)
    fittings = build(ranges, plans)
    boards = [
        _fill_board(recipe, bay, number, board, layout)
        for bay, plan in zip(fittings.bays, plans, strict=True)
        for number, board in enumerate(plan)
    ]
    products, positions = _products(recipe, request, boards, layout)
    tags, marks = _hang_tags(recipe, request, boards)
    low, high = _extent(boards)
    sizes = [product.block.size for board in boards for product in board.products]
    blocks = [block for board in boards for block in board.blocks]
    framing = frame_part(
        recipe.camera,
        (low, high),
        typical_side(blocks, sizes),
        (request.width, request.height),
        rng=request.streams.of_view(StreamPurpose.CAMERA),
    )
    props = request.streams.scene(StreamPurpose.PROPS)
    occluders = sample_occluders(recipe.occluders, props.uniform(low, high), rng=props)
    lines = tuple(LineMark(f"{board.bay.name}/{board.number + 1}", _line(board)) for board in boards)
    return SceneLayout(
        products,
        framing,
        (*tags, *(bay.placement for bay in fittings.bays), *fittings.around, *occluders),
        lights=LightWish((low + high) / 2, (FRONT - 1.2, FRONT + 1.2), (0.35, 0.95)),
        fixed_lights=fittings.lights,
        marks=replace(marks, gaps=_gaps(boards), lines=lines, positions=positions),
    )


def _plan(
    recipe: ShelvesRecipe, request: SceneRequest, ranges: BayRanges, rng: np.random.Generator
) -> tuple[BayRanges, BayPlans]:
    """Sample facings of each product and distribute them over boards and bays."""
    products = [_wanted(recipe, request, sku, number, rng) for number, sku in enumerate(request.skus)]
    products += _sold_out(recipe, request, rng)
    widest = max((float(product.block.size[0]) for product in products), default=0.0)
    deepest = max((float(product.block.size[1]) for product in products), default=0.0)
    # A product wider or deeper than a bay gets a bay of its size: no SKU is left out.
    ranges = replace(
        ranges,
        width=max(ranges.width, round(widest + 0.06, 2)),
        depth=max(ranges.depth, round(deepest + 0.06, 2)),
        gap=recipe.products.gap_m[1],
        columns=recipe.products.facings[1],
    )
    return ranges, plan_bays(products, ranges, rng=rng)


def _wanted(
    recipe: ShelvesRecipe, request: SceneRequest, sku: str, number: int, rng: np.random.Generator
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
    return ShelfProduct(sku, request.library.catalog.find(sku).brand, block)


def _sold_out(recipe: ShelvesRecipe, request: SceneRequest, rng: np.random.Generator) -> list[ShelfProduct]:
    """Choose further products of the catalogue of which only the tags are there."""
    number = int(rng.binomial(len(request.skus), rng.uniform(*recipe.products.sold_out)))
    keys = request.library.catalog.keys
    others = {keys[int(i)] for i in rng.integers(len(keys), size=number)} - {*request.skus}
    return [_wanted(recipe, request, sku, -1, rng) for sku in sorted(others)]


def _fill_board(recipe: ShelvesRecipe, bay: Bay, number: int, plan: BoardPlan, rng: np.random.Generator) -> _Board:
    """Set the blocks of one board."""
    ranges = recipe.products
    support = Support.of(bay.surfaces[number], bay.placement.world_from_object)
    params = FacingParams(
        gap=ranges.gap_m,
        setback=ranges.setback_m,
        turn=float(np.radians(rng.uniform(*ranges.turn_deg))),
        missing=float(rng.uniform(*ranges.missing)),
        sold_out=float(rng.uniform(*ranges.sold_out)),
    )
    blocks = set_in_facings([product.block for product in plan.products], support, params, rng=rng)
    return _Board(bay, number, support, plan.products, blocks)


def _products(
    recipe: ShelvesRecipe, request: SceneRequest, boards: list[_Board], rng: np.random.Generator
) -> tuple[tuple[PlacedProduct, ...], tuple[str, ...]]:
    """Return all products with their positions; a few are turned, or another product's in the wrong place."""
    misplaced, turned = (float(rng.uniform(*span)) for span in (recipe.products.misplaced, recipe.products.turned))
    every = [product for board in boards for product in board.products if product.block.stocked]
    placed, positions = [], []
    for board in boards:
        for number, (product, block) in enumerate(zip(board.products, board.blocks, strict=True)):
            for item in block.items:
                other, chance = every[int(rng.integers(len(every)))], rng.random(2)
                pose = item.world_from_object
                sku = product.sku
                alone = product.block.layers == 1
                if item.row == 0 and alone and chance[0] < misplaced and _fits(other.block, product.block):
                    sku, pose = other.sku, _exchanged(board, block, item, other.block)
                elif item.row == 0 and alone and chance[1] < turned:
                    quarter = replace(product.block, turn=product.block.turn + float(rng.integers(1, 4)) * np.pi / 2)
                    pose = _exchanged(board, block, item, quarter) if _fits(quarter, product.block) else pose
                placed.append(PlacedProduct(sku, pose))
                positions.append(board.position(number) if sku == product.sku else "")
    return tuple(placed), tuple(positions)


def _fits(block: FacingBlock, into: FacingBlock) -> bool:
    """Return whether an item fits where one of another block stood."""
    return bool((block.size <= into.size + 1e-9).all())


def _exchanged(board: _Board, block: StockedBlock, item: StockedItem, by: FacingBlock) -> NDArray[np.float64]:
    """Return the pose of an item that stands where another one stood, its front at the same place."""
    left, right = block.columns[item.column]
    pose = resting_pose(by.shape, rotation_about_z(by.turn) @ by.rotation)
    pose[0, 3] += (left + right) / 2
    pose[1, 3] += -board.support.depth / 2 + block.setback + by.size[1] / 2
    return board.support.place(pose)


def _hang_tags(
    recipe: ShelvesRecipe, request: SceneRequest, boards: list[_Board]
) -> tuple[tuple[Placement, ...], ShopMarks]:
    """Hang a tag at the left of each block. Gaps keep their tags."""
    rng = request.streams.scene(StreamPurpose.STACKS)
    rail = boards[0].bay.surfaces[0].rail_height if boards else 0.039
    style, tagged = sample_tag_style(recipe.tags, rail, rng=rng), float(rng.uniform(*recipe.tags.tagged))
    placements: list[Placement] = []
    tags: list[TagMark] = []
    for board in boards:
        reached = -board.support.width / 2
        for number, (product, block) in enumerate(zip(board.products, board.blocks, strict=True)):
            hung = rng.random() < tagged
            if not block.columns or not hung:
                continue
            left = max(block.columns[0][0], reached + 0.002)
            if left + style.width > board.support.width / 2:
                continue
            reached = left + style.width
            placement, text = _tag(board, product.sku, left + style.width / 2, style, request.library, rng)
            tags.append(TagMark(len(placements), board.position(number), text))
            placements.append(placement)
    return tuple(placements), ShopMarks(tuple(tags))


def _tag(
    board: _Board, sku: str, x: float, style: TagStyle, library: Library, rng: np.random.Generator
) -> tuple[Placement, str]:
    surface, pose = board.bay.surfaces[board.number], board.bay.placement.world_from_object
    return tag_placement(style, library.catalog.find(sku), surface, pose, x, f"tag {sku}"[:80], rng=rng)


def _gaps(boards: list[_Board]) -> tuple[GapMark, ...]:
    """Return the holes: runs of empty columns of each block."""
    found = []
    for board in boards:
        for number, (product, block) in enumerate(zip(board.products, board.blocks, strict=True)):
            empty = block.empty_columns
            for first in (column for column in empty if column - 1 not in empty):
                last = first
                while last + 1 in empty:
                    last += 1
                left, right = block.columns[first][0], block.columns[last][1]
                corners = opening(board.support.world_from_support, left, right, board.support.depth, block.height)
                found.append(GapMark(board.position(number), product.sku, corners))
    return tuple(found)


def _line(board: _Board) -> NDArray[np.float64]:
    """Return the front of a board: its whole width, as high as its rail."""
    surface = board.bay.surfaces[board.number]
    half, below = board.support.width / 2, surface.rail_height or 0.03
    pose = board.support.world_from_support
    return opening(pose, -half, half, board.support.depth + 0.03, 0.0, -below)


def _extent(boards: list[_Board]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest corner of the fronts of all boards with their products."""
    corners = [
        opening(
            board.support.world_from_support,
            -board.support.width / 2,
            board.support.width / 2,
            board.support.depth,
            max((block.height for block in board.blocks), default=0.1),
            -0.04,
        )
        for board in boards
    ]
    every = np.concatenate(corners)
    return every.min(axis=0), every.max(axis=0)


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
        boards=tuple(board.height for board in plans[number]),
        board_depths=(ranges.depth,),
        thickness=ranges.thickness,
        **look,
    )


def sample_room(width: float, depth: float, top: float, *, goods: bool, rng: np.random.Generator) -> Placement:
    """Sample the floor, the wall and what stands beside the shelves, for bays of that whole width and depth, metres.

    top: height of the neighbours at least. goods: they show painted goods.
    """
    return stand_fixture(
        "room",
        np.eye(4),
        "room",
        width=round(width + 2 * float(rng.uniform(1, 4)), 2),
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
