"""The table of adaptation methods: one file and one line each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assets.errors import SynthError, unknown_name
from detectors.data.mix import Shares
from detectors.data.settings import DataSettings
from detectors.training.settings import Freeze

if TYPE_CHECKING:
    from rich.console import Console

    from detectors.training.run import TrainSummary

METHODS = {"finetune": "detectors.adapt.finetune"}


@dataclass(frozen=True)
class AdaptSettings:
    """How a trained detector is adapted to real photos; fields as in TrainSettings. run: where it was trained."""

    run: Path
    data: DataSettings
    out: Path
    method: str = "finetune"
    mix: Shares = ()
    replay: float = 0.2
    freeze: Freeze = "none"
    epochs: int = 10
    epoch_images: int | None = None
    batch: int = 16
    learning_rate: float | None = None
    augment: str = "strong"
    patience: int = 8
    seed: int = 0
    workers: int | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("adaptation method", self.method, METHODS)
        if self.data.real is None:
            raise SynthError("no photos to adapt to", code="option-missing", hint="give --real")


def adapt_run(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Adapts the detector of a run by the method of the settings, into a run of its own."""
    return importlib.import_module(METHODS[settings.method]).adapt(settings, console)
