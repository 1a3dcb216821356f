"""One training of an experiment and its judgement: made once, and kept as a small record beside its detections."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import FileModel, read_model
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from detectors.adapt import AdaptSettings, adapt_run
from detectors.checkpoints.detector import load_checkpoint
from detectors.data.image_set import Predictions
from detectors.data.settings import DataSettings
from detectors.evaluate.report import json_text
from detectors.evaluate.results import read_results, write_results
from detectors.evaluate.run import find_products, named_as
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings
from detectors.training.summary import TrainSummary
from pipeline.experiments.photos import SplitPhotos
from pipeline.experiments.settings import ExperimentSettings, TrainingRecipe

# Without synthetic images; with them alone; then also with labelled photos, or with photos whose labels are not read.
Kind = Literal["real", "synthetic", "both", "unlabelled"]
# Why a method of adaptation may have nothing to learn from: this is a result, and no mistake of the user.
REFUSALS = ("method-unsupported", "pseudo-labels-empty")
RECORD, FOUND = "training.json", "predictions.json"
AGAIN = "delete it: the same command makes it again"
EPOCHS = 10


@dataclass(frozen=True)
class PlannedTraining:
    """One training. photos: ids of those it learns from, sorted; none if it is `synthetic`. method: of adaptation."""

    kind: Kind
    photos: tuple[int, ...]
    seed: int
    method: str = "finetune"

    @property
    def name(self) -> str:
        """A text for the user, such as "synthetic + 5 photos, seed 0"."""
        photos = count_of(len(self.photos), "photo")
        words = {
            "synthetic": "synthetic only",
            "real": photos,
            "both": f"synthetic + {photos}",
            "unlabelled": f"synthetic + {photos} without labels, {self.method}",
        }
        return f"{words[self.kind]}, seed {self.seed}"

    @property
    def base(self) -> PlannedTraining | None:
        """The training that it starts from, None if it starts from none."""
        return PlannedTraining("synthetic", (), self.seed) if self.kind in ("both", "unlabelled") else None


@dataclass(frozen=True)
class Cell:
    """One kind of training at one number of photos. trainings: (draws x seeds), in the same order for all kinds."""

    kind: Kind
    photos: int
    trainings: tuple[PlannedTraining, ...]


class TrainingRecord(FileModel):
    """The content of training.json. photos: their ids. steps: of the whole training. seconds: of training and judging.

    refused: why the method could not be used; "" if a detector was trained.
    """

    kind: Kind
    photos: list[int]
    seed: Annotated[int, Field(ge=0)]
    method: str = "finetune"
    refused: str = ""
    steps: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]


class TrainingRunner:
    """Makes the trainings of an experiment. synthetic: the rendered set. console: of the trainings."""

    def __init__(self, settings: ExperimentSettings, photos: SplitPhotos, synthetic: Path, console: Console) -> None:
        self.settings, self.photos, self.synthetic, self.console = settings, photos, synthetic, console

    def folder(self, training: PlannedTraining) -> Path:
        """Return the folder of a training."""
        subset = f"-{self._subset(training).stem}" if training.photos else ""
        kind = training.method if training.kind == "unlabelled" else training.kind
        return self.settings.out / "trainings" / f"{kind}{subset}-seed{training.seed}"

    def checkpoints(self, training: PlannedTraining) -> Path:
        """Return the run folder of a training."""
        return self.folder(training) / "run"

    def is_done(self, training: PlannedTraining) -> bool:
        return (self.folder(training) / RECORD).exists()

    def run(self, training: PlannedTraining) -> bool:
        """Train and judge a detector; returns False if the training was interrupted."""
        began, folder = time.monotonic(), self.folder(training)
        run = self.checkpoints(training)
        summary: TrainSummary
        try:
            if training.base is not None:
                summary = adapt_run(self._adapting(training, run), self.console)
            else:
                summary = run_training(self._training(training, run), self.console)
        except SynthError as error:
            if training.kind != "unlabelled" or error.code not in REFUSALS:
                raise
            self._record(training, 0, began, refused=f"{error.what} ({error.found})")
            return True
        if not summary.finished:
            return False
        self._judge(run, folder)
        self._record(training, summary.steps, began)
        # Trainings with photos start from the one without, and a hundred checkpoints fill a disk.
        if training.kind != "synthetic" and not self.settings.keeps_runs:
            shutil.rmtree(run)
        return True

    def _record(self, training: PlannedTraining, steps: int, began: float, *, refused: str = "") -> None:
        record = TrainingRecord(
            kind=training.kind,
            photos=list(training.photos),
            seed=training.seed,
            method=training.method,
            refused=refused,
            steps=steps,
            seconds=time.monotonic() - began,
        )
        write_atomic(self.folder(training) / RECORD, json_text(record.model_dump()).encode())

    def found(self, trainings: Sequence[PlannedTraining]) -> list[Predictions]:
        """Return the detections of trainings that are done."""
        truth = self.photos.truth
        ids = dict(zip(truth.classes.keys, truth.category_ids, strict=True))
        return [read_results(self.folder(training) / FOUND, truth, ids) for training in trainings]

    def record(self, training: PlannedTraining) -> TrainingRecord:
        """Return the record of a training that is done. Raises SynthError if it is damaged or of something else."""
        path = self.folder(training) / RECORD
        record = read_model(TrainingRecord, path, DATASET_JSON, "the record of a training", hint=AGAIN)
        made = PlannedTraining(record.kind, tuple(record.photos), record.seed, record.method)
        if made != training:
            what = "the record belongs to another training"
            raise SynthError(what, code="content-invalid", where=str(path), expected=training.name, hint=AGAIN)
        return record

    def _subset(self, training: PlannedTraining) -> Path:
        return self.photos.pool.write(training.photos, self.settings.out / "photos")

    def _data(self, training: PlannedTraining) -> DataSettings:
        return DataSettings(
            synthetic=() if training.kind == "real" else (("synthetic", self.synthetic),),
            real=self._subset(training) if training.kind in ("real", "both") else None,
            boxes=self.settings.training.boxes,
            hold_out=0.0,  # nothing is chosen: the last weights are judged
        )

    def _training(self, training: PlannedTraining, run: Path) -> TrainSettings:
        recipe = self.settings.training
        steps = recipe.steps + (recipe.photo_steps if training.kind == "real" else 0)
        return TrainSettings(
            data=self._data(training),
            out=run,
            detector=recipe.detector,
            backbone=recipe.backbone,
            weights=recipe.weights,
            size=recipe.input_size,
            seed=training.seed,
            **_lengths(recipe, steps),
        )

    def _adapting(self, training: PlannedTraining, run: Path) -> AdaptSettings:
        recipe = self.settings.training
        assert training.base is not None
        return AdaptSettings(
            run=self.checkpoints(training.base),
            data=self._data(training),
            out=run,
            method=training.method,
            unlabelled=self._subset(training) if training.kind == "unlabelled" else None,
            seed=training.seed,
            **_lengths(recipe, recipe.photo_steps),
        )

    def _judge(self, run: Path, folder: Path) -> None:
        checkpoint, truth = load_checkpoint(run), self.photos.truth
        named = named_as(checkpoint.classes, truth, self.console)
        recipe = self.settings.training
        found = find_products(checkpoint, named, device=recipe.device, workers=recipe.workers)
        # Detections of products that no photo shows count for nothing.
        known = np.isin(found.labels, [i for i, key in enumerate(found.classes.keys) if key in named.classes.keys])
        kept = Predictions(
            found.classes, found.images[known], found.boxes[known], found.labels[known], found.scores[known]
        )
        ids = dict(zip(named.classes.keys, truth.category_ids, strict=True))
        every = ids | dict.fromkeys((key for key in found.classes.keys if key not in ids), 0)
        write_results(folder / FOUND, kept, named, every)


def _lengths(recipe: TrainingRecipe, steps: int) -> dict[str, Any]:
    """Return the settings of a training of so many steps, in epochs of equal length."""
    epochs = max(min(EPOCHS, steps // EPOCHS), 1)
    return {
        "epochs": epochs,
        "epoch_images": max(steps // epochs, 1) * recipe.batch,
        "patience": epochs + 1,
        "augment": recipe.augment,
        "batch": recipe.batch,
        "learning_rate": recipe.learning_rate,
        "workers": recipe.workers,
        "device": recipe.device,
    }
