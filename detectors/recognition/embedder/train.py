"""`synth embedder train`: train an embedder into a run folder with checkpoints, logs and curves, or resume it."""

from __future__ import annotations

import math
import time

import torch
from rich.console import Console

from assets.files.atomic import lock_folder
from assets.plurals import count_of
from detectors.device import pick_device
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, load_embedder_checkpoint
from detectors.recognition.embedder.class_centers import init_class_centers
from detectors.recognition.embedder.load import build_net
from detectors.recognition.embedder.losses import make_loss, state_bytes
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet, make_spec
from detectors.recognition.embedder.settings import EmbedSettings
from detectors.recognition.embedder.task import EmbedderTask
from detectors.recognition.embedder.training_crops import TrainingCrops, open_crops
from detectors.training.engine import Engine, open_fabric
from detectors.training.run_folder import check_classes, check_network, claim_folder
from detectors.training.schedule import Phase, Schedule
from detectors.training.summary import TrainSummary, print_training, summarize


def train_embedder(settings: EmbedSettings, console: Console) -> TrainSummary:
    """Train an embedder into the folder of the settings, or resume where an earlier call stopped.

    Raises SynthError for bad data or settings before any work starts, for a folder of other settings, and if memory
    runs out.
    """
    with lock_folder(settings.out):
        earlier = claim_folder(settings, load_embedder_checkpoint)
        crops = open_crops(settings, console, earlier.data if earlier else None)
        if earlier is not None:
            check_classes(crops.classes.keys, earlier.keys, settings.out)
        return _train(settings, console, crops, earlier)


def _train(
    settings: EmbedSettings, console: Console, crops: TrainingCrops, earlier: EmbedderCheckpoint | None
) -> TrainSummary:
    spec = make_spec(settings.backbone, dim=settings.dim, side=settings.side)
    if earlier is not None:
        check_network(spec, earlier.spec, settings.out)
    task = _make_task(settings, console, crops, spec, fresh=earlier is None)
    engine = Engine(task, settings, open_fabric(settings), earlier)
    if earlier is not None and engine.ended:
        console.print("the run is already complete", highlight=False)
        return summarize(engine, 0.0)
    if earlier is not None:
        console.print(f"resuming at step {engine.step} of {task.schedule.steps}", highlight=False)
    _describe(console, task)
    began = time.monotonic()
    engine.run(console, (settings.side, settings.side))
    return summarize(engine, time.monotonic() - began)


def _make_task(
    settings: EmbedSettings, console: Console, crops: TrainingCrops, spec: EmbedderSpec, *, fresh: bool
) -> EmbedderTask:
    """Build the task as before its first step; when resuming, the engine loads the weights later."""
    net, lines, frozen = start_net(spec, settings.weights if fresh else "none")
    schedule = _make_schedule(settings, crops)
    torch.manual_seed(settings.seed)
    loss = make_loss(settings.loss, len(crops.classes), settings.dim, share=settings.share)
    if fresh:
        for line in lines:
            console.print(line, highlight=False, markup=False)
        if schedule.steps:
            device = pick_device(settings.device)
            loss = loss.to(device)
            init_class_centers(net, loss, spec, crops, device=device, seed=settings.seed, console=console)
    return EmbedderTask(net, loss, spec, settings, crops, schedule, frozen_norms=frozen)


def _describe(console: Console, task: EmbedderTask) -> None:
    settings, classes = task.settings, len(task.crops.classes)
    megabytes = state_bytes(classes, settings.dim, getattr(task.extra, "per_class", 1)) / 1e6
    console.print(
        f"{settings.backbone}, {settings.dim} dimensions from {settings.side} px; {settings.loss} over "
        f"{count_of(classes, 'SKU')} (centers {megabytes:.0f} MB), "
        f"{count_of(task.schedule.steps, 'step')} of {settings.skus} x {settings.crops}",
        highlight=False,
    )


def start_net(spec: EmbedderSpec, weights: str) -> tuple[EmbeddingNet, list[str], tuple[str, ...]]:
    """Build an untrained network; also return messages on the loaded weights, and the batch norms to freeze."""
    net, lines = build_net(spec, weights)
    norms = [name for name, module in net.backbone.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    return net, lines, () if weights == "none" else tuple(f"backbone.{name}" for name in norms)


def _make_schedule(settings: EmbedSettings, crops: TrainingCrops) -> Schedule:
    present = int((crops.pools.counts() > 0).sum())
    batch = min(settings.skus, present) * settings.crops
    count = len(crops.source.labels)
    steps = max(1, math.ceil((settings.epoch_crops or count) / batch))
    phases = (Phase("train", settings.epochs * steps, (1.0,)),)
    return Schedule(phases, (count,), batch, steps, settings.seed)


def print_summary(console: Console, summary: TrainSummary) -> None:
    """Print the summary at the end of an embedder's training."""
    next_command = f"synth gallery build LIST --embedder {summary.out} --out GALLERY"
    print_training(console, summary, next_command, unit="crops")
