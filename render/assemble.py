"""Assembly of a SceneSpec from a recipe's layout: camera, lights, finishes, background and sensor."""

from __future__ import annotations

from render.framing import frame_camera, lens_of
from render.layout import SceneLayout, SceneRequest
from render.recipes.parts import SceneRecipe
from render.recipes.sampling import (
    sample_area_lights,
    sample_background,
    sample_environment,
    sample_finish,
    sample_sensor,
)
from render.scene import Camera, Placement, SceneSpec
from render.streams import StreamPurpose


def assemble_scene(recipe: SceneRecipe, request: SceneRequest, layout: SceneLayout) -> SceneSpec:
    """Sample everything that the layout leaves open. Raises SynthError if a product's mesh cannot be loaded."""
    streams, backdrops, width = request.streams, request.library.backdrops, request.width
    camera = _camera(layout, request)
    lights = streams.scene(StreamPurpose.LIGHTS)
    environment = sample_environment(recipe.lights, backdrops, rng=lights)
    return SceneSpec(
        recipe=recipe.recipe,
        seed=streams.seed,
        index=streams.index,
        view=streams.view,
        camera=camera,
        placements=_placements(recipe, request, layout),
        lights=sample_area_lights(recipe.lights, environment.strength, rng=lights, wish=layout.lights),
        environment=environment,
        background=sample_background(
            recipe.background,
            backdrops,
            width,
            rng=streams.of_view(StreamPurpose.BACKGROUND),
            lens_mm=None if streams.version == 1 else lens_of(camera),
        ),
        sensor=sample_sensor(recipe.sensor, width, rng=streams.of_view(StreamPurpose.SENSOR)),
        streams=streams.version,
    )


def _camera(layout: SceneLayout, request: SceneRequest) -> Camera:
    if isinstance(layout.camera, Camera):
        return layout.camera
    return frame_camera(layout.camera, request.width, request.height)


def _placements(recipe: SceneRecipe, request: SceneRequest, layout: SceneLayout) -> tuple[Placement, ...]:
    rng = request.streams.scene(StreamPurpose.FINISH)
    products = []
    for item in layout.products:
        finish = item.finish or sample_finish(recipe.finish, request.library.product(item.sku), rng=rng)
        products.append(Placement("product", item.sku, item.world_from_object, finish))
    carriers = (prop for support in layout.supports for prop in support.props)
    return (*products, *layout.props, *carriers)
