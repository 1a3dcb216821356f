"""The other objective: AP on photographs of a detector that is trained briefly on the renders of each trial."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.plurals import count_of
from assets.progress import Reporter
from dataset.coco_writer import write_coco
from dataset.find import open_source
from dataset.records import Head, ImageLabels
from detectors.evaluate.metrics.bootstrap import Interval
from pipeline.gap.pictures import SPLITS
from pipeline.gap.proxy import proxy_score
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.tune.objective import IsHopeless
from pipeline.tune.settings import ENOUGH_FOR_AP, TuneSettings
from render.recipes import recipe_yaml
from render.recipes.parts import SceneRecipe


def check_photos(count: int, settings: TuneSettings) -> None:
    """Raise SynthError if AP on so many photographs is noise, unless the user insists."""
    if count < ENOUGH_FOR_AP and not settings.force:
        raise SynthError(
            "too few photographs to tune on AP",
            code="setting-invalid",
            found=f"{count_of(count, 'labelled photograph')} in the half that is tuned on",
            expected=f"at least {ENOUGH_FOR_AP}: the 95 % interval of AP is 0.15 wide on 10 photographs, 0.09 on 30",
            hint="tune on distributions (--objective distance), or --force to tune on noise",
        )


def write_labels(labels: Path, names: Collection[str], file: Path) -> Path:
    """Write the COCO file of some images of another one, named by absolute paths."""
    source = open_source(labels, name=labels.stem, splits=SPLITS)
    of_image: dict[object, list[int]] = {}
    for place, record in enumerate(source.content.annotations):
        of_image.setdefault(record.value("image_id"), []).append(place)
    images = (
        ImageLabels(
            replace(image, file_name=str((source.images / str(image.file_name)).resolve())),
            tuple(source.content.annotations[place] for place in of_image.get(image.id, ())),
        )
        for image in source.content.images
        if image.file_name in names
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_coco(file, images, Head(source.content.categories))
    return file


@dataclass(frozen=True)
class ScoreObjective:
    """1 - AP on photographs, with the seeds of scenes and training the same for every recipe."""

    settings: TuneSettings
    labels: Path
    size: tuple[int, int]
    folder: Path
    seed: int
    reporter: Reporter

    def evaluate(self, recipe: SceneRecipe, is_hopeless: IsHopeless) -> tuple[list[float], bool]:
        """Return 1 - AP as the only value."""
        return [1 - self.score(recipe).value], False

    def score(self, recipe: SceneRecipe) -> Interval:
        """Render a set of the recipe, train a detector on it and return its AP on the photographs."""
        settings, folder = self.settings, self.folder / "scenes"
        shutil.rmtree(folder, ignore_errors=True)
        file = self.folder / "recipe.yaml"
        write_atomic(file, recipe_yaml(recipe).encode())
        width, height = self.size
        run_render(
            RunSettings(
                sku_list=settings.sku_list,
                out=folder,
                scenes=settings.scene_count,
                width=width,
                height=height,
                seed=self.seed,
                recipe=str(file),
                backdrops=settings.backdrops,
                cache=settings.cache,
            ),
            self.reporter,
        )
        found = proxy_score(
            folder,
            self.labels,
            steps=settings.steps,
            aspect=width / height,
            weights="packaged",
            seed=self.seed,
            device=settings.device,
            reporter=self.reporter,
        )
        shutil.rmtree(folder, ignore_errors=True)
        return found.ap
