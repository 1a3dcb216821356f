"""Adaptation of a trained detector to real photos: settings, and the table of methods (one file and one line each)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from assets.errors import unknown_name
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

    from detectors.training.summary import TrainSummary

METHODS = {
    "dann": "detectors.adapt.dann",
    "finetune": "detectors.adapt.finetune",
}
# check: raises SynthError for settings that the method cannot use. adapt: trains into a new run folder.
TABLE = PluginTable("adaptation method", METHODS, "synth.methods", ("check", "adapt"))


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of an adaptation; other fields as in TrainSettings.

    run: the detector to adapt. unlabelled: photos for a method that needs no labels: a folder, or a COCO file whose
    labels are not read.
    """

    run: Annotated[Path, Option("Run to adapt.", exists="any", argument=True)]
    data: DataSettings
    out: RunFolder
    method: Annotated[str, Option("Adaptation method.", "Training", parse="method")] = "finetune"
    unlabelled: Annotated[
        Path | None, Option("Unlabelled photos for --method dann: folder or COCO JSON.", "Data", exists="any")
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
        method_module(self.method).check(self)


def method_module(name: str) -> Any:
    """Load the module of an adaptation method. Raises SynthError for an unknown name."""
    if name not in TABLE.names():
        raise unknown_name("adaptation method", name, TABLE.names())
    return TABLE.load(name)


def adapt_run(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Adapt the detector of a run with the method of the settings, into a new run folder."""
    return method_module(settings.method).adapt(settings, console)
