"""`synth train`: from settings to a run folder with checkpoints, logs and curves; the same call again goes on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import lock_folder, remove_leftovers, write_atomic
from assets.files.json_input import read_json_object
from assets.files.models import read_model
from assets.interrupt import stop_on_signals
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.identity import claim_data
from detectors.augment import preset
from detectors.checkpoints.detector import BEST, LAST, Checkpoint, load_checkpoint
from detectors.checkpoints.fields import DetectorTraining
from detectors.checkpoints.weights import load_weights
from detectors.data.image_set import open_images
from detectors.data.image_store import SetsFile, open_source
from detectors.data.mix import realised
from detectors.data.prepare import TrainingData, prepare_training
from detectors.device import is_first_process, loader_processes, pick_device
from detectors.models import build_model, detector_module
from detectors.models.spec import ModelSpec
from detectors.training.callback import History, Identity, TrainingCallback, restore_learner, training_state
from detectors.training.guards import SAVE_KEPT, OwnSignals, explain_out_of_memory, own_interrupts, quiet_lightning
from detectors.training.loader import InputSettings, PlannedBatches, TrainingImages, training_loader
from detectors.training.schedule import Schedule
from detectors.training.settings import TrainSettings
from detectors.training.setup import make_plan, make_spec
from detectors.training.task import DetectorTask

RATE_BATCH = 16


@dataclass(frozen=True)
class TrainSummary:
    """What a training did. finished: False where it was interrupted. waiting: share of time the network waited."""

    out: Path
    finished: bool
    steps: int
    best: dict[str, float]
    drawn: dict[str, int]
    images_per_second: float
    waiting: float
    seconds: float


def run_training(settings: TrainSettings, console: Console, *, start: Checkpoint | None = None) -> TrainSummary:
    """Trains what `settings` asks for into its folder, or goes on where an earlier call stopped.

    start: a checkpoint whose network, classes and weights are taken over (adaptation). Raises SynthError for bad data
    or settings before any work, for a folder of other settings, and for memory that does not suffice.
    """
    child = not is_first_process()
    if child:
        console = Console(quiet=True)
    with nullcontext() if child else lock_folder(settings.out):
        earlier = _claim_folder(settings)
        data = _open_data(settings, console, start, earlier) if not child else _reopen_data(settings)
        return _train(settings, console, data, start, earlier)


def _claim_folder(settings: TrainSettings) -> Checkpoint | None:
    """The last checkpoint of an earlier call with the same settings. Raises SynthError for another run's folder."""
    file, last = settings.out / "settings.json", settings.out / LAST
    # Before its first save a run has nothing to lose: a mistake in the settings may be corrected.
    if file.exists() and last.exists():
        differing = settings.differing(read_json_object(file, DATASET_JSON, "settings.json", hint="give another --out"))
        if differing:
            hint = "give another --out, or the same settings as before to resume"
            raise SynthError(
                "the folder contains a run with other settings",
                code="settings-differ",
                where=str(settings.out),
                problems=differing,
                hint=hint,
            )
    elif not file.exists() and any(entry.name != ".lock" for entry in settings.out.iterdir()):
        raise SynthError(
            "the output folder is not empty and contains no run",
            code="output-not-empty",
            where=str(settings.out),
            hint="give another --out",
        )
    remove_leftovers(settings.out)
    write_atomic(file, json.dumps(settings.to_json(), indent=1).encode() + b"\n")
    return load_checkpoint(last) if last.exists() else None


def _open_data(
    settings: TrainSettings, console: Console, start: Checkpoint | None, earlier: Checkpoint | None
) -> TrainingData:
    """Reads and checks the data, and leaves it where further processes map it into memory.

    Raises SynthError where it is other data than the run began with.
    """
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        console.print(line, highlight=False, markup=False)

    data = prepare_training(settings.data, seed=settings.seed, tell=tell, classes=start.classes if start else None)
    claim_data(settings.out, data.identities, earlier.data if earlier else None)
    if earlier is not None and earlier.classes != data.classes:
        hint = "give another --out to train on the data as it is now"
        raise SynthError(
            "the classes of the data have changed since the run was started",
            code="classes-changed",
            where=str(settings.out),
            hint=hint,
        )
    write_atomic(settings.out / "data.txt", ("\n".join(lines) + "\n").encode())
    for images in data.sources:
        images.save(settings.out / "data" / images.name)
    if data.validation is not None:
        data.validation.save(settings.out / "data" / "validation")
    head = {"sources": [images.name for images in data.sources], "real": data.validates_on_real, "hashes": data.hashes}
    write_atomic(settings.out / "data" / "sets.json", json.dumps(head).encode())
    return data


