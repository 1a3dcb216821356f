"""`synth tune`: a recipe whose renders are nearer to photographs, with evidence on what took no part in the search."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.plurals import count_of
from assets.progress import Reporter, StepProgress
from pipeline.gap.advice import advise
from pipeline.gap.distance import FEWEST, FactorDistance, factor_distances, half_draws
from pipeline.gap.measure import FactorValues, collect
from pipeline.gap.pictures import Picture, PictureSet, read_set
from pipeline.run.resources import open_library
from pipeline.target.fit import FindBoxes, open_detector
from pipeline.target.knobs import SENSOR_KNOBS
from pipeline.target.photos import common_size_of
from pipeline.tune.journal import Journal, TrialRow, open_journal, start_journal
from pipeline.tune.objective import (
    DistanceObjective,
    HeldOut,
    Reference,
    SceneMeasurer,
    compare_held_out,
    make_reference,
)
from pipeline.tune.scores import ScoreObjective, check_photos, write_labels
from pipeline.tune.search import Objective, best_trial, importances, search
from pipeline.tune.settings import TuneSettings
from pipeline.tune.space import SearchSpace, choose_space
from render.backends import DEFAULT_BACKEND, open_backend, resolve_preset
from render.recipes import load_recipe, recipe_hash, recipe_yaml
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe

# Area of the pictures compared where no size is given, pixels: a search renders hundreds.
USUAL_AREA = 320 * 240
# Scenes of the held-out comparison, in those of a trial; their seed is this far from the search's.
HELD_OUT_SCENES, HELD_OUT_SEED = 2, 1_000_003
FEWEST_PHOTOS = 8
MAX_RESAMPLES = 200
# Scenes kept for the first correction of the sensor.
SENSOR_SCENES = 24


@dataclass(frozen=True)
class TunedKey:
    """A range before and after. importance: share of what the better trials have in common; NaN if not known."""

    key: str
    before: str
    after: str
    importance: float


@dataclass(frozen=True, eq=False)
class HeldOutEvidence:
    """Both recipes on held-out scenes and photographs. scores: AP before and after, where that was tuned."""

    comparison: HeldOut
    before: Sequence[FactorDistance]
    after: Sequence[FactorDistance]
    values: tuple[FactorValues, FactorValues, FactorValues]
    pictures: tuple[Sequence[Picture], Sequence[Picture], Sequence[Picture]]
    scores: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Tuning:
    """The result of a search. recipe: what was written: the best one, or the original where that is not better.

    complete: whether the budget was used up. evidence: None if the search was interrupted or found nothing to try.
    """

    settings: TuneSettings
    recipe: SceneRecipe
    size: tuple[int, int]
    trials: Sequence[TrialRow]
    keys: Sequence[TunedKey]
    evidence: HeldOutEvidence | None
    better: bool
    interrupted: bool
    notes: Sequence[str]


class Tuner:
    """What a search has open."""

    def __init__(self, settings: TuneSettings, reporter: Reporter) -> None:
        self.settings, self.reporter = settings, reporter
        self.notes: list[str] = []
        loaded = load_recipe(settings.recipe)
        if isinstance(loaded, RecipeMix):
            what, hint = "a mix of recipes cannot be tuned", "tune its parts one by one"
            raise SynthError(what, code="recipe-mix-invalid", where=settings.recipe, hint=hint)
        self.start: SceneRecipe = loaded
        # Before the renderer: Mesa's compiler and torch's must be loaded in this order.
        detector = open_detector(settings.detector, settings.device) if settings.detector else None
        self.tuned_on, self.held_out, self.size = self._read_photos(detector)
        self.labels = self.tuned_on.labelled and detector is None
        side, detail = float(np.sqrt(self.size[0] * self.size[1])), not self.labels and detector is None
        self.references = [
            make_reference(half, side=side, detail=detail, seed=settings.seed)
            for half in (self.tuned_on, self.held_out)
        ]
        library = open_library(settings.sku_list, settings.backdrops, settings.cache)
        self._backend = open_backend(library, resolve_preset(DEFAULT_BACKEND, "draft"))
        self.catalog_hash = library.catalog.hash
        self.measurer = SceneMeasurer(library, self._backend, self.size, labels=self.labels, find_boxes=detector)

    def close(self) -> None:
        """Close the renderer."""
        self._backend.close()

    def _read_photos(self, detector: FindBoxes | None) -> tuple[PictureSet, PictureSet, tuple[int, int]]:
        settings = self.settings
        assert settings.real is not None
        area = settings.width * settings.height or USUAL_AREA
        photos = read_set(
            settings.real,
            most=settings.photos,
            seed=settings.seed,
            area=area,
            reporter=self.reporter,
            group_key=settings.group_key,
        )
        self.notes += photos.notes
        if len(photos.pictures) < FEWEST_PHOTOS:
            raise SynthError(
                "too few photographs to tune a recipe",
                code="setting-invalid",
                where=str(settings.real),
                found=count_of(len(photos.pictures), "photograph"),
                expected=f"at least {FEWEST_PHOTOS}, of which one half is kept to check",
            )
        size = (settings.width, settings.height) if settings.width else _common_size(photos)
        photos = photos.shrunk(size[0] * size[1])
        if detector is not None:
            photos = photos.with_boxes(detector([one.pixels for one in photos.pictures]))
        groups = photos.groups
        if groups.max() + 1 < FEWEST:
            self.notes.append("few groups of photographs: both halves show the same arrangements")
        first = half_draws(groups, 1, np.random.default_rng([settings.seed, 8]))[0] > 0
        halves = [
            replace(photos, pictures=[one for one, inside in zip(photos.pictures, chosen, strict=True) if inside])
            for chosen in (first, ~first)
        ]
        return halves[0], halves[1], size

    def identity(self) -> dict[str, str]:
        """Return what must be equal to resume a search."""
        settings = self.settings
        names = "".join(f"{one.name}{one.pixels.shape}{one.pixels.sum()}" for one in self.tuned_on.pictures)
        return {
            "recipe": recipe_hash(self.start),
            "sku_list": self.catalog_hash,
            "photographs": hashlib.sha256(names.encode()).hexdigest(),
            "objective": settings.objective,
            "keys": ",".join(settings.keys),
            "scenes": str(settings.scene_count),
            "steps": str(settings.steps) if settings.objective == "ap" else "",
            "size": f"{self.size[0]}x{self.size[1]}",
            "seed": str(settings.seed),
            "detector": str(settings.detector or ""),
        }

    def begin(self) -> tuple[Journal, SearchSpace]:
        """Return the journal and the space: those of an earlier call, else by what differs before the first trial."""
        settings, folder = self.settings, self.settings.trials_folder
        journal = open_journal(folder, self.identity())
        if journal is not None:
            if journal.trials:
                self.reporter.say(f"{count_of(len(journal.trials), 'trial')} finished already: resuming")
            return journal, choose_space(self.start, journal.content.keys, ())
        pictures = self.measurer.pictures(self.start, seed=settings.seed, first=0, count=settings.scene_count)
        found = collect(self.measurer.rows(pictures))
        distances = self.distances(self.references[0], found, len(pictures))
        space = choose_space(self.start, settings.keys, advise(self.start, distances))
        keys, guess = [knob.key for knob in space.knobs], space.guess(distances) | self._sensor_guess(space)
        return start_journal(folder, self.identity(), keys, guess), space

    def _sensor_guess(self, space: SearchSpace) -> dict[str, float]:
        """Return moves of the sensor's ranges by a fit to the photographs on the scenes of the first trial."""
        knobs = [knob for knob in space.knobs if knob in SENSOR_KNOBS]
        if not knobs:
            return {}
        count, photos = min(self.settings.scene_count, SENSOR_SCENES), self.tuned_on.pictures
        seed = self.settings.seed
        return space.moves_to(self.measurer.correct_sensor(self.start, knobs, photos, seed=seed, count=count))

    def distances(self, reference: Reference, found: FactorValues, scenes: int) -> list[FactorDistance]:
        """Return the distances of renders from photographs."""
        return factor_distances(
            reference.values,
            reference.groups,
            found,
            np.arange(scenes),
            resamples=MAX_RESAMPLES,
            seed=self.settings.seed,
        )

    def objective(self) -> Objective:
        """Return what is minimised."""
        settings = self.settings
        if settings.objective == "distance":
            return DistanceObjective(self.measurer, self.references[0], settings.scene_count, settings.seed)
        return self._scores(self.tuned_on, "tuned-on.json", settings.seed)

    def _scores(self, photos: PictureSet, name: str, seed: int) -> ScoreObjective:
        if photos.labels is None:
            raise SynthError("AP needs labelled photographs", code="option-missing", where=str(self.settings.real))
        check_photos(len(photos.pictures), self.settings)
        folder = self.settings.trials_folder
        file = write_labels(photos.labels, {one.name for one in photos.pictures}, folder / name)
        return ScoreObjective(self.settings, file, self.size, folder, seed, self.reporter)

    def compare(self, tuned: SceneRecipe) -> HeldOutEvidence:
        """Compare the tuned recipe with the original on held-out scenes and photographs."""
        count = HELD_OUT_SCENES * min(self.settings.scene_count, 100)
        seed = self.settings.seed + HELD_OUT_SEED
        pictures = [self.measurer.pictures(one, seed=seed, first=0, count=count) for one in (self.start, tuned)]
        values = [collect(self.measurer.rows(one)) for one in pictures]
        reference = self.references[1]
        comparison = compare_held_out(reference, values[0], values[1], count, seed=self.settings.seed)
        distances = [self.distances(reference, one, count) for one in values]
        scores = None
        if self.settings.objective == "ap":
            judge = self._scores(self.held_out, "held-out.json", seed)
            before, after = judge.score(self.start), judge.score(tuned)
            scores = before.value, after.value
            half = (after.high - after.low) / 2
            gain = before.value - after.value
            comparison = HeldOut(1 - before.value, 1 - after.value, gain - half, gain + half, float("nan"))
        every = (reference.values, values[0], values[1])
        shown = (self.held_out.pictures, pictures[0], pictures[1])
        return HeldOutEvidence(comparison, distances[0], distances[1], every, shown, scores)


