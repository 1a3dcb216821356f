"""Bins: products dropped into a tote, as physics lays them, seen from above; any meshes, as in bin picking."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.mesh.rest import Rest
from assets.props.look import Shape
from render.choice import assigned_count, sample_copies, with_copies
from render.framing import Framing, direction_of
from render.layout import PlacedProduct, SceneLayout, SceneRequest
from render.placement.heap import settle
from render.recipes.parts import (
    CountSpan,
    Finishes,
    SceneRecipe,
    Section,
    ShareSpan,
    Span,
    Table,
    shop_finishes,
    within,
)
from render.recipes.sampling import prop_placement, sample_surface
from render.recipes.shop import stand_fixture
from render.scene import Finish, Placement
from render.streams import StreamPurpose

# Inner widths and depths of totes, metres: 400 x 300, 600 x 400 and 800 x 600 mm outside.
FOOTPRINTS = ((0.36, 0.26), (0.56, 0.36), (0.76, 0.56))
# Share of the room that dropped hulls fill.
PACKING = 0.5
WALL, SLAB_THICKNESS = 0.004, 0.04


class DroppedProducts(Section):
    """What lies in the tote."""

    count: Annotated[CountSpan, within(1, 500)] = Field((8, 24), description="products per scene")
    repeat: ShareSpan = Field((0.0, 0.6), description="share of a scene's products that are copies of another one")
    fill_m: Annotated[Span, within(0.01, 1)] = Field((0.06, 0.2), description="mean height of the heap, metres")


class ToteRanges(Section):
    """The tote; its walls are higher where the heap is."""

    height_m: Annotated[Span, within(0.02, 1)] = Field((0.12, 0.32), description="of its walls, metres")
    color: ShareSpan = Field((0.08, 0.7), description="of its plastic, each channel, sRGB 0..1")


class BinCamera(Section):
    """A camera above the tote."""

    lens_mm: Annotated[Span, within(8, 400)] = Field((26.0, 50.0), description="focal length, 35 mm equivalent")
    tilt_deg: Annotated[Span, within(0, 60)] = Field((0.0, 30.0), description="from straight down")
    distance: Annotated[Span, within(0.2, 10)] = Field((0.9, 1.15), description="1 = the tote just fits into the image")


class BinRecipe(SceneRecipe):
    """Ranges of the bin recipe."""

    products: DroppedProducts = Field(default_factory=DroppedProducts, description="what lies in the tote")
    tote: ToteRanges = Field(default_factory=ToteRanges, description="the tote")
    table: Table = Field(default_factory=Table, description="what the tote stands on")
    camera: BinCamera = Field(default_factory=BinCamera, description="pose and lens of the camera")
    finish: Finishes = Field(default_factory=shop_finishes, description="surface of the products")

    def product_count(self) -> tuple[int, int]:
        return assigned_count(self.products.count, self.products.repeat)


SETTINGS = BinRecipe


def lay_out(recipe: BinRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out a tote on a table; all views share it."""
    ranges, rng = recipe.products, request.streams.scene(StreamPurpose.LAYOUT)
    copies = sample_copies(
        len(request.skus), ranges.count, ranges.repeat, rng=request.streams.scene(StreamPurpose.REPEATS)
    )
    order = with_copies(request.skus, copies, rng=rng)
    shapes = [request.library.rest(sku) for sku in order]
    size = tote_size(shapes, float(rng.uniform(*ranges.fill_m)))
    heap = settle(tuple(shapes), float(size[0]), float(size[1]), seed=int(rng.integers(2**32)))
    dropped = zip(order, heap.poses, strict=True)
    products = tuple(PlacedProduct(sku, pose) for sku, pose in dropped if pose is not None)
    tote, table, height = _surroundings(recipe, request, size, heap.top)
    return SceneLayout(products, _framing(recipe, request, size, height), (tote, table))


def tote_size(shapes: list[Rest], fill: float) -> NDArray[np.float64]:
    """Return the inner width and depth (2,), metres, that holds the items up to that height."""
    area = sum(_volume(shape) for shape in shapes) / PACKING / fill
    widest = max(float(np.linalg.norm(np.ptp(shape.hull_vertices, axis=0))) for shape in shapes)
    for footprint in FOOTPRINTS:
        if footprint[0] * footprint[1] >= area and footprint[1] >= widest:
            return np.array(footprint)
    largest = np.array(FOOTPRINTS[-1])
    return np.round(largest * max(np.sqrt(area / largest.prod()), widest / largest[1]) + 0.005, 2)


def _volume(shape: Rest) -> float:
    corners = shape.hull_vertices[shape.hull_faces]
    return abs(float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum())) / 6


def _surroundings(
    recipe: BinRecipe, request: SceneRequest, size: NDArray, top: float
) -> tuple[Placement, Placement, float]:
    """Return the tote with walls above all centres, the table under it, and the height of the walls, metres."""
    rng = request.streams.scene(StreamPurpose.TABLE)
    height = round(float(max(rng.uniform(*recipe.tote.height_m), top + 0.02)) + 0.005, 2)
    color = tuple(float(part) for part in rng.uniform(*recipe.tote.color, size=3))
    pose = np.eye(4)
    pose[2, 3] = -WALL
    tote = stand_fixture(
        "tote",
        pose,
        "tote",
        width=float(size[0]),
        depth=float(size[1]),
        height=height,
        wall=WALL,
        ribs=int(rng.integers(0, 7)),
        handles=bool(rng.random() < 0.6),
        color=color,
    ).placement
    ranges = recipe.table
    side = round(float(np.hypot(*size)) * (1 + float(rng.uniform(*ranges.margin))), 2)
    texture = sample_surface(request.library.backdrops, ranges.image, ranges.repeat_m, rng=rng)
    roughness, gain = float(rng.uniform(*ranges.roughness)), float(rng.uniform(*ranges.gain))
    finish = Finish(tint=(gain, gain, gain), roughness=roughness)
    return tote, prop_placement(Shape("slab", side, side, SLAB_THICKNESS), texture, finish, pose, "table"), height


def _framing(recipe: BinRecipe, request: SceneRequest, size: NDArray, height: float) -> Framing:
    """Return a view that shows the inside of the tote, its width across the image."""
    rng, ranges = request.streams.of_view(StreamPurpose.CAMERA), recipe.camera
    x, y = size / 2
    points = np.array([[a * x, b * y, z] for a in (-1, 1) for b in (-1, 1) for z in (0, height)])
    azimuth = -np.pi / 2 + float(rng.normal(0, np.radians(10)))
    tilt, lens = np.radians(rng.uniform(*ranges.tilt_deg)), float(rng.uniform(*ranges.lens_mm))
    aim = np.array([0.0, 0.0, height / 2])
    return Framing(points, aim, direction_of(azimuth, np.pi / 2 - tilt), lens, float(rng.uniform(*ranges.distance)))
