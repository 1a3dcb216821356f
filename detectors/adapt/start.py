"""The start of every adaptation: the trained detector, and the settings of a training that continues from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from assets.errors import SynthError
from detectors.adapt import AdaptSettings, method_module
from detectors.adapt.options import MethodOptions, as_pairs, options_of_method
from detectors.checkpoints.detector import Checkpoint, find_checkpoint, load_checkpoint
from detectors.models import detector_module
from detectors.training.run import RATE_BATCH
from detectors.training.schedule import FINETUNE_RATE
from detectors.training.settings import TrainSettings

SHARED = (
    *("data", "out", "mix", "augment", "epochs", "epoch_images", "replay", "batch", "learning_rate"),
    *("patience", "freeze", "seed", "workers", "device", "devices"),
)


@dataclass(frozen=True)
class AdaptTraining(TrainSettings):
    """The training of a method. method: None for finetune, as in runs of versions that did not record the method.

    method_options: all of the method's own. unlabelled: the photos without labels.
    """

    method: str | None = None
    method_options: tuple[str, ...] = ()
    unlabelled: str | None = None


def method_options(settings: AdaptSettings) -> Any:
    """Return the validated options of the settings' method, as its module's Options."""
    return options_of_method(method_module(settings.method), settings.method_options, settings.method)


def check_photos(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos without labels."""
    if settings.unlabelled is None:
        raise SynthError("no photos to adapt to", code="option-missing", hint="give --unlabelled FOLDER")


def check_labels(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no labelled images."""
    if not settings.data.synthetic and settings.data.real is None:
        raise SynthError("no labelled images to train on", code="option-missing", hint="give --synthetic")


def load_start(settings: AdaptSettings, console: Console) -> Checkpoint:
    """Load the detector to adapt, and print which one it is."""
    start = load_checkpoint(settings.run)
    console.print(f"adapting {find_checkpoint(settings.run)} (step {start.step})", highlight=False, markup=False)
    return start


def continued(settings: AdaptSettings, start: Checkpoint, **changes: Any) -> AdaptTraining:
    """Return the settings of a training that continues with the same network. changes: fields set by the method."""
    same: dict[str, Any] = {name: getattr(settings, name) for name in SHARED}
    options: MethodOptions = method_options(settings)
    same |= {
        "detector": start.spec.detector,
        "detector_options": tuple(f"{name}={value}" for name, value in start.spec.options),
        "backbone": start.spec.backbone,
        "weights": str(settings.run),
        "size": (start.spec.width, start.spec.height),
        "method": None if settings.method == "finetune" else settings.method,
        "method_options": as_pairs(options),
        "unlabelled": None if settings.unlabelled is None else str(settings.unlabelled),
    }
    return AdaptTraining(**{**same, **changes})


def slow_rate(settings: AdaptSettings, start: Checkpoint) -> float:
    """Return the learning rate of the settings, by default a tenth of the detector's."""
    base = detector_module(start.spec.detector).LEARNING_RATE * math.sqrt(settings.batch / RATE_BATCH)
    return settings.learning_rate or FINETUNE_RATE * base
