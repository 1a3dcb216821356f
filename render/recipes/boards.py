"""Boards with products on them, however they were planned: tags, gaps, lines, camera; for recipes of shelves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.fixtures.hooks import PLATE_WIDTH
from assets.fixtures.surface import Surface
from assets.library import Library
from render.geometry import rotation_about_z, transform
from render.layout import LightWish, PlacedProduct, SceneLayout, SceneRequest, Support
from render.marks import GapMark, LineMark, ShopMarks, TagMark
from render.placement.arrange import resting_pose
from render.placement.facings import FacingBlock, StockedBlock, StockedItem
from render.placement.shelving import ShelfProduct
from render.recipes.cameras import CAMERAS
from render.recipes.parts import Backgrounds, Finishes, Lights, Optics, SceneRecipe, shop_finishes
from render.recipes.shop import (
    FRONT,
    AisleCamera,
    Bay,
    Disturbance,
    Occluders,
    PriceTags,
    ShelfProducts,
    TagStyle,
    frame_part,
    opening,
    sample_basket,
    sample_occluders,
    sample_tag_style,
    tag_placement,
    typical_side,
)
from render.recipes.talkers import ShelfTalker, sample_talker
from render.scene import AreaLight, Placement
from render.streams import StreamPurpose

# Between what fills a freezer and an arm over its rim, metres.
ABOVE_RIM_M = 0.18


class ShelvesRecipe(SceneRecipe):
    """Base of the settings of recipes with boards."""

    has_marks = True
    products: ShelfProducts = Field(default_factory=ShelfProducts, description="what stands on the boards")
    disturbance: Disturbance = Field(
        default_factory=Disturbance, description="how shelves differ from their planogram, with --planogram"
    )
    tags: PriceTags = Field(default_factory=PriceTags, description="price tags")
    occluders: Occluders = Field(default_factory=Occluders, description="before the shelf")
    camera: AisleCamera = Field(default_factory=AisleCamera, description="where the image is taken from")
    lights: Lights = Field(
        default_factory=lambda: Lights(area_count=(1, 3), area_size_m=(0.3, 1.6), area_distance_m=(1.6, 3.0)),
        description="where light comes from",
    )
    finish: Finishes = Field(default_factory=shop_finishes, description="surface of the products")
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
    """The bays as built. around: further props, such as doors and the room. lights: those of the fixtures.

    reach: free room before the price rails, metres.
    """

    bays: tuple[Bay, ...]
    around: tuple[Placement, ...] = ()
    lights: tuple[AreaLight, ...] = ()
    reach: float = np.inf


@dataclass(frozen=True, eq=False)
class Board:
    """A board with what stands on it. name: for its line, such as "bay 1/2". number: of its surface in the bay.

    positions: names of the places of its blocks. front_m: height of its front, metres; 0 = that of its rail.
    from_above: shoppers look down into it, as into a freezer, to its rim.
    """

    name: str
    bay: Bay
    number: int
    support: Support
    products: tuple[ShelfProduct, ...]
    blocks: tuple[StockedBlock, ...]
    positions: tuple[str, ...]
    front_m: float = 0.0
    from_above: bool = False

    @property
    def surface(self) -> Surface:
        """The surface of the fixture."""
        return self.bay.surfaces[self.number]


@dataclass(frozen=True, eq=False)
class HungTag:
    """A price tag on a rail. brand: of its product. left, right: x of its sides on the board, metres."""

    board: Board
    brand: str
    left: float
    right: float


def lay_out_boards(
    recipe: ShelvesRecipe,
    request: SceneRequest,
    boards: Sequence[Board],
    fittings: Fittings,
    exchanged: ShelfProducts | Disturbance,
    rng: np.random.Generator,
) -> SceneLayout:
    """Return the layout of filled boards: hang tags, mark gaps and lines, choose camera and occluders.

    exchanged: has the ranges of misplaced and turned products. rng: exchanges them.
    """
    products, positions = _products(boards, exchanged, rng)
    tags, marks, hung = _hang_tags(recipe, request, boards)
    talkers = _hang_talkers(recipe, request, hung, fittings.reach)
    (low, high), above = _extent(boards), any(board.from_above for board in boards)
    sizes = [product.block.size for board in boards for product in board.products]
    sizes = [np.sort(size)[[1, 0, 2]] for size in sizes] if above else sizes  # the largest side, however it lies
    blocks = [block for board in boards for block in board.blocks]
    framing = frame_part(
        recipe.camera,
        (low, high),
        _fronts(boards),
        typical_side(blocks, sizes),
        (request.width, request.height),
        up=1 if above else 2,
        rng=request.streams.of_view(StreamPurpose.CAMERA),
    )
    props = request.streams.scene(StreamPurpose.PROPS)
    reached = props.uniform(low, high)
    # Over the rim, through which arms would have to reach otherwise.
    reached[2] = high[2] + ABOVE_RIM_M if above else reached[2]
    occluders = sample_occluders(recipe.occluders, reached, rng=props)
    occluders += sample_basket(recipe.occluders, (low, high), rng=props)
    lines = tuple(LineMark(board.name, _line(board)) for board in boards if _has_front(board.surface))
    return SceneLayout(
        products,
        framing,
        (*tags, *(bay.placement for bay in fittings.bays), *fittings.around, *talkers, *occluders),
        lights=LightWish((low + high) / 2, (FRONT - 1.2, FRONT + 1.2), (0.35, 0.95)),
        fixed_lights=fittings.lights,
        marks=replace(marks, gaps=_gaps(boards), lines=lines, positions=positions),
    )


def _products(
    boards: Sequence[Board], exchanged: ShelfProducts | Disturbance, rng: np.random.Generator
) -> tuple[tuple[PlacedProduct, ...], tuple[str, ...]]:
    """Return all products with their positions; a few are turned, or another product's in the wrong place.

    Of every product at least one stays.
    """
    misplaced, turned = (float(rng.uniform(*shares)) for shares in (exchanged.misplaced, exchanged.turned))
    every = [product for board in boards for product in board.products if product.block.stocked]
    copies: Counter[str] = Counter()
    for board in boards:
        for product, block in zip(board.products, board.blocks, strict=True):
            copies[product.sku] += len(block.items)
    placed, positions = [], []
    for board in boards:
        for product, block, position in zip(board.products, board.blocks, board.positions, strict=True):
            for item in block.items:
                other, chance = every[int(rng.integers(len(every)))], rng.random(2)
                pose = item.world_from_object
                sku = product.sku
                alone = product.block.layers == 1 and not block.capped
                exchange = chance[0] < misplaced and copies[product.sku] > 1
                if item.row == 0 and alone and exchange and _fits(other.block, product.block):
                    copies.update({product.sku: -1, other.sku: 1})
                    sku, pose = other.sku, _exchanged(board, block, item, other.block)
                elif item.row == 0 and alone and chance[1] < turned:
                    quarter = replace(product.block, turn=product.block.turn + float(rng.integers(1, 4)) * np.pi / 2)
                    pose = _exchanged(board, block, item, quarter) if _fits(quarter, product.block) else pose
                placed.append(PlacedProduct(sku, pose))
                positions.append(position if sku == product.sku else "")
    return tuple(placed), tuple(positions)


def _fits(block: FacingBlock, into: FacingBlock) -> bool:
    """Return whether an item fits where one of another block stood."""
    return bool((block.size <= into.size + 1e-9).all())


def _exchanged(board: Board, block: StockedBlock, item: StockedItem, by: FacingBlock) -> NDArray[np.float64]:
    """Return the pose of an item that stands where another one stood, its front at the same place."""
    left, right = block.columns[item.column]
    pose = resting_pose(by.shape, rotation_about_z(by.turn) @ by.rotation)
    pose[0, 3] += (left + right) / 2
    pose[1, 3] += -board.support.depth / 2 + block.setback + by.size[1] / 2
    pose[2, 3] += block.bottom
    return board.support.place(pose)


def _hang_tags(
    recipe: ShelvesRecipe, request: SceneRequest, boards: Sequence[Board]
) -> tuple[tuple[Placement, ...], ShopMarks, tuple[HungTag, ...]]:
    """Hang a tag at the left of each block. Gaps keep their tags."""
    rng = request.streams.scene(StreamPurpose.STACKS)
    rail = max((board.surface.rail_height for board in boards), default=0.039)
    style, tagged = sample_tag_style(recipe.tags, rail, rng=rng), float(rng.uniform(*recipe.tags.tagged))
    placements: list[Placement] = []
    tags: list[TagMark] = []
    hung: list[HungTag] = []
    for board in boards:
        reached = -board.support.width / 2
        fitting = _fitting_style(style, board.surface)
        for product, block, position in zip(board.products, board.blocks, board.positions, strict=True):
            wanted = rng.random() < tagged
            if not block.columns or not wanted or board.surface.fixture_from_rail is None:
                continue
            left, right = block.columns[0]
            left = left if board.surface.kind != "hook" else (left + right - fitting.width) / 2
            left = max(left, reached + 0.002)
            if left + fitting.width > board.support.width / 2:
                continue
            reached = left + fitting.width
            placement, text = _tag(board, product.sku, left + fitting.width / 2, fitting, request.library, rng)
            tags.append(TagMark(len(placements), position, text))
            placements.append(placement)
            hung.append(HungTag(board, product.brand, left, reached))
    return tuple(placements), ShopMarks(tuple(tags)), tuple(hung)


def _hang_talkers(
    recipe: ShelvesRecipe, request: SceneRequest, tags: Sequence[HungTag], reach: float
) -> tuple[Placement, ...]:
    """Hang a talker beside a tag now and then, clear of other tags and talkers."""
    rng = request.streams.scene(StreamPurpose.TALKERS)
    chance = float(rng.uniform(*recipe.tags.talkers))
    talkers: list[ShelfTalker] = []
    last: HungTag | None = None
    for number, tag in enumerate(tags):
        free = min((one.left for one in tags[number + 1 : number + 2] if one.board is tag.board), default=np.inf)
        covered = last is not None and last.board is tag.board and talkers[-1].right > tag.right
        if rng.random() >= chance or covered or not _has_front(tag.board.surface):
            continue
        pose = tag.board.bay.placement.world_from_object
        talker = sample_talker(tag.brand, tag.board.surface, pose, (tag.right, free), reach, rng=rng)
        if talker is not None:
            talkers.append(talker)
            last = tag
    return tuple(talker.placement for talker in talkers)


def _fitting_style(style: TagStyle, surface: Surface) -> TagStyle:
    """Return the style of the tags of a board, or of narrower ones for the plates of hooks."""
    return style if surface.kind != "hook" else replace(style, width=min(style.width, PLATE_WIDTH))


def _tag(
    board: Board, sku: str, x: float, style: TagStyle, library: Library, rng: np.random.Generator
) -> tuple[Placement, str]:
    pose = board.bay.placement.world_from_object
    return tag_placement(style, library.catalog.find(sku), board.surface, pose, x, f"tag {sku}"[:80], rng=rng)


def _gaps(boards: Sequence[Board]) -> tuple[GapMark, ...]:
    """Return the holes: runs of empty columns of each block."""
    found = []
    for board in boards:
        for product, block, position in zip(board.products, board.blocks, board.positions, strict=True):
            empty = block.empty_columns
            for first in (column for column in empty if column - 1 not in empty):
                last = first
                while last + 1 in empty:
                    last += 1
                left, right = block.columns[first][0], block.columns[last][1]
                found.append(GapMark(position, product.sku, _opening(board, left, right, block.height, block.bottom)))
    return tuple(found)


def _has_front(surface: Surface) -> bool:
    """Return whether a board's front with its rail can be seen; rows of hooks have none."""
    return surface.kind != "hook" and surface.fixture_from_rail is not None


