"""The table of adaptation methods: one file and one line each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from assets.errors import SynthError, unknown_name
from assets.options import Device, Option, Seed
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

METHODS = {"finetune": "detectors.adapt.finetune"}


@dataclass(frozen=True)
class AdaptSettings:
    """How a trained detector is adapted to real photos; fields as in TrainSettings. run: where it was trained."""

    run: Annotated[Path, Option("Run to adapt.", exists="any", argument=True)]
    data: DataSettings
    out: RunFolder
    method: Annotated[str, Option("Adaptation method.", "Training", parse="method")] = "finetune"
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
        if self.method not in METHODS:
            raise unknown_name("adaptation method", self.method, METHODS)
        if self.data.real is None:
            raise SynthError("no photos to adapt to", code="option-missing", hint="give --real")


def adapt_run(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Adapts the detector of a run by the method of the settings, into a run of its own."""
    return importlib.import_module(METHODS[settings.method]).adapt(settings, console)
