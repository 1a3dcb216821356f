"""Products that stand, lie and lean close together on a table, some hidden by others and by distractors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.catalog.resting import RestWeights, rests_of
from assets.library import Library
from assets.mesh.rest import Rest, upright_rest
from assets.props.look import Shape, Texture
from render.choice import Orientation, assigned_count, sample_copies
from render.framing import Framing, direction_of
from render.geometry import rotation_about_z, transform
from render.layout import PlacedProduct, SceneLayout, SceneRequest, Support
from render.placement.arrange import ArrangementParams, Item, RestingPose, arrange
from render.recipes.parts import Backgrounds, Distractors, SceneRecipe, Table, TableCamera, TableProducts
from render.recipes.sampling import prop_placement, sample_distractor, sample_surface
from render.scene import Finish, Placement
from render.streams import StreamPurpose, Streams

SLAB_THICKNESS = 0.04
RESTING_POSES: tuple[RestingPose, ...] = ("stand", "lie", "lean")
# Since this version of the streams, products whose list gives no resting weights get those of their package kind.
RESTS_BY_KIND = 2
Look = tuple[Shape, Texture, Finish]


class TabletopRecipe(SceneRecipe):
    """Ranges of the tabletop recipe."""

    products: TableProducts = Field(
        default_factory=TableProducts, description="products on the table and their arrangement"
    )
    distractors: Distractors = Field(default_factory=Distractors, description="distractors among the products")
    table: Table = Field(default_factory=Table, description="the table")
    camera: TableCamera = Field(default_factory=TableCamera, description="pose and lens of the camera")
    background: Backgrounds = Field(default_factory=Backgrounds, description="behind the table")

    def product_count(self) -> tuple[int, int]:
        return assigned_count(self.products.count, self.products.repeat)


SETTINGS = TabletopRecipe


def lay_out(recipe: TabletopRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out a scene. All views share the table; the first looks along the direction of occlusion."""
    azimuth = request.streams.scene(StreamPurpose.CAMERA).uniform(-np.pi, np.pi)
    products, props = _arrange(recipe, request, azimuth)
    points = _corners(request.library, products)
    table = _table(recipe, request, points)
    return SceneLayout(tuple(products), _framing(recipe, request.streams, points, azimuth), tuple(props), (table,))


def _sample_distractors(recipe: TabletopRecipe, streams: Streams) -> list[Look]:
    rng = streams.scene(StreamPurpose.PROPS)
    low, high = recipe.distractors.count
    return [sample_distractor(recipe.distractors, rng=rng) for _ in range(rng.integers(low, high + 1))]


def _arrange(
    recipe: TabletopRecipe, request: SceneRequest, azimuth: float
) -> tuple[list[PlacedProduct], list[Placement]]:
    """Set products and distractors down in a common random order, so that either may hide the other; copies last."""
    library, streams, skus = request.library, request.streams, request.skus
    shapes = _sample_distractors(recipe, streams)
    rng = streams.scene(StreamPurpose.LAYOUT)
    ranges = recipe.products
    copies = sample_copies(len(skus), ranges.count, ranges.repeat, rng=streams.scene(StreamPurpose.REPEATS))
    bodies = _items(recipe, request, azimuth, rng)
    bodies += [Item(upright_rest(library.prop(shape, texture))) for shape, texture, _ in shapes]
    order = rng.permutation(len(bodies))
    items = [bodies[i] for i in order]
    item_index = {int(i): number for number, i in enumerate(order)}
    items += [replace(bodies[i], copy_of=item_index[i]) for i in copies]
    # The support is unbounded here (the table is made to fit afterwards), so every item finds room.
    placed = [pose for pose in arrange(items, _params(recipe, azimuth, streams, rng), rng=rng) if pose is not None]
    poses = dict(zip(order.tolist(), placed, strict=False))
    products = [PlacedProduct(sku, poses[i]) for i, sku in enumerate(skus)]
    products += [PlacedProduct(skus[i], pose) for i, pose in zip(copies, placed[len(bodies) :], strict=True)]
    props = [prop_placement(*look, poses[len(skus) + i], f"distractor-{i + 1}") for i, look in enumerate(shapes)]
    return products, props


def _items(recipe: TabletopRecipe, request: SceneRequest, azimuth: float, rng: np.random.Generator) -> list[Item]:
    """Return the products as items, each with its resting pose."""
    rests = [(request.library.rest(sku), _own_weights(request.library, sku, request.streams)) for sku in request.skus]
    if not request.orientations:
        return [Item(rest, _sample_resting(recipe, rng, own), stands=_stands(own)) for rest, own in rests]
    return [
        _turned_item(rest, orientation, recipe, azimuth, own)
        for (rest, own), orientation in zip(rests, request.orientations, strict=True)
    ]


