"""Fine-tuning on labelled photos at a tenth of the learning rate, with some synthetic images against forgetting."""

from __future__ import annotations

from rich.console import Console

from assets.errors import SynthError
from detectors.adapt import AdaptSettings
from detectors.adapt.start import continued, load_start
from detectors.training.run import run_training
from detectors.training.summary import TrainSummary


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no labelled photos."""
    if settings.data.real is None:
        others = "for photos without labels choose --method self-training, mean-teacher or adabn"
        hint = "give --real" if settings.unlabelled is None else f"give --real; {others}"
        raise SynthError("no labelled photos to adapt to", code="option-missing", hint=hint)


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Continue training from the run's averaged weights, with its classes and network."""
    start = load_start(settings, console)
    if not settings.data.synthetic:
        line = "no --synthetic given: there is no replay, and SKUs that are not in the photos may be forgotten"
        console.print(line, highlight=False)
    return run_training(continued(settings, start, schedule="adapt"), console, start=start)
