"""Bays of a planogram, stood up with its blocks in place, for recipes that differ in their fixtures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.mesh.rest import Rest
from assets.planogram.stocked import StockedPlanogram
from assets.planogram.types import BARE, HANGING, UNSEEN, Planogram, PlanogramShelf, Size
from assets.planogram.units import bay_from_shelf
from assets.props.look import FixtureValue
from render.layout import SceneLayout, SceneRequest, Support
from render.placement.planograms import PlanogramBlock, PlanogramParams, stock_shelf
from render.placement.shelving import ShelfProduct
from render.recipes.boards import Board, Fittings, ShelvesRecipe, lay_out_boards
from render.recipes.shop import Bay, Disturbance, stand_fixture
from render.scene import AreaLight, Placement
from render.streams import StreamPurpose

# Parts that carry nothing; those of the second tuple are not drawn at all.
# Widths of bays that planograms do not divide themselves.
MAX_BAY_M, MIN_BAY_M = 1.35, 0.2
# Wires fit into boards of this thickness, metres.
WIRES_M = (0.009, 0.06)


@dataclass(frozen=True, eq=False)
class PlanogramStand:
    """What the shelves of a planogram stand in.

    front: y of the planogram's front, metres, world. around: uprights, cabinet, doors, room. look: settings of every
    shelf (`BoardFixture`). wires: shelves of wire.
    """

    front: float
    look: dict[str, FixtureValue]
    around: tuple[Placement, ...]
    lights: tuple[AreaLight, ...] = ()
    wires: bool = False


def lay_out_planogram(
    recipe: ShelvesRecipe, request: SceneRequest, stand: Callable[[Planogram], PlanogramStand]
) -> SceneLayout:
    """Stand the planogram of the request up; all views share it.

    Positions are named after planogram, shelf and position: "Soups/3/12".
    """
    stocked = request.planogram
    assert stocked is not None
    rng = request.streams.scene(StreamPurpose.LAYOUT)
    params = _sample_params(recipe.disturbance, rng)
    stood = stand(stocked.planogram)
    world_from_bay = np.eye(4)
    world_from_bay[1, 3] = stood.front
    boards, bare = [], []
    for shelf in stocked.planogram.shelves:
        pose = world_from_bay @ bay_from_shelf(stocked.planogram, shelf)
        if shelf.kind in BARE:
            bare.append(_stand_shelf(stocked.planogram, shelf, pose, stood, (), rail=False))
        elif shelf.kind not in UNSEEN:
            boards.append(_fill_shelf(stocked, shelf, pose, stood, request, params, rng))
    around = (*(bay.placement for bay in bare), *stood.around)
    fittings = Fittings(tuple(board.bay for board in boards), around, stood.lights, reach=0.0)
    return lay_out_boards(recipe, request, boards, fittings, recipe.disturbance, rng)


def _sample_params(disturbance: Disturbance, rng: np.random.Generator) -> PlanogramParams:
    return PlanogramParams(
        disturbance.setback_m,
        float(rng.uniform(*disturbance.missing)),
        float(rng.uniform(*disturbance.sold_out)),
        disturbance.rows,
    )


def _fill_shelf(
    stocked: StockedPlanogram,
    shelf: PlanogramShelf,
    pose: NDArray[np.float64],
    stood: PlanogramStand,
    request: SceneRequest,
    params: PlanogramParams,
    rng: np.random.Generator,
) -> Board:
    library, shown = request.library, frozenset(request.skus)
    support = Support(pose, shelf.width, shelf.depth, max(stocked.planogram.free_height(shelf), 0.001))

    def size_of(key: str) -> Size | None:
        return _size_of(library, key) if key in shown else stocked.sizes.get(key)

    def shape_of(key: str) -> Rest | None:
        return library.rest(key) if key in shown else None

    blocks = stock_shelf(shelf, support, size_of, shape_of, params, rng=rng)
    bay = _stand_shelf(stocked.planogram, shelf, pose, stood, blocks, rail=shelf.kind not in HANGING)
    return Board(
        bay.name,
        bay,
        0,
        support,
        tuple(_product(library, block) for block in blocks),
        tuple(block.stocked for block in blocks),
        tuple(f"{bay.name}/{block.place.position.id}" for block in blocks),
    )


def _size_of(library: Library, sku: str) -> Size:
    """Return the real width, height and depth of a mesh: blocks of it never intersect."""
    width, depth, height = np.ptp(library.rest(sku).hull_vertices, axis=0).tolist()
    return width, height, depth


def _product(library: Library, block: PlanogramBlock) -> ShelfProduct:
    sku = block.place.position.sku
    return ShelfProduct(sku, library.catalog.find(sku).brand, block.facing)


def _stand_shelf(
    planogram: Planogram,
    shelf: PlanogramShelf,
    world_from_shelf: NDArray[np.float64],
    stood: PlanogramStand,
    blocks: Sequence[PlanogramBlock],
    *,
    rail: bool,
) -> Bay:
    """Return the fixture of one shelf, so that its surface is where the planogram says."""
    settings: dict[str, FixtureValue] = {
        **stood.look,
        "style": _style_of(shelf, stood.wires),
        "width": shelf.width,
        "depth": shelf.depth,
        "thickness": shelf.thickness,
        "room": max(planogram.free_height(shelf), 0.001),
    }
    if not rail:
        settings["rail_height"] = 0.0
    if settings["style"] == "pegboard":
        settings |= _hooks(shelf, blocks)
    bay = stand_fixture("board", np.eye(4), f"{planogram.name or 'planogram'}/{shelf.id}", **settings)
    pose = world_from_shelf @ np.linalg.inv(bay.surfaces[0].fixture_from_surface)
    return replace(bay, placement=replace(bay.placement, world_from_object=pose))


def _style_of(shelf: PlanogramShelf, wires: bool) -> Literal["plate", "wire", "bar", "pegboard"]:
    if shelf.kind in ("pegboard", "multi_row_pegboard"):
        return "pegboard"
    if shelf.kind in HANGING:
        return "bar"
    return "wire" if wires and shelf.kind not in BARE and WIRES_M[0] <= shelf.thickness <= WIRES_M[1] else "plate"


def _hooks(shelf: PlanogramShelf, blocks: Sequence[PlanogramBlock]) -> dict[str, FixtureValue]:
    """Return a hook over each column of what hangs at a pegboard, a little longer than the block is deep."""
    hooks = [
        ((left + right) / 2, block.stocked.height + 0.002, -block.place.z + 0.02)
        for block in blocks
        for left, right in block.stocked.columns
    ]
    x, z, length = zip(*hooks, strict=True) if hooks else ((), (), ())
    step = min(max(shelf.holes.x_step, 0.01), 1.0) if shelf.holes else 0.0254
    return {"hooks_x": x, "hooks_z": z, "hooks_m": length, "peg_step": step}


def bay_spans(planogram: Planogram) -> list[tuple[float, float]]:
    """Return the middle and the width of each bay, metres, around x = 0; a planogram without bays is divided evenly."""
    ends = [0.0]
    for edge in sorted(edge for bay in planogram.bays for edge in (bay.x, bay.x + bay.width)):
        if ends[-1] + MIN_BAY_M <= edge <= planogram.width - MIN_BAY_M:
            ends.append(edge)
    ends.append(planogram.width)
    spans = [span for left, right in pairwise(ends) for span in _divided(left, right)]
    return [((left + right) / 2 - planogram.width / 2, right - left) for left, right in spans]


def _divided(left: float, right: float) -> list[tuple[float, float]]:
    count = max(int(np.ceil((right - left) / MAX_BAY_M - 1e-6)), 1)
    edges = np.linspace(left, right, count + 1).tolist()
    return list(pairwise(edges))


def back_of(planogram: Planogram) -> float:
    """Return how far behind its front the back panel stands, metres: behind every shelf."""
    return max([planogram.depth, *(shelf.z + shelf.depth for shelf in planogram.shelves)])


def plinth_of(planogram: Planogram, most: float) -> float:
    """Return the height of what the lowest shelf stands on, metres, at most `most`."""
    lowest = min((shelf.y for shelf in planogram.shelves if shelf.kind not in HANGING), default=planogram.base_height)
    return float(np.clip(lowest, 0.0, most)) if lowest <= most + 0.05 else min(planogram.base_height, most)
