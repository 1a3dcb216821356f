"""`synth recipe fit`: a recipe whose rendered pictures are distributed like photographs without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.library import Library
from assets.plurals import count_of
from assets.progress import Reporter, StepProgress
from dataset.problems import Problems
from pipeline.run.resources import open_library
from pipeline.target.correct import RoundedKnob, correct_sensor, distance, follow_photographs, says_enough
from pipeline.target.knobs import COUNT_KNOB, JPEG_KNOB, LENS_KNOB, SENSOR_KNOBS, Ends, Knob, size_knob
from pipeline.target.measure import LENS
from pipeline.target.photos import USUAL_AREA, Photo, choose_photos, common_size, read_photos
from pipeline.target.scenes import (
    STATISTICS,
    ExposedScene,
    FindBoxes,
    Measurements,
    RenderedPictures,
    expose_scenes,
    measure_pictures,
    render_pictures,
)
from pipeline.target.settings import FitSettings
from render.backends import DEFAULT_BACKEND, open_backend, resolve_preset
from render.backends.protocol import Backend
from render.recipes import load_recipe, recipe_yaml
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe

# Below this number of photographs the ends of ranges are guesses.
FEW_PHOTOS = 20


@dataclass(frozen=True)
class RangeChange:
    """A range of the recipe before and after a fit. note: why it is as it was, "" if it was corrected."""

    key: str
    before: Ends
    after: Ends
    note: str = ""

    @property
    def texts(self) -> tuple[str, str]:
        """Both ranges as text."""
        before, after = (f"{low:.6g} to {high:.6g}" for low, high in (self.before, self.after))
        return before, after


@dataclass(frozen=True)
class StatisticDistance:
    """Wasserstein distances of a statistic's distribution from that of the photographs; NaN where they say nothing."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class RecipeFit:
    """A fit with all that its report shows. size: width and height of the pictures compared.

    unreadable: photographs that were left out, one line per reason. notes: messages for the user.
    """

    recipe: SceneRecipe
    size: tuple[int, int]
    photos: Sequence[Photo]
    target: Measurements
    before: RenderedPictures
    after: RenderedPictures
    changes: Sequence[RangeChange]
    distances: Sequence[StatisticDistance]
    unreadable: Sequence[str]
    notes: Sequence[str]


def fit_recipe(settings: FitSettings, reporter: Reporter) -> RecipeFit:
    """Fit a recipe to photographs and write it to `settings.out`.

    Raises SynthError for a mix of recipes, where no photograph can be used, and as rendering does.
    """
    recipe = load_recipe(settings.recipe)
    if isinstance(recipe, RecipeMix):
        what, hint = "a mix of recipes cannot be fitted", "fit its parts one by one"
        raise SynthError(what, code="recipe-mix-invalid", where=settings.recipe, hint=hint)
    for file in (settings.out, report_path(settings)):
        file.parent.mkdir(parents=True, exist_ok=True)  # a path that cannot be written shows now, not at the end
    # Before the renderer: Mesa's compiler and torch's must be loaded in this order.
    find_boxes = open_detector(settings.detector, settings.device) if settings.detector else None
    problems = Problems(str(settings.target))
    photos = _read(settings, reporter, problems)
    size = (settings.width, settings.height) if settings.width else common_size(photos)
    photos = [photo.shrunk(size[0] * size[1]) for photo in photos]
    said = [(photo.lens_mm, photo.jpeg_quality if photo.whole else None) for photo in photos]
    target = measure_pictures([photo.pixels for photo in photos], said, find_boxes)
    library = open_library(settings.sku_list, settings.backdrops, settings.cache)
    backend = open_backend(library, resolve_preset(DEFAULT_BACKEND, "draft"))
    try:
        fitter = RecipeFitter(library, backend, target, size, settings, reporter, find_boxes)
        fitted, before, after = fitter.fit(recipe)
    finally:
        backend.close()
    write_atomic(settings.out, _yaml(fitted, settings, len(photos), size).encode())
    changes = range_changes(recipe, fitted, target, detected=find_boxes is not None) if settings.rounds else []
    distances = [
        StatisticDistance(one.name, *(distance(one, target, found.measured) for found in (before, after)))
        for one in STATISTICS
    ]
    notes = _notes(photos, size, detected=find_boxes is not None)
    return RecipeFit(fitted, size, photos, target, before, after, changes, distances, problems.lines(), notes)


def _read(settings: FitSettings, reporter: Reporter, problems: Problems) -> list[Photo]:
    folder, files = choose_photos(settings.target, settings.photos, settings.seed)
    area = settings.width * settings.height or USUAL_AREA
    with StepProgress(reporter.console, "reading", total=len(files), unit="photographs") as progress:
        return read_photos(folder, files, area, problems, progress)


