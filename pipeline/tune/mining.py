"""`synth tune --hard-mining`: a mix in which scenes that a detector fails on are more frequent, but never the rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.files.models import Count, FileModel, read_model
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from assets.progress import Reporter
from pipeline.run.resources import open_library
from pipeline.target.scenes import ExposedScene, expose_scenes
from pipeline.tune.concentrations import Concentration, concentrations_in, concentrations_of_skus
from pipeline.tune.conditions import THIRDS, Condition, conditions_of
from pipeline.tune.failures import Failures, NameBoxes, NamedBoxes, find_failures
from pipeline.tune.settings import TuneSettings
from render.backends import DEFAULT_BACKEND, open_backend, resolve_preset
from render.recipes import load_recipe, mix_of, recipe_hash, recipe_yaml
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe

# The guard against collapse: shares of the original and of a single variant, and how many variants there are at most.
LEAST_ORIGINAL, MOST_OF_ONE, MOST_VARIANTS = 0.5, 0.2, 5
USUAL_SIZE = (320, 240)
SAVED_EVERY = 10
# Scenes with the most failures that the page shows.
SHOWN = 9
AGAIN = "give another --trials-folder, or the same settings as before to resume"


class SceneRow(FileModel):
    """One scene as a detector saw it. values: of each condition, None where there is none."""

    index: Count
    skus: list[str]
    missed: list[bool]
    made_up: Count
    values: list[float | None]

    @model_validator(mode="after")
    def _check_lengths(self) -> SceneRow:
        if len(self.missed) != len(self.skus):
            raise ValueError("skus and missed are of the same products")
        return self


class FailuresFile(FileModel):
    """failures.json: what must be equal to resume, and the scenes that were looked at."""

    identity: dict[str, str]
    scenes: Annotated[list[SceneRow], Field(max_length=100_000)]


@dataclass(frozen=True)
class HardVariant:
    """A part of the mix: the recipe with one range narrowed to where failures concentrate."""

    condition: Condition
    third: int
    share: float
    before: tuple[float, float]
    after: tuple[float, float]
    found: Concentration


@dataclass(frozen=True, eq=False)
class HardScene:
    """A scene with many failures. missed, made_up: boxes (N, 4) xyxy."""

    pixels: NDArray[np.uint8]
    missed: NDArray[np.float64]
    made_up: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mining:
    """Where a detector fails. variants: empty where nothing is beyond chance; then no mix is written.

    ranges, skus: all that was tested, smallest p first.
    """

    settings: TuneSettings
    recipe: SceneRecipe
    scenes: int
    products: int
    missed: int
    made_up: int
    ranges: Sequence[Concentration]
    skus: Sequence[Concentration]
    variants: Sequence[HardVariant]
    examples: Sequence[HardScene]
    interrupted: bool
    notes: Sequence[str]


def mine_failures(settings: TuneSettings, reporter: Reporter, *, stop: Callable[[], bool]) -> Mining:
    """Render scenes of a recipe, find where the detector fails, and write a mix with more of that.

    The original keeps a share of at least one half and no variant has more than a fifth. Nothing is written where no
    concentration of failures is beyond chance. Raises SynthError for a mix and as rendering does.
    """
    loaded = load_recipe(settings.recipe)
    if isinstance(loaded, RecipeMix):
        hint = "give one of its parts"
        raise SynthError("a mix cannot be mined", code="recipe-mix-invalid", where=settings.recipe, hint=hint)
    for file in (settings.out, settings.report_path):
        file.parent.mkdir(parents=True, exist_ok=True)
    assert settings.hard_mining is not None
    # Before the renderer: Mesa's compiler and torch's must be loaded in this order.
    name_boxes, known, digest = open_namer(settings.hard_mining, settings.device)
    library = open_library(settings.sku_list, settings.backdrops, settings.cache)
    backend = open_backend(library, resolve_preset(DEFAULT_BACKEND, "draft"))
    miner = Miner(settings, loaded, reporter, name_boxes, known, digest)
    try:
        with lock_folder(settings.trials_folder):
            rows = miner.look(
                lambda first, count: expose_scenes(
                    loaded, library, backend, seed=settings.seed, count=count, size=miner.size, first=first
                ),
                lambda scene: scene.develop(loaded, library),
                library.catalog.hash,
                stop,
            )
            if len(rows) < settings.scene_count:
                return miner.summarize(rows, (), interrupted=True)
            worst = sorted(rows, key=lambda row: -(sum(row.missed) + row.made_up))[:SHOWN]
            examples = []
            for row in worst:
                (scene,) = expose_scenes(
                    loaded, library, backend, seed=settings.seed, count=1, size=miner.size, first=row.index
                )
                examples.append(miner.example(scene, scene.develop(loaded, library)))
    finally:
        backend.close()
    mining = miner.summarize(rows, examples, interrupted=False)
    if mining.variants:
        write_atomic(settings.out, _yaml(mining).encode())
    return mining


def open_namer(run: Path, device: str) -> tuple[NameBoxes, frozenset[str] | None, str]:
    """Return a function that finds and names products by the detector of a run, its SKUs, if any, and its digest."""
    from detectors.checkpoints.detector import find_checkpoint
    from detectors.data.class_match import is_agnostic
    from detectors.predict.detector import load_detector

    detector = load_detector(run, device=device)
    classes = detector.checkpoint.classes
    agnostic = is_agnostic(classes)

    def name_boxes(image: NDArray[np.uint8]) -> NamedBoxes:
        (found,) = detector.detect([image])
        kept = found.scores >= detector.threshold
        names = [None if agnostic else classes.keys[label] for label in found.labels[kept]]
        return NamedBoxes(found.boxes[kept].astype(np.float64), names, found.scores[kept].astype(np.float64))

    with find_checkpoint(run).open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return name_boxes, None if agnostic else frozenset(classes.keys), digest


class Miner:
    """The search for failures of one detector on one recipe. detector: digest of its checkpoint."""

    def __init__(
        self,
        settings: TuneSettings,
        recipe: SceneRecipe,
        reporter: Reporter,
        name_boxes: NameBoxes,
        known: frozenset[str] | None,
        detector: str,
    ) -> None:
        self._settings, self._recipe, self._reporter = settings, recipe, reporter
        self._name_boxes, self._known, self._detector = name_boxes, known, detector
        self._conditions = conditions_of(recipe)
        self.size = (settings.width, settings.height) if settings.width else USUAL_SIZE

    def look(
        self,
        expose: Callable[[int, int], Iterable[ExposedScene]],
        develop: Callable[[ExposedScene], NDArray[np.uint8]],
        catalog_hash: str,
        stop: Callable[[], bool],
    ) -> list[SceneRow]:
        """Return what the detector saw of every scene, those of an earlier call from its file."""
        identity = self._identity(catalog_hash)
        file = self._settings.trials_folder / "failures.json"
        rows = _read_rows(file, identity, len(self._conditions))
        total = self._settings.scene_count
        with self._reporter.scenes(total, len(rows), doing="looking for failures") as progress:
            for scene in expose(len(rows), total - len(rows)):
                if stop():
                    break
                rows.append(self._row(scene, develop(scene)))
                if len(rows) % SAVED_EVERY == 0:
                    _save(file, identity, rows)
                progress.advance()
        _save(file, identity, rows)
        return rows

    def _identity(self, catalog_hash: str) -> dict[str, str]:
        return {
            "recipe": recipe_hash(self._recipe),
            "sku_list": catalog_hash,
            "detector": self._detector,
            "size": f"{self.size[0]}x{self.size[1]}",
            "seed": str(self._settings.seed),
        }

    def _row(self, scene: ExposedScene, pixels: NDArray[np.uint8]) -> SceneRow:
        annotations = scene.exposure.annotations
        failures = find_failures(annotations, self._name_boxes(pixels), self._known)
        values = [float(one.value_of(scene.scene, annotations)) for one in self._conditions]
        return SceneRow(
            index=scene.scene.index,
            skus=list(failures.skus),
            missed=list(map(bool, failures.missed)),
            made_up=len(failures.made_up),
            values=[value if np.isfinite(value) else None for value in values],
        )

    def example(self, scene: ExposedScene, pixels: NDArray[np.uint8]) -> HardScene:
        """Return a scene with the boxes of its failures."""
        annotations, found = scene.exposure.annotations, self._name_boxes(pixels)
        failures: Failures = find_failures(annotations, found, self._known)
        counted = [item for item in annotations if not item.ignore and (self._known is None or item.sku in self._known)]
        boxes = [item.box for item, missed in zip(counted, failures.missed, strict=True) if missed]
        return HardScene(
            pixels, np.array(boxes, np.float64).reshape(-1, 4), found.boxes[list(failures.made_up)].reshape(-1, 4)
        )

    def summarize(self, rows: Sequence[SceneRow], examples: Sequence[HardScene], *, interrupted: bool) -> Mining:
        """Return where failures concentrate, and the variants that follow."""
        seed = self._settings.seed
        products = np.array([len(row.skus) for row in rows], np.float64)
        failures = np.array([sum(row.missed) + row.made_up for row in rows], np.float64)
        ranges: list[Concentration] = []
        skus: list[Concentration] = []
        if rows and not interrupted:
            ranges = concentrations_in(
                [one.key for one in self._conditions], self._thirds(rows), failures, products, seed=seed
            )
            scenes = np.repeat(np.arange(len(rows)), products.astype(int))
            names = [sku for row in rows for sku in row.skus]
            missed = np.array([one for row in rows for one in row.missed], bool)
            skus = concentrations_of_skus(names, scenes, missed, seed=seed)
        variants = self._variants(ranges)
        return Mining(
            settings=self._settings,
            recipe=self._recipe,
            scenes=len(rows),
            products=int(products.sum()),
            missed=sum(sum(row.missed) for row in rows),
            made_up=sum(row.made_up for row in rows),
            ranges=ranges,
            skus=skus,
            variants=variants,
            examples=examples,
            interrupted=interrupted,
            notes=_notes(self._settings, ranges, skus, variants) if not interrupted else (),
        )

    def _thirds(self, rows: Sequence[SceneRow]) -> NDArray[np.int64]:
        columns = []
        for place, one in enumerate(self._conditions):
            values = np.array([np.nan if row.values[place] is None else row.values[place] for row in rows], np.float64)
            if np.isnan(values).all():
                columns.append(np.full(len(rows), -1))
                continue
            third = np.searchsorted(one.edges(self._recipe, values), values, side="right")
            columns.append(np.where(np.isnan(values), -1, third))
        return np.stack(columns, axis=1).astype(np.int64)

    def _variants(self, ranges: Sequence[Concentration]) -> list[HardVariant]:
        """Return one variant for each range with a significant third, shares by the excess of failures."""
        worst: dict[str, Concentration] = {}
        for one in ranges:
            if one.significant and one.name not in worst:
                worst[one.name] = one
        chosen = sorted(worst.values(), key=lambda one: -one.excess)[:MOST_VARIANTS]
        total = sum(one.excess for one in chosen)
        found = []
        for one in chosen:
            condition = next(other for other in self._conditions if other.key == one.name)
            share = min(MOST_OF_ONE, (1 - LEAST_ORIGINAL) * one.excess / total)
            before = condition.knob(self._recipe).ends(self._recipe)
            after = condition.knob(self._recipe).ends(condition.narrowed(self._recipe, one.part))
            found.append(HardVariant(condition, one.part, round(share, 3), before, after, one))
        return found


def hard_mix(recipe: SceneRecipe, variants: Sequence[HardVariant]) -> RecipeMix:
    """Return the mix of a recipe and its variants."""
    parts = [(one.share, one.condition.narrowed(recipe, one.third)) for one in variants]
    return mix_of([(round(1 - sum(share for share, _ in parts), 3), recipe), *parts])


def _yaml(mining: Mining) -> str:
    parts = (f"{one.share:g} {one.condition.key} {one.after[0]:g} to {one.after[1]:g}" for one in mining.variants)
    return f"# {mining.recipe.recipe} with more of: {'; '.join(parts)}\n" + recipe_yaml(
        hard_mix(mining.recipe, mining.variants)
    )


def _notes(
    settings: TuneSettings,
    ranges: Sequence[Concentration],
    skus: Sequence[Concentration],
    variants: Sequence[HardVariant],
) -> list[str]:
    notes = [
        f"{one.condition.key}: {one.found.rate:.2f} failures a product in its {THIRDS[one.found.part]} third"
        f"{f' of {one.condition.seen}' if one.condition.seen else ''}, "
        f"{one.found.elsewhere:.2f} elsewhere (p {one.found.p:.3f})"
        for one in variants
    ]
    hard = [one for one in skus if one.significant]
    if hard:
        names = ", ".join(f"{one.name} ({one.rate:.2f})" for one in hard[:10])
        what = f"{count_of(len(hard), 'SKU')} missed more often than others in the same scenes: {names}"
        notes.append(f"{what}; recipes choose no SKUs, so render them once more with a list of these")
    if not variants:
        tested = f"{len(ranges)} parts of ranges" if ranges else "no range"
        notes.append(f"no range in which failures concentrate beyond chance ({tested} tested): no mix was written")
    return notes


def _read_rows(file: Path, identity: dict[str, str], conditions: int) -> list[SceneRow]:
    if not file.exists():
        return []
    content = read_model(FailuresFile, file, DATASET_JSON, "the list of failures", hint=AGAIN)
    if content.identity != identity:
        names = [name for name in identity if content.identity.get(name) != identity[name]]
        raise SynthError(
            "the folder holds failures of another detector or recipe",
            code="settings-differ",
            where=str(file),
            found=", ".join(names),
            hint=AGAIN,
        )
    for place, row in enumerate(content.scenes):
        if (row.index, len(row.values)) != (place, conditions):
            raise SynthError(
                "the list of failures is invalid",
                code="content-invalid",
                where=f"{file}, scene {place}",
                found=f"index {row.index}, {count_of(len(row.values), 'value')}",
                expected=f"index {place}, {count_of(conditions, 'value')}",
                hint=AGAIN,
            )
    return list(content.scenes)


def _save(file: Path, identity: dict[str, str], rows: Sequence[SceneRow]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = FailuresFile(identity=identity, scenes=list(rows))
    write_atomic(file, json.dumps(content.model_dump()).encode())
