"""Rendered pictures to compare with photographs: scenes exposed once, developed with the sensor of any ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.files.image_input import open_image
from assets.library import Library
from assets.machine import usable_cores
from pipeline.run.scene import jpeg_of
from pipeline.target.measure import JPEG, LENS, MEASURED, OBJECT_SIZE, OBJECTS, Statistic, measure_picture
from render.backends.protocol import Backend
from render.frame import Frame
from render.framing import lens_of
from render.make_frame import Exposure, expose
from render.recipes.parts import SceneRecipe
from render.sample import sample_scene, sample_sensor_of
from render.scene import SceneSpec

Pixels = NDArray[np.uint8]
# Boxes xyxy (N, 4), pixels, of each of some pictures.
Boxes = Sequence[NDArray[np.float64]]
# Finds the objects in some pictures.
FindBoxes = Callable[[Sequence[Pixels]], Boxes]
STATISTICS = (LENS, OBJECT_SIZE, OBJECTS, *MEASURED, JPEG)
# Objects of which others hide more than this do not count for the true size of a scene's objects.
MOSTLY_VISIBLE = 0.5


@dataclass(frozen=True, eq=False)
class Measurements:
    """Values (N, K) of N pictures for the K STATISTICS; NaN where a picture says nothing."""

    values: NDArray[np.float64]

    def of(self, statistic: Statistic) -> NDArray[np.float64]:
        """Return the finite values of a statistic."""
        column = self.values[:, STATISTICS.index(statistic)]
        return column[np.isfinite(column)]

    def scaled(self, statistic: Statistic) -> NDArray[np.float64]:
        """Return the finite values of a statistic as they are compared."""
        values = statistic.scaled(self.of(statistic))
        return values[np.isfinite(values)]

    def additive(self, statistic: Statistic) -> NDArray[np.float64]:
        """Return the values (N,) of a statistic to which its causes add, NaN where there is none."""
        return statistic.additive(self.values[:, STATISTICS.index(statistic)])


@dataclass(frozen=True, eq=False)
class ExposedScene:
    """A scene with its light. true_size: median side of its objects' boxes, as OBJECT_SIZE; NaN without any."""

    scene: SceneSpec
    exposure: Exposure
    true_size: float

    def develop(self, recipe: SceneRecipe, library: Library) -> Pixels:
        """Return the stored image (H, W, 3) of the scene with the sensor of a recipe."""
        scene = replace(self.scene, sensor=sample_sensor_of(self.scene, recipe, library))
        image = Frame(self.exposure.develop(scene.sensor), self.exposure.geometry, self.exposure.annotations)
        with open_image(jpeg_of(image, scene), "a render", "the render") as stored:
            return np.array(stored.convert("RGB"))


def expose_scenes(
    recipe: SceneRecipe,
    library: Library,
    backend: Backend,
    *,
    seed: int,
    count: int,
    size: tuple[int, int],
    first: int = 0,
) -> Iterator[ExposedScene]:
    """Sample and expose `count` scenes of a recipe, from scene `first` on."""
    width, height = size
    for index in range(first, first + count):
        scene = sample_scene(library, recipe, seed=seed, index=index, view=0, width=width, height=height)
        exposure = expose(scene, library, backend)
        kept = [item for item in exposure.annotations if item.visibility >= MOSTLY_VISIBLE]
        boxes = np.array([item.box for item in kept]).reshape(-1, 4)
        yield ExposedScene(scene, exposure, object_size(boxes, (width, height)))


def object_size(boxes: NDArray[np.float64], size: tuple[int, int]) -> float:
    """Return the median side of boxes (N, 4) as a share of the root of the picture's area; NaN without boxes."""
    if not len(boxes):
        return float("nan")
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return float(np.median(sides) / np.sqrt(size[0] * size[1]))


@dataclass(frozen=True, eq=False)
class RenderedPictures:
    """Pictures of a recipe with what is measured on them. true_size: median of the scenes', known from their labels."""

    images: Sequence[Pixels]
    measured: Measurements
    true_size: float


def render_pictures(
    scenes: Sequence[ExposedScene],
    recipe: SceneRecipe,
    library: Library,
    find_boxes: FindBoxes | None = None,
    *,
    detail: bool = True,
) -> RenderedPictures:
    """Develop scenes with the sensor of a recipe and measure them. detail: False leaves out the size of detail."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        images = list(pool.map(lambda scene: scene.develop(recipe, library), scenes))
    said = [
        (lens_of(scene.scene.camera), sample_sensor_of(scene.scene, recipe, library).jpeg_quality) for scene in scenes
    ]
    sizes = [scene.true_size for scene in scenes if np.isfinite(scene.true_size)]
    true_size = float(np.median(sizes)) if sizes else float("nan")
    return RenderedPictures(images, measure_pictures(images, said, find_boxes, detail=detail), true_size)


def measure_pictures(
    images: Sequence[Pixels],
    said: Sequence[tuple[float | None, int | None]],
    find_boxes: FindBoxes | None = None,
    *,
    detail: bool = True,
) -> Measurements:
    """Measure pictures (H, W, 3). said: focal length and JPEG quality of each. find_boxes: of a detector, if any."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        measured = list(pool.map(lambda image: measure_picture(image, detail=detail), images))
    found: Boxes | None = find_boxes(images) if find_boxes is not None else None
    rows = []
    for number, (image, (lens, quality)) in enumerate(zip(images, said, strict=True)):
        size = count = np.nan
        if found is not None:
            size = object_size(found[number], (image.shape[1], image.shape[0]))
            count = float(len(found[number]))
        known = [np.nan if value is None else value for value in (lens, size, count)]
        rows.append([*known, *measured[number], np.nan if quality is None else quality])
    return Measurements(np.array(rows, dtype=np.float64))
