"""Chest freezers: products in baskets of wire, seen from above, behind sliding lids of glass or without any."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from assets.fixtures.chest import BELOW_RIM
from assets.fixtures.surface import pose_at
from assets.props.look import Color, FixtureValue
from render.geometry import look_at
from render.layout import SceneLayout, SceneRequest, Support
from render.placement.baskets import PLAY, BasketParams, fill_basket, lay_flat
from render.placement.capping import LYING
from render.placement.shelving import BayRanges, ShelfProduct, plan_rows
from render.recipes.boards import Board, Fittings, ShelvesRecipe, lay_out_boards
from render.recipes.parts import Section, Share, Span, within
from render.recipes.shelves import sample_products, sample_room, tint, widened
from render.recipes.shop import MAX_STRIPS, STRIP_M, Bay, sample_strip, stand_fixture
from render.scene import AreaLight, Placement
from render.streams import StreamPurpose

# Inner lengths and depths, metres: Europe, USA (4 to 6 ft). Deeper ones have two rows of baskets.
LENGTHS = ((1.33, 1.73, 1.98, 2.38), (1.07, 1.37, 1.68))
DEPTHS = ((0.62, 0.7, 0.82), (0.56, 0.66, 0.76))
TWO_ROWS_M = 0.75
# Colours of the outside: white, light grey, dark grey, blue.
CABINETS: tuple[Color, ...] = ((0.93, 0.93, 0.93), (0.75, 0.77, 0.79), (0.28, 0.29, 0.31), (0.12, 0.3, 0.55))
# Columns of a basket at most: freezers show many products on little room.
MAX_COLUMNS = 3
WALL_M, RAIL_M, FLOOR_M, SIDE_M = 0.07, 0.04, 0.2, 0.05
# Lids: widest, overlap, thickness with play between two that slide over each other, metres.
LID_M, OVERLAP_M, TRACK_M, LID_EDGE_M = 1.3, 0.06, 0.042, 0.035


class Chests(Section):
    """The chest freezers."""

    us: Share = Field(0.4, description="chance of sizes of the USA; otherwise those of Europe")
    height_m: Annotated[Span, within(0.6, 1.2)] = Field((0.82, 0.95), description="of the rim, metres")
    lie: Share = Field(0.6, description="chance that flat products lie with their fronts upwards; others stand")
    stack_m: Annotated[Span, within(0.02, 1)] = Field((0.08, 0.3), description="height of stacks at most, metres")
    drop_m: Annotated[Span, within(0, 0.5)] = Field((0.0, 0.1), description="of the stacks below the load line, metres")
    lids: Share = Field(0.7, description="chance of sliding lids of glass; otherwise it is open")
    open: Share = Field(0.3, description="chance that a lid is slid aside")
    clear: Annotated[Span, within(0.3, 1)] = Field(
        (0.88, 0.98), description="share of light that each side of a lid lets through"
    )
    haze: Annotated[Span, within(0.01, 0.6)] = Field((0.01, 0.1), description="roughness of the glass: frost")
    strip_kelvin: Span = Field((4000.0, 7500.0), description="colour temperature of the strip of light under the rim")
    strip_share: Span = Field((0.3, 1.8), description="its light, as a multiple of the environment's")
    height_deg: Annotated[Span, within(0, 85)] = Field((30.0, 65.0), description="how far the camera looks down")


def lay_out_chests(
    recipe: ShelvesRecipe, looks: Chests, request: SceneRequest, rng: np.random.Generator
) -> SceneLayout:
    """Lay out chest freezers side by side in a room; all views share them."""
    layout, region = request.streams.scene(StreamPurpose.LAYOUT), int(rng.random() < looks.us)
    depth = float(rng.choice(DEPTHS[region]))
    rows = 2 if depth > TWO_ROWS_M else 1
    ranges = BayRanges(float(rng.choice(LENGTHS[region])), np.inf, FLOOR_M, depth / rows, gap=PLAY)
    ranges, products = sample_products(recipe, request, ranges, rng=layout)
    products = [_posed(product, looks, ranges.depth, layout) for product in products]
    ranges = replace(widened(ranges, products), columns=min(recipe.products.facings[1], MAX_COLUMNS))
    planned = plan_rows(products, ranges, rng=layout)
    tallest = max(float(product.block.size[2]) for product in products)
    chests = _stand(looks, ranges, rows, (len(planned) + rows - 1) // rows, tallest, rng)
    boards, baskets = [], []
    for number, row in enumerate(planned):
        board, placed = _fill(recipe, looks, chests[number // rows], number % rows, row, layout)
        boards.append(board)
        baskets += placed
    lids = [lid for chest in chests for lid in _lids(looks, chest, rng)]
    width, depth = len(chests) * _pitch(ranges), rows * ranges.depth + 2 * WALL_M
    camera = recipe.camera.model_copy(update={"height_deg": looks.height_deg})
    reach = camera.reach(width, depth + 1.0, request.aspect)
    room = sample_room(width, depth + 0.1, 0.9, reach, goods=False, rng=rng)
    strips = [_strip(looks, chest, rng) for chest in chests[:MAX_STRIPS]]
    fittings = Fittings(tuple(chests), (*baskets, *lids, room), tuple(strips), reach=0.0)
    seen = recipe.model_copy(update={"camera": camera})
    return lay_out_boards(seen, request, boards, fittings, recipe.products, layout)


def _posed(product: ShelfProduct, looks: Chests, depth: float, rng: np.random.Generator) -> ShelfProduct:
    """Return a product as it stands or lies in its basket; one that is too long for that stands."""
    block = lay_flat(product.block) if rng.random() < looks.lie else product.block
    block = block if block.size[1] < depth - 2 * PLAY else product.block
    return replace(product, block=replace(block, columns=min(block.columns, MAX_COLUMNS)))


def _pitch(ranges: BayRanges) -> float:
    return ranges.width + 2 * WALL_M + SIDE_M


def _stand(
    looks: Chests, ranges: BayRanges, rows: int, count: int, tallest: float, rng: np.random.Generator
) -> list[Bay]:
    """Stand equal chests side by side around x = 0."""
    height = round(float(rng.uniform(*looks.height_m)), 2)
    inner = round(max(height - float(rng.uniform(0.25, 0.4)), tallest + BELOW_RIM + 0.03), 2)
    settings: dict[str, FixtureValue] = {
        "width": ranges.width,
        "depth": rows * ranges.depth,
        "height": max(height, round(inner + 0.15, 2)),
        "inner": inner,
        "wall": WALL_M,
        "rows": rows,
        "rail_height": RAIL_M,
        "rail_tilt_deg": float(rng.uniform(20, 55)),
        "rail_color": tint((0.9, 0.9, 0.88), rng=rng),
        "color": tint(CABINETS[int(rng.integers(len(CABINETS)))], rng=rng),
        "inside_color": tint((0.88, 0.92, 0.96), rng=rng),
        "rim_color": tint(CABINETS[int(rng.integers(len(CABINETS)))], rng=rng),
        "seed": int(rng.integers(8)),
    }
    places = [(number - (count - 1) / 2) * _pitch(ranges) for number in range(count)]
    return [stand_fixture("chest", pose_at(x, 0, 0), f"chest {i + 1}", **settings) for i, x in enumerate(places)]


def _fill(
    recipe: ShelvesRecipe, looks: Chests, chest: Bay, number: int, row: list[ShelfProduct], rng: np.random.Generator
) -> tuple[Board, list[Placement]]:
    """Fill the baskets of one row of a chest, from the left."""
    support = Support.of(chest.surfaces[number], chest.placement.world_from_object)
    ranges, left = recipe.products, -support.width / 2
    taken = float(rng.uniform(*ranges.missing)), float(rng.uniform(*ranges.sold_out))
    blocks, baskets = [], []
    for product in row:
        params = BasketParams(float(rng.uniform(*looks.stack_m)), float(rng.uniform(*looks.drop_m)), *taken)
        basket = fill_basket(product.block, left, support, params, rng=rng)
        blocks.append(basket.stocked)
        width, depth, height = (round(float(side), 4) for side in basket.size)
        size: dict[str, FixtureValue] = {"width": width, "depth": depth, "height": height}
        baskets.append(stand_fixture("wire_basket", basket.world_from_basket, "wire basket", **size).placement)
        left += product.block.columns * (float(product.block.size[0]) + PLAY)
    name = f"{chest.name}/{number + 1}"
    positions = tuple(f"{name}/{place}" for place in range(1, len(row) + 1))
    return Board(name, chest, number, support, tuple(row), tuple(blocks), positions, from_above=True), baskets


def _values(chest: Bay) -> tuple[float, float, float, float]:
    """Return width, depth and height of a chest, and the x of its middle, metres."""
    assert chest.placement.fixture is not None
    values = dict(chest.placement.fixture.settings)
    width, depth, height = (float(values[name]) for name in ("width", "depth", "height"))  # type: ignore[arg-type]
    return width, depth, height, float(chest.placement.world_from_object[0, 3])


def _lids(looks: Chests, chest: Bay, rng: np.random.Generator) -> list[Placement]:
    """Lay lids on the rim of a chest, on two tracks; one may be slid over its neighbour."""
    if rng.random() >= looks.lids:
        return []
    width, depth, height, middle = _values(chest)
    count = max(int(np.ceil(width / LID_M)), 2)
    step, clear, haze = width / count, float(rng.uniform(*looks.clear)), float(rng.uniform(*looks.haze))
    slid, aside = int(rng.integers(count)), float(rng.uniform(0.3, 0.95))
    aside = aside if rng.random() < looks.open else 0.0
    color, lids = tint((0.75, 0.76, 0.77), rng=rng), []
    for number in range(count):
        towards = 1 if number + 1 < count else -1
        x = middle + (number + 0.5 - count / 2 + (towards * aside if number == slid else 0.0)) * step
        pose = pose_at(x, -depth / 2 - LID_EDGE_M, height + TRACK_M * (0.5 + number % 2))
        pose[:3, :3] = LYING[1]
        lid = stand_fixture(
            "door",
            pose,
            f"lid {number + 1}",
            width=round(float(np.clip(step + OVERLAP_M, 0.3, 1.5)), 3),
            height=round(float(np.clip(depth + 2 * LID_EDGE_M, 0.5, 2.5)), 3),
            frame=0.03,
            frame_color=color,
            handle="left" if number % 2 else "right",
            clear=clear,
            haze=haze,
        )
        lids.append(lid.placement)
    return lids


def _strip(looks: Chests, chest: Bay, rng: np.random.Generator) -> AreaLight:
    """Put a strip of light under the front rim of a chest, shining backwards and down."""
    width, depth, height, x = _values(chest)
    length = width - 0.1
    (red, green, blue), radiance = sample_strip(looks.strip_kelvin, looks.strip_share, depth / 2, length, rng=rng)
    pose = look_at(np.array([x, 0.02 - depth / 2, height - 0.015]), np.array([x, depth / 6, height - 0.25]))
    return AreaLight(pose, length, STRIP_M, (radiance * red, radiance * green, radiance * blue))