def _reopen_data(settings: TrainSettings) -> TrainingData:
    """What the first process has left."""
    folder = settings.out / "data"
    head = read_model(SetsFile, folder / "sets.json", DATASET_JSON, "sets.json", hint="give another --out")
    sources = tuple(open_source(folder / name) for name in head.sources)
    validation = open_images(folder / "validation") if (folder / "validation").is_dir() else None
    return TrainingData(sources, validation, head.real, sources[0].classes, head.hashes)


def _train(
    settings: TrainSettings,
    console: Console,
    data: TrainingData,
    start: Checkpoint | None,
    earlier: Checkpoint | None,
) -> TrainSummary:
    spec = start.spec if start else make_spec(settings, data)
    plan = make_plan(settings, data)
    learner = _make_learner(settings, console, data, spec, plan, start, earlier)
    state = _resume(learner, earlier, spec, settings) if earlier is not None else None
    progress = StepProgress(
        console, "training", total=plan.steps * plan.samples, done=learner.step * plan.samples, unit="images"
    )
    workers = settings.workers if settings.workers is not None else loader_processes(settings.devices)
    identity = Identity(settings, spec, data.classes, data.hashes)
    keeper = TrainingCallback(identity, data.validation, History(), progress, workers=workers)
    if state is not None:
        keeper.restore(state)
        if keeper.record.stopped or learner.step >= plan.steps:
            console.print("the run has ended already: nothing is left to do", highlight=False)
            return _summary(settings, learner, keeper, 0.0)
        console.print(f"going on from step {learner.step} of {plan.steps}", highlight=False)
    _describe(console, settings, spec, plan)
    with quiet_lightning():
        trainer = _make_trainer(settings, keeper)
    view = InputSettings(
        spec.width, spec.height, preset(settings.augment), detector_module(spec.detector).NEEDS_MASKS, settings.seed
    )
    batches = PlannedBatches(
        plan,
        batch=settings.batch // settings.devices,
        start_step=learner.step,
        rank=trainer.global_rank,
        world=trainer.world_size,
    )
    pin = trainer.strategy.root_device.type == "cuda"
    loader = training_loader(TrainingImages(data.sources, plan, view), batches, workers=workers, pin=pin)
    began = time.monotonic()
    with (
        stop_on_signals(SAVE_KEPT, step="this step" if is_first_process() else "") as keeper.stop,
        progress,
        quiet_lightning(),
        explain_out_of_memory(settings.batch, spec.width, spec.height),
        own_interrupts(),
    ):
        trainer.fit(learner, loader)
    return _summary(settings, learner, keeper, time.monotonic() - began)


def _resume(learner: DetectorTask, earlier: Checkpoint, spec: ModelSpec, settings: TrainSettings) -> DetectorTraining:
    """Puts an earlier call's state into the learner. Raises SynthError where it is damaged or of another network."""
    where = str(settings.out / LAST)
    if earlier.spec != spec:
        hint = "give another --out to start again"
        raise SynthError(
            "the last checkpoint belongs to another network", code="checkpoint-mismatch", where=where, hint=hint
        )
    state = training_state(earlier, where)
    restore_learner(learner, earlier, state)
    return state


