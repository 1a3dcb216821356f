"""Adaptation of a trained detector to real photos: settings, and the table of methods (one file and one line each)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from assets.errors import SynthError, unknown_name
from assets.options import Device, Option, Seed
from assets.plugins import PluginTable
from detectors.data.settings import DataSettings
from detectors.training.settings import (
    Augmentation,
    Batch,
    Devices,
    Freeze,
    LearningRate,
    Mixture,
    Patience,
    Readers,
    Replay,
    RunFolder,
)

if TYPE_CHECKING:
    from rich.console import Console

    from detectors.adapt.judge import AdaptSummary

METHODS = {
    "adabn": "detectors.adapt.adabn",
    "coral": "detectors.adapt.coral",
    "dann": "detectors.adapt.dann",
    "fda": "detectors.adapt.fda",
    "finetune": "detectors.adapt.finetune",
    "mean-teacher": "detectors.adapt.mean_teacher",
    "self-training": "detectors.adapt.self_training",
}
# check: raises SynthError for settings that the method cannot use. adapt: trains into a new run folder.
TABLE = PluginTable("adaptation method", METHODS, "synth.methods", ("check", "adapt"))


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of an adaptation; other fields as in TrainSettings.

    run: the detector to adapt. unlabelled: photos for methods that need no labels: a folder, or a COCO file whose
    labels are not read. method_options: NAME=VALUE. judge: labelled photos that the run, the adapted detector and the
    oracle are compared on at the end; nothing is chosen on them. oracle: a run trained with labels of real photos.
    """

    run: Annotated[Path, Option("Run to adapt.", exists="any", argument=True)]
    data: DataSettings
    out: RunFolder
    method: Annotated[str, Option("Adaptation method.", "Training", parse="method")] = "finetune"
    unlabelled: Annotated[
        Path | None, Option("Photos whose labels are not read: folder or COCO JSON.", "Data", exists="any")
    ] = None
    method_options: Annotated[
        tuple[str, ...], Option("NAME=VALUE for this method. Repeatable.", "Training", "--method-option")
    ] = ()
    judge: Annotated[
        Path | None,
        Option("Labelled photos to compare RUN, method and oracle on, held back.", "Evaluation", exists="any"),
    ] = None
    oracle: Annotated[
        Path | None, Option("Run trained with labels of real photos, for --judge.", "Evaluation", exists="any")
    ] = None
    mix: Mixture = ()
    replay: Replay = 0.2
    freeze: Annotated[Freeze, Option("Part of the network that is not trained.", "Training")] = "none"
    epochs: Annotated[int, Option("Epochs of --epoch-images each.", "Training", minimum=1)] = 10
    epoch_images: Annotated[
        int | None, Option("Images per epoch.", "Training", minimum=1, shown="the photos ten times")
    ] = None
    batch: Batch = 16
    learning_rate: LearningRate = None
    augment: Augmentation = "strong"
    patience: Patience = 8
    seed: Seed = 0
    workers: Readers = None
    device: Device = "auto"
    devices: Devices = 1

    def __post_init__(self) -> None:
        from detectors.adapt.options import options_of_method

        module = method_module(self.method)
        options_of_method(module, self.method_options, self.method)
        module.check(self)
        if self.oracle is not None and self.judge is None:
            raise SynthError("--oracle is only judged", code="option-missing", hint="give --judge PHOTOS")


def method_module(name: str) -> Any:
    """Load the module of an adaptation method. Raises SynthError for an unknown name."""
    if name not in TABLE.names():
        raise unknown_name("adaptation method", name, TABLE.names())
    return TABLE.load(name)


def adapt_run(settings: AdaptSettings, console: Console) -> AdaptSummary:
    """Adapt the detector of a run with the method of the settings, into a new run folder.

    With `judge` the run, the method and the oracle are then compared on those photos. Raises SynthError before any work
    if a photo to judge on is among those of the trainings.
    """
    from detectors.adapt.held_back import check_held_back
    from detectors.adapt.judge import AdaptSummary, judge_runs
    from detectors.device import is_first_process

    if settings.judge is not None:
        check_held_back(settings.judge, settings)
    summary = method_module(settings.method).adapt(settings, console)
    asked = settings.judge is not None and is_first_process()
    judged = judge_runs(settings, console) if asked and summary.finished else None
    return AdaptSummary(**vars(summary), judged=judged)