def tune_recipe(settings: TuneSettings, reporter: Reporter, *, stop: Callable[[], bool]) -> Tuning:
    """Search for a better recipe, compare it with the original on what was held out, and write the better one.

    stop: asked between trials; an interrupted search writes no recipe and resumes by the same call. Raises SynthError
    as reading and rendering do, and where there is nothing to tune.
    """
    for file in (settings.out, settings.report_path):
        file.parent.mkdir(parents=True, exist_ok=True)  # a path that cannot be written shows now, not at the end
    with lock_folder(settings.trials_folder):
        tuner = Tuner(settings, reporter)
        try:
            return _tune(tuner, stop)
        finally:
            tuner.close()


def _tune(tuner: Tuner, stop: Callable[[], bool]) -> Tuning:
    settings, began = tuner.settings, time.monotonic()
    limit = 60 * settings.minutes if settings.minutes is not None else float("inf")
    objective = tuner.objective()
    journal, space = tuner.begin()
    with StepProgress(
        tuner.reporter.console, "tuning", total=settings.budget, done=len(journal.trials), unit="trials"
    ) as progress:
        search(
            space,
            objective,
            journal,
            budget=settings.budget,
            seed=settings.seed,
            until=lambda: stop() or time.monotonic() - began > limit,
            progress=progress,
        )
    if stop():
        return Tuning(settings, tuner.start, tuner.size, journal.trials, (), None, False, True, tuner.notes)
    return _finish(tuner, journal, space)