def _make_learner(
    settings: TrainSettings,
    console: Console,
    data: TrainingData,
    spec: ModelSpec,
    plan: Schedule,
    start: Checkpoint | None,
    earlier: Checkpoint | None,
) -> DetectorTask:
    # Only the start of the network is drawn here; every step has a chance of its own.
    torch.manual_seed(settings.seed)
    model = build_model(spec)
    frozen = earlier.frozen_norms if earlier else start.frozen_norms if start else ()
    if earlier is None and start is not None:
        model.load_state_dict(start.weights)
    elif earlier is None:
        loaded = load_weights(model, spec, data.classes, settings.weights)
        for line in loaded.lines() if loaded else ["weights: begun at random (--weights none)"]:
            console.print(line, highlight=False, markup=False)
        frozen = pretrained_norms(loaded.fitted if loaded else ())
    rate = settings.learning_rate or detector_module(spec.detector).LEARNING_RATE * math.sqrt(
        settings.batch / RATE_BATCH
    )
    learner = DetectorTask(
        model,
        plan,
        data.sources,
        learning_rate=rate,
        weight_decay=settings.weight_decay,
        frozen_norms=frozen,
        freeze_backbone=settings.freeze == "backbone",
        out=settings.out,
    )
    return learner


def pretrained_norms(fitted: tuple[str, ...]) -> tuple[str, ...]:
    """Batch norms of the backbone whose statistics came with the weights: those of large batches, better than ours."""
    names = [name.removesuffix(".running_mean") for name in fitted if name.endswith(".running_mean")]
    return tuple(name for name in names if name.startswith("backbone."))


def _make_trainer(settings: TrainSettings, keeper: TrainingCallback) -> L.Trainer:
    gpu = pick_device(settings.device).type == "cuda"
    logs = settings.out / "logs"
    return L.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=settings.devices,
        strategy="ddp" if settings.devices > 1 else "auto",
        precision="bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true",
        max_epochs=1,
        gradient_clip_val=settings.clip_norm,
        callbacks=[keeper, OwnSignals()],
        logger=[CSVLogger(logs, name="csv"), TensorBoardLogger(logs, name="tensorboard")],
        default_root_dir=settings.out,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _describe(console: Console, settings: TrainSettings, spec: ModelSpec, plan: Schedule) -> None:
    names = settings.source_names
    backbone = f" on {spec.backbone}" if spec.backbone else ""
    console.print(
        f"{spec.detector}{backbone}, {count_of(spec.classes, 'class')}, "
        f"pictures fitted into {spec.width}x{spec.height}",
        highlight=False,
    )
    for phase in plan.phases:
        mix = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, phase.shares, strict=True) if share)
        console.print(
            f"phase {phase.name}: {count_of(phase.steps, 'step')} of {settings.batch}, {mix}", highlight=False
        )


def _summary(settings: TrainSettings, learner: DetectorTask, keeper: TrainingCallback, seconds: float) -> TrainSummary:
    best = max(keeper.record.rows, key=lambda row: row.get("AP", row["step"]), default={})
    rate = keeper.images / keeper.worked if keeper.worked else 0.0
    return TrainSummary(
        settings.out,
        keeper.record.stopped or learner.step >= learner.plan.steps,
        learner.step,
        {name: value for name, value in best.items() if name.startswith("AP") or name == "epoch"},
        dict(keeper.record.drawn),
        rate,
        keeper.waiting,
        seconds,
    )


def best_text(best: Mapping[str, float], scores: str) -> str:
    """The scores of the best epoch, or why there are none. best: its row, empty before the first epoch has ended."""
    return f"{scores or 'no validation set'} (epoch {best['epoch']:g})" if best else "the first epoch is not finished"


def print_summary(console: Console, summary: TrainSummary) -> None:
    """The last lines of a training."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in summary.best.items() if name != "epoch")
    table.add_row("best", best_text(summary.best, scores))
    table.add_row("drawn", realised(summary.drawn))
    if summary.seconds:
        pace = f"{summary.images_per_second:.1f} images/s, waiting for images {summary.waiting:.1%} of the time"
        table.add_row("this run", f"{summary.seconds:.0f} s, {pace}")
    table.add_row("checkpoints", f"{summary.out / BEST}, {summary.out / LAST}")
    console.print(table, highlight=False)
    if not summary.finished:
        console.print("stopped; everything is kept: the same command resumes there", highlight=False)
    else:
        console.print(f"next: synth evaluate {summary.out} --data REAL_PHOTOS", highlight=False, markup=False)
