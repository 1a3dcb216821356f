"""The look of a recipe's own lights, finishes and sensors on photographed arrangements, beside the photographs'."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.color import srgb_from_linear
from assets.library import Library
from benchmarks.twin.measure import LOOKS, Look, measure_look
from benchmarks.twin.stage import resized
from benchmarks.twin.work import Work, read_photo, shared_pixels
from render.backends.protocol import Backend
from render.background import composite
from render.labels import trace_geometry
from render.recipes.parts import SceneRecipe
from render.recipes.sampling import (
    sample_area_lights,
    sample_background,
    sample_environment,
    sample_finish,
    sample_sensor,
)
from render.scene import Placement, SceneSpec
from render.sensor import develop
from render.streams import StreamPurpose, Streams

NOT_SEEN = (float("nan"),) * 3


@dataclass(frozen=True)
class LookRow:
    """One measure over many images: 5th, 50th and 95th percentile of photographs and of renders.

    inside: share of the photographs between the renders' 5th and 95th. distance: Wasserstein distance of the two
    distributions, in standard deviations of both together.
    """

    name: str
    photos: tuple[float, float, float]
    renders: tuple[float, float, float]
    inside: float
    distance: float


def drawn_looks(
    library: Library, backend: Backend, work: Work, recipe: SceneRecipe, hdris: Any, count: int, width: int
) -> tuple[list[Look], list[Look], list[NDArray[np.uint8]]]:
    """Looks of the arrangement's photographs, looks of `count` draws of the recipe on it, and the drawn images.

    hdris: Backdrops from which environments are drawn.
    """
    scene = resized(work.scene, width)
    geometry = trace_geometry(scene, library)
    products = np.isin(geometry.ids, np.arange(1, len(work.arrangement.scanned) + 1))
    shown = shared_pixels(work.arrangement, geometry.ids)
    even = np.clip(srgb_from_linear(_even(backend, scene)), 0, 1)
    height = scene.camera.height
    photos = [measure_look(read_photo(path, width, height), even, shown) for path in work.arrangement.photos]
    drawn = []
    for index in range(count):
        look = draw_look(library, scene, recipe, hdris, index)
        light = composite(backend.render(look), look, library.backdrops)
        drawn.append(_stored(develop(light, look.sensor, products), look.sensor.jpeg_quality))
    return photos, [measure_look(image / 255, even, shown) for image in drawn], drawn


def draw_look(library: Library, scene: SceneSpec, recipe: SceneRecipe, hdris: Any, index: int) -> SceneSpec:
    """The arrangement with lights, finishes, background and sensor as the recipe draws them."""
    streams = Streams(0, index)
    lights, finishes = streams.scene(StreamPurpose.LIGHTS), streams.scene(StreamPurpose.FINISH)
    environment = sample_environment(recipe.lights, hdris, rng=lights)
    area = sample_area_lights(recipe.lights, environment.strength, rng=lights)
    width = scene.camera.width

    def finished(placement: Placement) -> Placement:
        if placement.kind == "prop":
            return placement
        return replace(placement, finish=sample_finish(recipe.finish, library.product(placement.key), rng=finishes))

    return replace(
        scene,
        index=index,
        placements=tuple(finished(placement) for placement in scene.placements),
        environment=environment,
        lights=area,
        background=sample_background(recipe.background, hdris, width, rng=streams.of_view(StreamPurpose.BACKGROUND)),
        sensor=sample_sensor(recipe.sensor, width, rng=streams.of_view(StreamPurpose.SENSOR)),
    )


def compare_looks(photos: list[Look], renders: list[Look]) -> list[LookRow]:
    """Each measure of the photographs against the renders."""
    from scipy.stats import wasserstein_distance

    rows = []
    for name in LOOKS:
        theirs, ours = (np.array([getattr(look, name) for look in looks]) for looks in (photos, renders))
        theirs, ours = theirs[np.isfinite(theirs)], ours[np.isfinite(ours)]
        if not (len(theirs) and len(ours)):  # nowhere flat enough to see noise
            rows.append(LookRow(name, NOT_SEEN, NOT_SEEN, float("nan"), float("nan")))
            continue
        spans = [tuple(float(value) for value in np.percentile(values, (5, 50, 95))) for values in (theirs, ours)]
        inside = float(((theirs >= spans[1][0]) & (theirs <= spans[1][2])).mean())
        distance = float(wasserstein_distance(theirs, ours) / max(np.concatenate([theirs, ours]).std(), 1e-9))
        rows.append(LookRow(name, spans[0], spans[1], inside, distance))
    return rows


def _even(backend: Backend, scene: SceneSpec) -> NDArray[np.float32]:
    """The scene in even light, (H, W, 3) linear."""
    return backend.render(replace(scene, environment=replace(scene.environment, strength=1.0), lights=()))[..., :3]


def _stored(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """An image as it comes back from a JPEG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))
