"""What a search minimises: the mean distance of factors, on the same scenes for every recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from pipeline.gap.distance import distances_among, group_draws, wasserstein
from pipeline.gap.factors import FACTORS
from pipeline.gap.measure import FactorValues, Floats, Ints, collect, measure_all, measure_factors
from pipeline.gap.pictures import Picture, PictureSet
from pipeline.target.correct import correct_sensor
from pipeline.target.knobs import Knob
from pipeline.target.scenes import ExposedScene, FindBoxes, expose_scenes, measure_pictures, render_pictures
from render.backends.protocol import Backend
from render.framing import lens_of
from render.recipes.parts import SceneRecipe
from render.sample import sample_sensor_of

# A factor counts at most so much, so that one that cannot be mended does not hide the others; so much where it is lost.
MOST = 20.0
# Parts of a trial's scenes after which a hopeless one is given up.
PARTS = 3
RESAMPLES = 400
# Rounds of the correction of the sensor that the first guess takes over.
FIT_ROUNDS = 2
# Says whether a trial is given up, by the part and the value so far.
IsHopeless = Callable[[int, float], bool]


@dataclass(frozen=True, eq=False)
class Reference:
    """Photographs as a search sees them. among: distance between their halves in each of FACTORS."""

    values: FactorValues
    groups: Ints
    among: Sequence[float]


def make_reference(photos: PictureSet, *, side: float, detail: bool, seed: int) -> Reference:
    """Measure photographs. side: root of the area at which sizes are said, pixels. detail: where there are no boxes."""
    values, groups = measure_all(photos.pictures, side=side, detail=detail), photos.groups
    return Reference(values, groups, distances_among(values, groups, seed))


def mean_ratio(
    reference: Reference, found: FactorValues, photo_weights: Floats | None = None, weights: Floats | None = None
) -> Floats:
    """Return the mean over factors (R,) of the distance in units of what photographs differ among themselves.

    photo_weights, weights: (R, N) and (R, M), how often pictures of both sides count; None counts each once.
    """
    photo_weights = np.ones((1, len(reference.groups))) if photo_weights is None else photo_weights
    ratios = []
    for place, factor in enumerate(FACTORS):
        among = reference.among[place]
        if not np.isfinite(among):
            continue
        values, owner = found.values[place], found.owners[place]
        real, real_owner = reference.values.values[place], reference.values.owners[place]
        drawn = np.ones((1, len(values))) if weights is None else weights[:, owner]
        if not len(values):
            ratios.append(np.full(len(photo_weights), MOST))
            continue
        apart = wasserstein(real, photo_weights[:, real_owner], values, drawn) / max(among, factor.least)
        ratios.append(np.minimum(np.nan_to_num(apart, nan=MOST), MOST))
    return np.mean(ratios, axis=0)


class SceneMeasurer:
    """Renders scenes of recipes and measures them like photographs."""

    def __init__(
        self,
        library: Library,
        backend: Backend,
        size: tuple[int, int],
        *,
        labels: bool,
        find_boxes: FindBoxes | None = None,
    ) -> None:
        self._library, self._backend, self.size = library, backend, size
        self._labels, self._find_boxes = labels, find_boxes

    def pictures(self, recipe: SceneRecipe, *, seed: int, first: int, count: int) -> list[Picture]:
        """Return pictures of scenes `first` to `first + count - 1` of a seed."""
        scenes = expose_scenes(
            recipe, self._library, self._backend, seed=seed, count=count, size=self.size, first=first
        )
        return [self._picture(scene, recipe) for scene in scenes]

    def correct_sensor(
        self, recipe: SceneRecipe, knobs: Sequence[Knob], photos: Sequence[Picture], *, seed: int, count: int
    ) -> SceneRecipe:
        """Return the recipe with its sensor corrected as `synth recipe fit` does, which needs no new renders."""
        scenes = list(expose_scenes(recipe, self._library, self._backend, seed=seed, count=count, size=self.size))
        said = [(photo.lens_mm, photo.jpeg_quality) for photo in photos]
        return correct_sensor(
            recipe,
            knobs,
            measure_pictures([photo.pixels for photo in photos], said, detail=False),
            lambda tried, most: render_pictures(scenes[:most], tried, self._library, detail=False).measured,
            rounds=FIT_ROUNDS,
        )

    def rows(self, pictures: Sequence[Picture]) -> list[list[Floats]]:
        """Return the values of all factors on each picture."""
        side = float(np.sqrt(self.size[0] * self.size[1]))
        detail = not self._labels and self._find_boxes is None
        return [measure_factors(picture, side=side, detail=detail) for picture in pictures]

    def _picture(self, scene: ExposedScene, recipe: SceneRecipe) -> Picture:
        pixels = scene.develop(recipe, self._library)
        quality = sample_sensor_of(scene.scene, recipe, self._library).jpeg_quality
        index = scene.scene.index
        boxes, visible = self._boxes(scene, pixels)
        return Picture(f"scene {index}", pixels, index, lens_of(scene.scene.camera), quality, boxes, visible)

    def _boxes(
        self, scene: ExposedScene, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        if self._find_boxes is not None:
            return self._find_boxes([pixels])[0], None
        if not self._labels:
            return None, None
        kept = [item for item in scene.exposure.annotations if not item.ignore]
        boxes = np.array([item.box for item in kept], np.float64).reshape(-1, 4)
        return boxes, np.array([item.visibility for item in kept], np.float64)


@dataclass(frozen=True)
class DistanceObjective:
    """The mean ratio of factors, on the same scenes for every recipe: common random numbers."""

    measurer: SceneMeasurer
    reference: Reference
    scenes: int
    seed: int

    def evaluate(self, recipe: SceneRecipe, is_hopeless: IsHopeless) -> tuple[list[float], bool]:
        """Return the value after each part of the scenes, and whether the recipe was given up."""
        rows: list[list[Floats]] = []
        values: list[float] = []
        edges = np.linspace(0, self.scenes, min(PARTS, self.scenes) + 1).round().astype(int)
        for part, (first, last) in enumerate(pairwise(edges)):
            pictures = self.measurer.pictures(recipe, seed=self.seed, first=int(first), count=int(last - first))
            rows += self.measurer.rows(pictures)
            values.append(float(mean_ratio(self.reference, collect(rows))[0]))
            if last < self.scenes and is_hopeless(part, values[-1]):
                return values, True
        return values, False


@dataclass(frozen=True)
class HeldOut:
    """Two recipes on scenes and photographs that took no part in a search.

    before, after: the objective. low, high: 95 % interval of after - before. share: of resamples where it is below 0.
    """

    before: float
    after: float
    low: float
    high: float
    share: float

    @property
    def better(self) -> bool:
        """Whether the second recipe is better beyond doubt."""
        return self.after < self.before and self.high < 0


def compare_held_out(
    reference: Reference, before: FactorValues, after: FactorValues, scenes: int, *, seed: int
) -> HeldOut:
    """Compare two recipes on the same held-out scenes, resampling scenes and groups of photographs together."""
    rng = np.random.default_rng([seed, 6])
    photos = group_draws(reference.groups, RESAMPLES, rng)
    drawn = group_draws(np.arange(scenes), RESAMPLES, rng)
    one, two = (mean_ratio(reference, values, photos, drawn) for values in (before, after))
    whole = [float(mean_ratio(reference, values)[0]) for values in (before, after)]
    low, high = np.percentile(two - one, [2.5, 97.5])
    return HeldOut(whole[0], whole[1], float(low), float(high), float((two < one).mean()))