def _turned_item(
    rest: Rest, orientation: Orientation, recipe: TabletopRecipe, azimuth: float, own: RestWeights | None
) -> Item:
    """Return an item turned as `orientation` says.

    Its first number is the turn (0 shows the first view the product's front, -Y), its second the resting pose, its
    third the side on which the product lies.
    """
    turn = azimuth + np.pi / 2 + 2 * np.pi * orientation[0]
    return Item(rest, _resting_at(recipe, orientation[1], own), turn, orientation[2], _stands(own))


def _own_weights(library: Library, sku: str, streams: Streams) -> RestWeights | None:
    """Return the product's resting weights: the list's, else (since version RESTS_BY_KIND) its kind's, else None."""
    return rests_of(library.catalog.find(sku), defaults=streams.version >= RESTS_BY_KIND)


def _stands(own: RestWeights | None) -> bool:
    return own is None or own.stand > 0


def _sample_resting(recipe: TabletopRecipe, rng: np.random.Generator, own: RestWeights | None) -> RestingPose:
    return _resting_at(recipe, rng.random(), own) if any(_weights(recipe, own)) else "stand"


def _resting_at(recipe: TabletopRecipe, position: float, own: RestWeights | None = None) -> RestingPose:
    """Return the resting pose at `position`, 0..1, on the cumulative weights."""
    weights = np.array(_weights(recipe, own))
    # The arithmetic of numpy's Generator.choice, which this replaced, so that existing scenes do not change.
    edges = np.cumsum(weights / weights.sum()) if weights.any() else np.ones(1)
    return RESTING_POSES[np.searchsorted(edges / edges[-1], position, side="right")]


def _weights(recipe: TabletopRecipe, own: RestWeights | None) -> list[float]:
    """Return the recipe's weights times the product's own; the product's own alone where the product is all zero."""
    wanted = [getattr(recipe.products.manner, manner) for manner in RESTING_POSES]
    if own is None:
        return wanted
    both = [weight * share for weight, share in zip(wanted, own.values, strict=True)]
    return both if any(both) else list(own.values)


def _params(recipe: TabletopRecipe, azimuth: float, streams: Streams, rng: np.random.Generator) -> ArrangementParams:
    ranges = recipe.products
    low, high = np.radians(ranges.lean_deg)
    density, stack = rng.uniform(*ranges.density), streams.scene(StreamPurpose.STACKS).uniform(*ranges.stack)
    return ArrangementParams(ranges.touch, ranges.occlude, density, (low, high), azimuth + np.pi, stack, ranges.compact)


def _corners(library: Library, products: list[PlacedProduct]) -> NDArray[np.float64]:
    """Return the corners (N, 3) of all products' bounding boxes in the world, for framing."""
    corners = []
    for placement in products:
        low, high = library.product(placement.sku).bounds
        box = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        corners.append(transform(placement.world_from_object, box))
    return np.concatenate(corners)


def _table(recipe: TabletopRecipe, request: SceneRequest, points: NDArray) -> Support:
    """Return a slab under everything, turned, with its texture; sizes are rounded to centimetres for the cache."""
    rng = request.streams.scene(StreamPurpose.TABLE)
    radius = float(np.hypot(points[:, 0], points[:, 1]).max())
    side = 2 * radius * (1 + rng.uniform(*recipe.table.margin))
    width, depth = (max(round(side * factor, 2), 0.02) for factor in rng.uniform(1.0, 1.4, size=2))
    texture = sample_surface(request.library.backdrops, recipe.table.image, recipe.table.repeat_m, rng=rng)
    pose = np.eye(4)
    pose[:3, :3] = rotation_about_z(rng.uniform(-np.pi, np.pi))
    roughness, gain = float(rng.uniform(*recipe.table.roughness)), float(rng.uniform(*recipe.table.gain))
    finish = Finish(tint=(gain, gain, gain), roughness=roughness)
    slab = prop_placement(Shape("slab", width, depth, SLAB_THICKNESS), texture, finish, pose, "table")
    return Support(pose, width, depth, props=(slab,))


def _framing(recipe: TabletopRecipe, streams: Streams, points: NDArray, azimuth: float) -> Framing:
    """Return the framing of a view: the first looks along the direction of occlusion, further ones from any azimuth."""
    rng = streams.of_view(StreamPurpose.CAMERA)
    ranges = recipe.camera
    around = azimuth if streams.view == 0 else rng.uniform(-np.pi, np.pi)
    elevation, roll = np.radians(rng.uniform(*ranges.height_deg)), np.radians(rng.uniform(*ranges.roll_deg))
    low, high = points.min(axis=0), points.max(axis=0)
    beside, side = rng.uniform(*ranges.aim) * np.hypot(*(high - low)[:2]) / 2, rng.uniform(-np.pi, np.pi)
    aim = (low + high) / 2 + beside * np.array([np.cos(side), np.sin(side), 0.0])
    return Framing(
        points,
        aim,
        direction_of(around, elevation),
        lens_mm=rng.uniform(*ranges.lens_mm),
        distance=rng.uniform(*ranges.distance),
        roll=roll,
    )