def _finish(tuner: Tuner, journal: Journal, space: SearchSpace) -> Tuning:
    settings, best = tuner.settings, best_trial(journal)
    if len(journal.trials) < settings.budget:
        tuner.notes.append(f"stopped after {len(journal.trials)} of {settings.budget} trials: the same command resumes")
    tuned = space.recipe_at(best.params) if best is not None else tuner.start
    evidence = tuner.compare(tuned) if tuned != tuner.start else None
    better = evidence is not None and evidence.comparison.better
    tuner.notes.append(_verdict(evidence))
    written = tuned if better else tuner.start
    write_atomic(settings.out, _yaml(tuner, written, better=better).encode())
    keys = _tuned_keys(space, tuned, importances(space, journal))
    return Tuning(settings, written, tuner.size, journal.trials, keys, evidence, better, False, tuner.notes)


def _verdict(evidence: HeldOutEvidence | None) -> str:
    if evidence is None:
        return "no trial was better than the recipe as it is, which was written unchanged"
    one = evidence.comparison
    numbers = f"{one.before:.2f} -> {one.after:.2f}, {one.after - one.before:+.2f} ({one.low:+.2f} to {one.high:+.2f})"
    if evidence.scores is not None:
        numbers = "AP {:.3f} -> {:.3f}".format(*evidence.scores)
    if one.better:
        return f"better on held-out photographs and scenes: {numbers}"
    return f"not better beyond doubt on held-out photographs and scenes ({numbers}): the recipe was written unchanged"


def _tuned_keys(space: SearchSpace, tuned: SceneRecipe, found: Mapping[str, float]) -> list[TunedKey]:
    shares = {
        knob.key: sum(value for name, value in found.items() if name.split(" ")[0] == knob.key) for knob in space.knobs
    }
    keys = [
        TunedKey(
            knob.key,
            _text(knob.ends(space.start)),
            _text(knob.ends(tuned)),
            shares[knob.key] if found else float("nan"),
        )
        for knob in space.knobs
    ]
    return sorted(keys, key=lambda one: (-one.importance if found else 0.0, one.key))


def _text(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"


def _common_size(photos: PictureSet) -> tuple[int, int]:
    return common_size_of([one.pixels for one in photos.pictures])


def _yaml(tuner: Tuner, recipe: SceneRecipe, *, better: bool) -> str:
    assert tuner.settings.real is not None
    name = " ".join(tuner.settings.real.name.split()) or "photographs"
    what = "tuned to" if better else "unchanged: no better one was found for"
    return f"# {recipe.recipe} {what} {name} at {tuner.size[0]}x{tuner.size[1]}\n" + recipe_yaml(recipe)