def open_detector(run: Path, device: str) -> FindBoxes:
    """Return a function that finds boxes with the detector of a run, of the scores that it shows."""
    from detectors.predict.detector import load_detector

    detector = load_detector(run, device=device)

    def find_boxes(images: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = [detector.detect([image])[0] for image in images]
        return [np.asarray(one.boxes[one.scores >= detector.threshold], dtype=np.float64) for one in found]

    return find_boxes


class RecipeFitter:
    """The corrections of a fit. find_boxes: of a detector, if there is one."""

    def __init__(
        self,
        library: Library,
        backend: Backend,
        target: Measurements,
        size: tuple[int, int],
        settings: FitSettings,
        reporter: Reporter,
        find_boxes: FindBoxes | None = None,
    ) -> None:
        self._library, self._backend, self._target, self._size = library, backend, target, size
        self._settings, self._reporter, self._find_boxes = settings, reporter, find_boxes

    def fit(self, recipe: SceneRecipe) -> tuple[SceneRecipe, RenderedPictures, RenderedPictures]:
        """Return the fitted recipe, and pictures of the recipe before and after."""
        scenes = self._expose(recipe)
        before = self._render(recipe, scenes)
        if not self._settings.rounds:
            return recipe, before, before
        fitted = follow_photographs(recipe, self._target)
        if LENS_KNOB.exists_in(recipe) and LENS_KNOB.ends(fitted) != LENS_KNOB.ends(recipe):
            scenes = self._expose(fitted)
        fitted, scenes = self._correct_views(fitted, scenes)
        fitted = self._correct_sensor(fitted, scenes)
        return fitted, before, self._render(fitted, scenes)

    def _expose(self, recipe: SceneRecipe) -> list[ExposedScene]:
        count, seed, scenes = self._settings.scenes, self._settings.seed, []
        with self._reporter.scenes(count, 0) as progress:
            for scene in expose_scenes(recipe, self._library, self._backend, seed=seed, count=count, size=self._size):
                scenes.append(scene)
                progress.advance()
        return scenes

    def _render(self, recipe: SceneRecipe, scenes: Sequence[ExposedScene]) -> RenderedPictures:
        return render_pictures(scenes, recipe, self._library, self._find_boxes)

    def _correct_views(self, recipe: SceneRecipe, scenes: list[ExposedScene]) -> tuple[SceneRecipe, list[ExposedScene]]:
        """Correct size and number of objects with new renders in each round, as long as they come closer."""
        detected = self._find_boxes is not None
        size, count = size_knob(recipe, detected=detected), COUNT_KNOB if detected else None
        knobs = [RoundedKnob(knob, wide=detected) for knob in (size, count) if knob and knob.exists_in(recipe)]
        found = self._render(recipe, scenes).measured
        for _ in range(self._settings.rounds):
            tried = recipe
            for knob in knobs:
                tried = knob.correct(tried, self._target, found)
            if tried == recipe:
                break
            exposed = self._expose(tried)
            seen = self._render(tried, exposed).measured
            for knob in knobs:
                knob.learn((recipe, found), (tried, seen))
            if self._apart(knobs, seen) >= self._apart(knobs, found):
                break
            recipe, scenes, found = tried, exposed, seen
        return recipe, scenes

    def _apart(self, knobs: Sequence[RoundedKnob], found: Measurements) -> float:
        return float(np.nansum([distance(knob.knob.statistic, self._target, found) for knob in knobs]))

    def _correct_sensor(self, recipe: SceneRecipe, scenes: Sequence[ExposedScene]) -> SceneRecipe:
        rounds = self._settings.rounds
        with self._reporter.scenes(rounds, 0, doing="correcting the camera", noun="round") as progress:
            return correct_sensor(
                recipe,
                SENSOR_KNOBS,
                self._target,
                lambda tried, count: render_pictures(scenes[:count], tried, self._library, detail=False).measured,
                rounds=rounds,
                done=progress.advance,
            )


def range_changes(
    before: SceneRecipe, after: SceneRecipe, target: Measurements, *, detected: bool
) -> list[RangeChange]:
    """Return all ranges that a fit may correct, in the order of recipes, with why it did not."""
    size = size_knob(before, detected=detected)
    knobs = [LENS_KNOB, *([size] if size else []), COUNT_KNOB, *SENSOR_KNOBS, JPEG_KNOB]
    return [
        RangeChange(knob.key, knob.ends(before), knob.ends(after), _note(knob, before, after, target))
        for knob in knobs
        if knob.exists_in(before)
    ]


def _note(knob: Knob, before: SceneRecipe, after: SceneRecipe, target: Measurements) -> str:
    if knob.ends(before) != knob.ends(after):
        return ""
    if knob is COUNT_KNOB and not says_enough(target, knob.statistic):
        return "kept: only a detector counts objects (--detector)"
    if not says_enough(target, knob.statistic):
        said = {LENS: "their EXIF data do not say"}.get(knob.statistic, "photographs that are shrunk do not say")
        return f"kept: {said}"
    return "kept: no change brought the distributions closer"


def _notes(photos: Sequence[Photo], size: tuple[int, int], *, detected: bool) -> list[str]:
    notes = [f"pictures are compared at {size[0]}x{size[1]}: render with --size {size[0]}x{size[1]}"]
    if len(photos) < FEW_PHOTOS:
        notes.append(f"{count_of(len(photos), 'photograph')}: the ends of ranges are rough")
    if not detected:
        notes.append("size of objects by the size of detail, which is rough: a detector is better (--detector RUN)")
    return notes


def _yaml(recipe: SceneRecipe, settings: FitSettings, photos: int, size: tuple[int, int]) -> str:
    name = " ".join(settings.target.name.split()) or "photographs"
    origin = f"{recipe.recipe} fitted to {count_of(photos, 'photograph')} of {name} at {size[0]}x{size[1]}"
    return "".join(f"# {line}\n" for line in origin.splitlines()) + recipe_yaml(recipe)


def report_path(settings: FitSettings) -> Path:
    """Return the file of the report."""
    return settings.report or settings.out.with_suffix(".html")
