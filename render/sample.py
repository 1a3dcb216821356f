"""Sampling of scenes: catalogue + recipe + seed in, SceneSpec out."""

from __future__ import annotations

import sys
from dataclasses import replace

from assets.library import Library
from assets.props.look import ProductMaterial
from render.choice import SceneProducts, scene_products
from render.framing import frame_camera, lens_of
from render.layout import SceneLayout, SceneRequest
from render.marks import ShopMarks
from render.recipes import check_takes_planograms
from render.recipes.mix import Recipe, RecipeMix, products_at, recipe_at
from render.recipes.optics import sample_optics
from render.recipes.parts import SceneRecipe
from render.recipes.sampling import (
    sample_area_lights,
    sample_background,
    sample_change,
    sample_environment,
    sample_finish,
    sample_sensor,
)
from render.scene import OPTICAL, Camera, Placement, SceneSpec, Sensor
from render.streams import STREAMS, StreamPurpose, Streams, salt_of

# Increased when earlier scenes can no longer be sampled: older data sets can then be neither extended nor sampled
# again. Other changes get a new version of the streams and of the recipes (render/streams.py,
# render/recipes/versions.py).
DRAWING = 2


def sample_scene(
    library: Library,
    recipe: Recipe,
    *,
    seed: int,
    index: int,
    view: int,
    width: int,
    height: int,
    products: SceneProducts | None = None,
    streams: int = STREAMS,
) -> SceneSpec:
    """Sample scene `index` of `seed`, seen by camera `view`: a function of its arguments and the library's content.

    products: the products that it shows; None takes them evenly from the whole catalogue, or those of the library's
    planograms in turn. streams: version of the streams. Raises SynthError if a mesh of the scene cannot be loaded, or
    the recipe stands no planograms up; ValueError for a negative seed, index or view.
    """
    if min(seed, index, view) < 0:
        raise ValueError(f"seed, index and view must not be negative, found {seed}, {index}, {view}")
    keys = library.catalog.keys
    if library.planograms:
        check_takes_planograms(recipe)
        products = products or _planogram_products(library, index)
    if isinstance(recipe, RecipeMix):
        products = products or products_at(recipe, keys, seed, index)
        recipe = recipe_at(recipe, seed, index)
    products = products or scene_products(keys, recipe.product_count(), seed=seed, index=index)
    planogram = None if products.planogram is None else library.planograms[products.planogram]
    request = SceneRequest(
        library, products, Streams(seed, index, view, _salt(library, streams)), width, height, planogram
    )
    # The module that defines the settings also defines lay_out, whether it is built in, installed or a user's file.
    layout: SceneLayout = sys.modules[type(recipe).__module__].lay_out(recipe, request)
    return assemble_scene(recipe, request, layout)


def _planogram_products(library: Library, index: int) -> SceneProducts:
    number = index % len(library.planograms)
    return SceneProducts(library.planograms[number].skus, planogram=number)


def sample_sensor_of(scene: SceneSpec, recipe: SceneRecipe, library: Library) -> Sensor:
    """Return the sensor that a scene would have by the ranges of `recipe.sensor`, with the same optics and draws."""
    streams = Streams(scene.seed, scene.index, scene.view, _salt(library, scene.streams))
    sensor = sample_sensor(recipe.sensor, scene.camera.width, rng=streams.of_view(StreamPurpose.SENSOR))
    return replace(sensor, **{name: getattr(scene.sensor, name) for name in OPTICAL})


def _salt(library: Library, streams: int) -> int | None:
    return None if streams == 1 else salt_of(library.catalog.hash)


def assemble_scene(recipe: SceneRecipe, request: SceneRequest, layout: SceneLayout) -> SceneSpec:
    """Sample everything that the layout leaves open. Raises SynthError if a product's mesh cannot be loaded."""
    streams, backdrops, width = request.streams, request.library.backdrops, request.width
    camera = _camera(layout, request)
    placements = _placements(recipe, request, layout)
    sensor = sample_sensor(recipe.sensor, width, rng=streams.of_view(StreamPurpose.SENSOR))
    camera, sensor = sample_optics(recipe.optics, camera, sensor, placements, rng=streams.of_view(StreamPurpose.OPTICS))
    lights = streams.scene(StreamPurpose.LIGHTS)
    environment = sample_environment(recipe.lights, backdrops, rng=lights)
    return SceneSpec(
        recipe=recipe.recipe,
        seed=streams.seed,
        index=streams.index,
        view=streams.view,
        camera=camera,
        placements=placements,
        lights=(
            *sample_area_lights(recipe.lights, environment.strength, rng=lights, wish=layout.lights),
            *layout.fixed_lights,
        ),
        environment=environment,
        background=sample_background(
            recipe.background,
            backdrops,
            width,
            rng=streams.of_view(StreamPurpose.BACKGROUND),
            lens_mm=None if streams.version == 1 else lens_of(camera),
        ),
        sensor=sensor,
        streams=streams.version,
        marks=_marks(layout),
    )


def _marks(layout: SceneLayout) -> ShopMarks | None:
    """Return the marks with instance ids, which count products, then props, from 1."""
    if layout.marks is None:
        return None
    first = len(layout.products) + 1
    return replace(layout.marks, tags=tuple(replace(tag, instance=first + tag.instance) for tag in layout.marks.tags))


def _camera(layout: SceneLayout, request: SceneRequest) -> Camera:
    if isinstance(layout.camera, Camera):
        return layout.camera
    return frame_camera(layout.camera, request.width, request.height)


def _placements(recipe: SceneRecipe, request: SceneRequest, layout: SceneLayout) -> tuple[Placement, ...]:
    rng, changes = request.streams.scene(StreamPurpose.FINISH), request.streams.scene(StreamPurpose.CHANGES)
    materials: dict[str, ProductMaterial] = {}
    products = []
    for item in layout.products:
        finish = item.finish or replace(
            sample_finish(recipe.finish, request.library.product(item.sku), rng=rng),
            change=sample_change(recipe.finish, materials, item.sku, rng=changes),
        )
        products.append(Placement("product", item.sku, item.world_from_object, finish))
    carriers = (prop for support in layout.supports for prop in support.props)
    return (*products, *layout.props, *carriers)
