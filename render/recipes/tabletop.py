"""Products that stand, lie and lean on a table, close together, some hidden by others and by distractors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.catalog.resting import RestWeights, rests_of
from assets.library import Library
from assets.mesh.rest import Rest, upright_rest
from assets.props.look import Shape, Texture
from render.choice import Orientation, SceneProducts, assigned_count, sample_copies, scene_skus
from render.framing import camera_framing, direction_of, lens_of
from render.geometry import transform
from render.placement.arrange import ArrangementParams, Item, Manner, arrange, rotation_about_z
from render.recipes.parts import (
    Backgrounds,
    Distractors,
    Finishes,
    Lights,
    Section,
    SensorRanges,
    Table,
    TableCamera,
    TableProducts,
)
from render.recipes.sampling import (
    prop_placement,
    sample_area_lights,
    sample_background,
    sample_distractor,
    sample_environment,
    sample_finish,
    sample_sensor,
    sample_surface,
)
from render.scene import Camera, Finish, Placement, SceneSpec
from render.streams import StreamPurpose, Streams

SLAB_THICKNESS = 0.04
MANNERS: tuple[Manner, ...] = ("stand", "lie", "lean")
# Since this version of the streams products rest as their kind does where the list says nothing.
RESTS_BY_KIND = 2
Look = tuple[Shape, Texture, Finish]


class Recipe(Section):
    """Ranges of the tabletop recipe."""

    recipe: Literal["tabletop"] = "tabletop"
    products: TableProducts = Field(default_factory=TableProducts, description="what stands on the table, and how")
    distractors: Distractors = Field(default_factory=Distractors, description="plain bodies among the products")
    table: Table = Field(default_factory=Table, description="what they stand on")
    camera: TableCamera = Field(default_factory=TableCamera, description="where the picture is taken from")
    lights: Lights = Field(default_factory=Lights, description="where light comes from")
    finish: Finishes = Field(default_factory=Finishes, description="surface of the products")
    background: Backgrounds = Field(default_factory=Backgrounds, description="behind the table")
    sensor: SensorRanges = Field(default_factory=SensorRanges, description="the camera's electronics")


def lay_out(
    library: Library, recipe: Recipe, streams: Streams, width: int, height: int, hand: SceneProducts | None = None
) -> SceneSpec:
    """The scene of this index and view. Raises SynthError where a mesh of its products cannot be loaded."""
    skus = scene_skus(
        hand, library.catalog.keys, assigned_count(recipe.products.count, recipe.products.repeat), streams
    )
    facings = hand.facings if hand is not None else ()
    azimuth = streams.scene(StreamPurpose.CAMERA).uniform(-np.pi, np.pi)
    shapes = _sample_distractors(recipe, streams)
    products, props = _arrange(library, recipe, streams, skus, facings, shapes, azimuth)
    points = _corners(library, products)
    slab = _table(library, recipe, streams, points)
    camera = _camera(recipe, streams, points, azimuth, width, height)
    lights = streams.scene(StreamPurpose.LIGHTS)
    environment = sample_environment(recipe.lights, library.backdrops, rng=lights)
    return SceneSpec(
        recipe=recipe.recipe,
        seed=streams.seed,
        index=streams.index,
        view=streams.view,
        camera=camera,
        placements=(*products, *props, slab),
        lights=sample_area_lights(recipe.lights, environment.strength, rng=lights),
        environment=environment,
        background=sample_background(
            recipe.background,
            library.backdrops,
            width,
            rng=streams.of_view(StreamPurpose.BACKGROUND),
            lens_mm=None if streams.version == 1 else lens_of(camera),
        ),
        sensor=sample_sensor(recipe.sensor, width, rng=streams.of_view(StreamPurpose.SENSOR)),
        streams=streams.version,
    )


def _sample_distractors(recipe: Recipe, streams: Streams) -> list[Look]:
    rng = streams.scene(StreamPurpose.PROPS)
    low, high = recipe.distractors.count
    return [sample_distractor(recipe.distractors, rng=rng) for _ in range(rng.integers(low, high + 1))]


def _arrange(
    library: Library,
    recipe: Recipe,
    streams: Streams,
    skus: list[str],
    facings: Sequence[Orientation],
    shapes: list[Look],
    azimuth: float,
) -> tuple[list[Placement], list[Placement]]:
    """Products and distractors set down together, in mixed order, so that either may hide the other; copies last."""
    rng = streams.scene(StreamPurpose.LAYOUT)
    ranges = recipe.products
    copies = sample_copies(len(skus), ranges.count, ranges.repeat, rng=streams.scene(StreamPurpose.REPEATS))
    rests = [(library.rest(sku), _own_weights(library, sku, streams)) for sku in skus]
    if facings:
        bodies = [
            _turned_thing(rest, facing, recipe, azimuth, own)
            for (rest, own), facing in zip(rests, facings, strict=True)
        ]
    else:
        bodies = [Item(rest, _sample_resting(recipe, rng, own), stands=_stands(own)) for rest, own in rests]
    bodies += [Item(upright_rest(library.prop(shape, texture))) for shape, texture, _ in shapes]
    order = rng.permutation(len(bodies))
    things = [bodies[i] for i in order]
    places = {int(i): place for place, i in enumerate(order)}
    things += [replace(bodies[i], copy_of=places[i]) for i in copies]
    placed = arrange(things, _habits(recipe, azimuth, streams, rng), rng=rng)
    poses = dict(zip(order.tolist(), placed, strict=False))
    finishes = streams.scene(StreamPurpose.FINISH)
    products = [
        Placement("product", sku, poses[i], sample_finish(recipe.finish, library.product(sku), rng=finishes))
        for i, sku in enumerate(skus)
    ]
    products += [
        Placement("product", skus[i], pose, sample_finish(recipe.finish, library.product(skus[i]), rng=finishes))
        for i, pose in zip(copies, placed[len(bodies) :], strict=True)
    ]
    props = [prop_placement(*look, poses[len(skus) + i], f"distractor-{i + 1}") for i, look in enumerate(shapes)]
    return products, props


def _turned_thing(rest: Rest, facing: Orientation, recipe: Recipe, azimuth: float, own: RestWeights | None) -> Item:
    """Turned by the first number: 0 shows the first view its front (-y). The second says how it rests, the third on
    which side it lies."""
    turn = azimuth + np.pi / 2 + 2 * np.pi * facing[0]
    return Item(rest, _manner_at(recipe, facing[1], own), turn, facing[2], _stands(own))


def _own_weights(library: Library, sku: str, streams: Streams) -> RestWeights | None:
    """How the product itself rests: as its list says, else by its kind, but in scenes that were drawn without that."""
    return rests_of(library.catalog.find(sku), defaults=streams.version >= RESTS_BY_KIND)


def _stands(own: RestWeights | None) -> bool:
    return own is None or own.stand > 0


def _sample_resting(recipe: Recipe, rng: np.random.Generator, own: RestWeights | None) -> Manner:
    return _manner_at(recipe, rng.random(), own) if any(_weights(recipe, own)) else "stand"


def _manner_at(recipe: Recipe, place: float, own: RestWeights | None = None) -> Manner:
    """How a product rests: `place` of 0..1 on the line of the weights."""
    weights = np.array(_weights(recipe, own))
    # As numpy's Generator.choice finds it, which this was before there were facings: the same scenes as then.
    edges = np.cumsum(weights / weights.sum()) if weights.any() else np.ones(1)
    return MANNERS[np.searchsorted(edges / edges[-1], place, side="right")]


def _weights(recipe: Recipe, own: RestWeights | None) -> list[float]:
    """The recipe's weights times the product's own; its own alone where it does nothing that the recipe wants."""
    wanted = [getattr(recipe.products.manner, manner) for manner in MANNERS]
    if own is None:
        return wanted
    both = [weight * share for weight, share in zip(wanted, own.values, strict=True)]
    return both if any(both) else list(own.values)


def _habits(recipe: Recipe, azimuth: float, streams: Streams, rng: np.random.Generator) -> ArrangementParams:
    ranges = recipe.products
    low, high = np.radians(ranges.lean_deg)
    density, stack = rng.uniform(*ranges.density), streams.scene(StreamPurpose.STACKS).uniform(*ranges.stack)
    return ArrangementParams(ranges.touch, ranges.occlude, density, (low, high), azimuth + np.pi, stack, ranges.compact)


def _corners(library: Library, products: list[Placement]) -> NDArray[np.float64]:
    """(N, 3): the corners of all products' hull boxes in the world, for framing."""
    corners = []
    for placement in products:
        low, high = library.product(placement.key).bounds
        box = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        corners.append(transform(placement.world_from_object, box))
    return np.concatenate(corners)


