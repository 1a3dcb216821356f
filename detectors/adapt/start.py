"""The start of every adaptation: the trained detector, and the settings of a training that continues from it."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from detectors.adapt import AdaptSettings
from detectors.checkpoints.detector import Checkpoint, find_checkpoint, load_checkpoint
from detectors.training.settings import TrainSettings

SHARED = (
    *("data", "out", "mix", "augment", "epochs", "epoch_images", "replay", "batch", "learning_rate"),
    *("patience", "freeze", "seed", "workers", "device", "devices"),
)


def load_start(settings: AdaptSettings, console: Console) -> Checkpoint:
    """Load the detector to adapt, and print which one it is."""
    start = load_checkpoint(settings.run)
    console.print(f"adapting {find_checkpoint(settings.run)} (step {start.step})", highlight=False, markup=False)
    return start


def continued(settings: AdaptSettings, start: Checkpoint, **changes: Any) -> TrainSettings:
    """Return the settings of a training that continues with the same network. changes: fields set by the method."""
    same: dict[str, Any] = {name: getattr(settings, name) for name in SHARED}
    same |= {
        "detector": start.spec.detector,
        "detector_options": tuple(f"{name}={value}" for name, value in start.spec.options),
        "backbone": start.spec.backbone,
        "weights": str(settings.run),
        "size": (start.spec.width, start.spec.height),
    }
    return TrainSettings(**{**same, **changes})