def _opening(board: Board, left: float, right: float, height: float, below: float) -> NDArray[np.float64]:
    """Return the corners (4, 3) of an opening between two x at the front of a board, or above it, metres, world."""
    pose, y = board.support.world_from_support, board.support.depth / 2
    if not board.from_above:
        return opening(pose, left, right, board.support.depth, height, below)
    return transform(pose, np.array([[left, -y, height], [right, -y, height], [right, y, height], [left, y, height]]))


def _line(board: Board) -> NDArray[np.float64]:
    """Return the front of a board: its whole width, as high as its rail; of one seen from above, its rail."""
    if board.from_above:
        assert board.surface.fixture_from_rail is not None
        pose = board.bay.placement.world_from_object @ board.surface.fixture_from_rail
        return opening(pose, -board.support.width / 2, board.support.width / 2, 0.03, board.surface.rail_height)
    half, below = board.support.width / 2, board.front_m or board.surface.rail_height or 0.03
    pose = board.support.world_from_support
    return opening(pose, -half, half, board.support.depth + 0.03, 0.0, -below)


def _fronts(boards: Sequence[Board]) -> NDArray[np.float64]:
    """Return the middles (N, 3) of all facings that are not sold out, metres."""
    middles = [
        transform(
            board.support.world_from_support, np.array([[(left + right) / 2, 0, (block.bottom + block.height) / 2]])
        )
        for board in boards
        for block in board.blocks
        for number, (left, right) in enumerate(block.columns)
        if number not in block.empty_columns
    ]
    return np.concatenate(middles) if middles else np.zeros((0, 3))


def _extent(boards: Sequence[Board]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest corner of the fronts of all boards with their products."""
    corners = [
        _opening(board, -board.support.width / 2, board.support.width / 2, _top(board), -0.04) for board in boards
    ]
    every = np.concatenate(corners)
    return every.min(axis=0), every.max(axis=0)


def _top(board: Board) -> float:
    """Return the height over the support up to which shoppers look, metres."""
    return board.support.height if board.from_above else max((block.height for block in board.blocks), default=0.1)