def _table(library: Library, recipe: Recipe, streams: Streams, points: NDArray) -> Placement:
    """A slab under everything, turned, with its texture; rounded to centimetres so that equal ones are cached once."""
    rng = streams.scene(StreamPurpose.TABLE)
    radius = float(np.hypot(points[:, 0], points[:, 1]).max())
    side = 2 * radius * (1 + rng.uniform(*recipe.table.margin))
    width, depth = (max(round(side * factor, 2), 0.02) for factor in rng.uniform(1.0, 1.4, size=2))
    texture = sample_surface(library.backdrops, recipe.table.image, recipe.table.repeat_m, rng=rng)
    pose = np.eye(4)
    pose[:3, :3] = rotation_about_z(rng.uniform(-np.pi, np.pi))
    roughness, gain = float(rng.uniform(*recipe.table.roughness)), float(rng.uniform(*recipe.table.gain))
    finish = Finish(tint=(gain, gain, gain), roughness=roughness)
    return prop_placement(Shape("slab", width, depth, SLAB_THICKNESS), texture, finish, pose, "table")


def _camera(recipe: Recipe, streams: Streams, points: NDArray, azimuth: float, width: int, height: int) -> Camera:
    """The first view looks along the direction in which products hide each other; further views from anywhere."""
    rng = streams.of_view(StreamPurpose.CAMERA)
    ranges = recipe.camera
    around = azimuth if streams.view == 0 else rng.uniform(-np.pi, np.pi)
    elevation, roll = np.radians(rng.uniform(*ranges.height_deg)), np.radians(rng.uniform(*ranges.roll_deg))
    low, high = points.min(axis=0), points.max(axis=0)
    beside, side = rng.uniform(*ranges.aim) * np.hypot(*(high - low)[:2]) / 2, rng.uniform(-np.pi, np.pi)
    aim = (low + high) / 2 + beside * np.array([np.cos(side), np.sin(side), 0.0])
    return camera_framing(
        points,
        aim,
        direction_of(around, elevation),
        lens_mm=rng.uniform(*ranges.lens_mm),
        distance=rng.uniform(*ranges.distance),
        roll=roll,
        size=(width, height),
    )
