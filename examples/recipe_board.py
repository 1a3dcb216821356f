"""Products in facings on two shelf boards with a back panel, seen from the aisle: a recipe of one file.

Use it by its path: synth render --demo --recipe examples/recipe_board.py --out data/boards
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.props.look import Shape, Texture
from render.framing import Framing, direction_of
from render.layout import LightWish, PlacedProduct, SceneLayout, SceneRequest, Support
from render.placement.facings import FacingBlock, FacingParams, set_in_facings
from render.recipes.parts import Backgrounds, CountSpan, Lights, SceneRecipe, Section, Share, Span
from render.recipes.sampling import prop_placement
from render.scene import Finish, Placement
from render.streams import StreamPurpose

BOARDS, THICKNESS, PANEL = 2, 0.025, 0.015
# The front of a shelf is where products look by themselves.
FRONT = -np.pi / 2


class BoardProducts(Section):
    """What stands on the boards."""

    count: CountSpan = Field((4, 8), description="different products per scene")
    facings: CountSpan = Field((1, 4), description="copies of a product side by side")
    rows: CountSpan = Field((1, 3), description="copies of a product behind each other")
    gap_m: Span = Field((0.002, 0.012), description="between neighbours, metres")
    turn_deg: Span = Field((0.0, 4.0), description="how carelessly they are turned, standard deviation")
    missing: Share = Field(0.12, description="chance that the front item of a row has been taken")


class Boards(Section):
    """The shelf."""

    depth_m: Span = Field((0.3, 0.45), description="of a board, metres")
    headroom_m: Span = Field((0.05, 0.14), description="over the highest product of a board, metres")
    grey: Span = Field((0.55, 0.92), description="brightness of boards and panel")
    roughness: Span = Field((0.35, 0.7), description="0 mirror, 1 chalk")


class AisleCamera(Section):
    """A photographer in the aisle."""

    lens_mm: Span = Field((24.0, 32.0), description="focal length, 35 mm equivalent")
    side_deg: Span = Field((-22.0, 22.0), description="how far it stands beside the middle of the shelf")
    height_deg: Span = Field((2.0, 22.0), description="how far it looks down")
    distance: Span = Field((0.72, 1.0), description="1 = the whole shelf just fits into the frame")
    roll_deg: Span = Field((-2.0, 2.0), description="turn about the optical axis")


class BoardRecipe(SceneRecipe):
    """Ranges of the board recipe."""

    products: BoardProducts = Field(default_factory=BoardProducts, description="what stands on the boards")
    boards: Boards = Field(default_factory=Boards, description="the shelf")
    camera: AisleCamera = Field(default_factory=AisleCamera, description="where the image is taken from")
    lights: Lights = Field(
        default_factory=lambda: Lights(area_count=(1, 2), area_size_m=(0.6, 1.6), area_distance_m=(1.4, 2.4)),
        description="where light comes from",
    )
    background: Backgrounds = Field(
        default_factory=lambda: Backgrounds(environment=1.0, photo=4.0, texture=0.0), description="beside the shelf"
    )

    def product_count(self) -> tuple[int, int]:
        return self.products.count


SETTINGS = BoardRecipe


def lay_out(recipe: BoardRecipe, request: SceneRequest) -> SceneLayout:
    """Each product goes to the board with more room left; all views share the shelf."""
    blocks = _blocks(recipe, request)
    shares: list[list[int]] = [[] for _ in range(BOARDS)]
    for number in range(len(blocks)):
        emptier = min(shares, key=lambda share: _width([blocks[other] for other in share], recipe.products.gap_m[1]))
        emptier.append(number)
    supports = _boards(recipe, request, [[blocks[number] for number in share] for share in shares])
    rng, ranges = request.streams.scene(StreamPurpose.LAYOUT), recipe.products
    tidy = FacingParams(gap=ranges.gap_m, turn=np.radians(rng.uniform(*ranges.turn_deg)), missing=ranges.missing)
    products = []
    for support, share in zip(supports, shares, strict=True):
        placed = set_in_facings([blocks[number] for number in share], support, tidy, rng=rng)
        for number, block in zip(share, placed, strict=True):
            products += [PlacedProduct(request.skus[number], pose) for pose in block.poses]
    target = np.array([0.0, 0.0, supports[1].world_from_support[2, 3]])
    lights = LightWish(target, (FRONT - 1.1, FRONT + 1.1), (0.25, 0.8))
    return SceneLayout(tuple(products), _framing(recipe, request, supports), (), supports, lights)


def _blocks(recipe: BoardRecipe, request: SceneRequest) -> list[FacingBlock]:
    """How many facings and rows each product gets; its front, or the side that the request wants, to the aisle."""
    rng = request.streams.scene(StreamPurpose.REPEATS)
    blocks = []
    for number, sku in enumerate(request.skus):
        columns, rows = (
            int(rng.integers(low, high + 1)) for low, high in (recipe.products.facings, recipe.products.rows)
        )
        # Staff turn fronts to the aisle; where all sides are to be seen equally often, one in four does.
        turn = np.round(request.orientations[number][0] * 4) * np.pi / 2 if request.orientations else 0.0
        blocks.append(FacingBlock(request.library.rest(sku), columns, rows, turn))
    return blocks


def _boards(recipe: BoardRecipe, request: SceneRequest, blocks: list[list[FacingBlock]]) -> tuple[Support, ...]:
    """Boards as wide as what stands on them, and the panel behind, which the lower board carries."""
    rng, ranges = request.streams.scene(StreamPurpose.TABLE), recipe.boards
    grey, rough, depth = (float(rng.uniform(*span)) for span in (ranges.grey, ranges.roughness, ranges.depth_m))
    color = (grey, grey * float(rng.uniform(0.96, 1.0)), grey * float(rng.uniform(0.9, 1.0)))
    look = Texture("solid", colors=(color, color)), Finish(roughness=rough)
    width = round(max(0.5, *(_width(some, recipe.products.gap_m[1]) for some in blocks)), 2)
    heights = [max((float(block.shape.hull_vertices[:, 2].max()) for block in some), default=0.2) for some in blocks]
    heights = [round(height + float(rng.uniform(*ranges.headroom_m)), 2) for height in heights]
    bases = [0.0, heights[0] + THICKNESS]
    top = bases[1] + heights[1]
    panel = prop_placement(
        Shape("box", width, PANEL, top + THICKNESS), *look, _at(depth / 2 + PANEL / 2, -THICKNESS), "panel"
    )
    supports = []
    for number, (base, height) in enumerate(zip(bases, heights, strict=True)):
        board = prop_placement(Shape("slab", width, depth, THICKNESS), *look, _at(0.0, base), f"board-{number + 1}")
        carriers: tuple[Placement, ...] = (board, panel) if number == 0 else (board,)
        supports.append(Support(_at(0.0, base), width, depth, height, carriers))
    return tuple(supports)


def _width(blocks: list[FacingBlock], gap: float) -> float:
    """What blocks need side by side at most, metres: each item turned by a few degrees."""
    return sum(
        block.columns * (float(np.ptp(block.shape.hull_vertices[:, :2], axis=0).max()) * 1.04 + gap) for block in blocks
    )


def _at(y: float, z: float) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[1:3, 3] = y, z
    return pose


def _framing(recipe: BoardRecipe, request: SceneRequest, supports: tuple[Support, ...]) -> Framing:
    """The first view stands before the shelf, further ones elsewhere in the aisle."""
    rng, ranges = request.streams.of_view(StreamPurpose.CAMERA), recipe.camera
    width, front = supports[0].width, -supports[0].depth / 2
    top = supports[1].world_from_support[2, 3] + supports[1].height
    points = np.array([[x, front, z] for x in (-width / 2, width / 2) for z in (-THICKNESS, top)])
    side, down, roll = (
        np.radians(rng.uniform(*span)) for span in (ranges.side_deg, ranges.height_deg, ranges.roll_deg)
    )
    towards = direction_of(FRONT + side, down)
    lens, distance = float(rng.uniform(*ranges.lens_mm)), float(rng.uniform(*ranges.distance))
    return Framing(points, points.mean(axis=0), towards, lens, distance, float(roll))
