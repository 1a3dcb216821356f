"""Fine-tuning on real photos: a tenth of the rate, and some synthetic images replayed so that nothing is forgotten."""

from __future__ import annotations

from rich.console import Console

from detectors.adapt import AdaptSettings
from detectors.checkpoints.detector import find_checkpoint, load_checkpoint
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings
from detectors.training.summary import TrainSummary


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Goes on from the run's averaged weights, with its classes and its network."""
    start = load_checkpoint(settings.run)
    console.print(f"adapting {find_checkpoint(settings.run)} (step {start.step})", highlight=False, markup=False)
    if not settings.data.synthetic:
        line = "no --synthetic given: nothing is replayed, and SKUs that the photos lack may be forgotten"
        console.print(line, highlight=False)
    training = TrainSettings(
        data=settings.data,
        out=settings.out,
        mix=settings.mix,
        schedule="adapt",
        detector=start.spec.detector,
        detector_options=tuple(f"{name}={value}" for name, value in start.spec.options),
        backbone=start.spec.backbone,
        weights=str(settings.run),
        size=(start.spec.width, start.spec.height),
        augment=settings.augment,
        epochs=settings.epochs,
        epoch_images=settings.epoch_images,
        replay=settings.replay,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        patience=settings.patience,
        freeze=settings.freeze,
        seed=settings.seed,
        workers=settings.workers,
        device=settings.device,
        devices=settings.devices,
    )
    return run_training(training, console, start=start)
