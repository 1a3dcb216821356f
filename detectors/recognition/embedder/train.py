"""`synth embedder train`: from settings to a run folder with checkpoints, logs and curves; the same call goes on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.utils.data import Dataset

from assets.errors import SynthError
from assets.files.atomic import lock_folder, remove_leftovers, write_atomic
from assets.files.json_input import read_json_object
from assets.files.models import check_model
from assets.interrupt import stop_on_signals
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from assets.progress import StepProgress
from detectors.checkpoints.detector import BEST, LAST
from detectors.checkpoints.fields import EmbedderTraining
from detectors.checkpoints.network_weights import check_norms, check_weights
from detectors.data.process_loader import PREFETCH, ProcessLoader, limit_threads
from detectors.device import loader_processes, pick_device
from detectors.recognition.embedder.augment import augment_crop, crop_preset
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, load_embedder_checkpoint, outline_embedder
from detectors.recognition.embedder.class_centers import init_class_centers
from detectors.recognition.embedder.crop_store import CropSource
from detectors.recognition.embedder.load import Embedder, build_net
from detectors.recognition.embedder.losses import make_loss, state_bytes
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet, make_spec
from detectors.recognition.embedder.run_files import RunFiles
from detectors.recognition.embedder.sampling import (
    Draws,
    EmbedderStream,
    EpochBatches,
    find_neighbours,
    neighbours_by_name,
    stream,
)
from detectors.recognition.embedder.settings import EmbedSettings
from detectors.recognition.embedder.task import EmbedderTask
from detectors.recognition.embedder.training_crops import TrainingCrops, open_crops
from detectors.recognition.embedder.validate import score_classifier, score_held_out
from detectors.training.guards import SAVE_KEPT, explain_out_of_memory, quiet_lightning
from detectors.training.schedule import Phase, Schedule

SECONDS_BETWEEN_SAVES = 900.0


@dataclass(frozen=True)
class EmbedSummary:
    """What a training did. finished: False where it was interrupted. best: scores of the best epoch."""

    out: Path
    finished: bool
    steps: int
    best: dict[str, float]
    seconds: float


def train_embedder(settings: EmbedSettings, console: Console) -> EmbedSummary:
    """Trains what `settings` asks for into its folder, or goes on where an earlier call stopped.

    Raises SynthError for bad data or settings before any work, for a folder of other settings, and for memory that
    does not suffice.
    """
    with lock_folder(settings.out):
        earlier = _claim_folder(settings)
        crops = open_crops(settings, console, earlier.data if earlier else None)
        if earlier is not None and earlier.keys != crops.classes.keys:
            hint = "give another --out to train on the data as it is now"
            raise SynthError(
                "the classes of the data have changed since the run was started",
                code="classes-changed",
                where=str(settings.out),
                hint=hint,
            )
        return _Training(settings, console, crops, earlier).run()


def _claim_folder(settings: EmbedSettings) -> EmbedderCheckpoint | None:
    """The last checkpoint of an earlier call with the same settings. Raises SynthError for another run's folder."""
    file, last = settings.out / "settings.json", settings.out / LAST
    if file.exists() and last.exists():
        differing = settings.differing(read_json_object(file, DATASET_JSON, "settings.json", hint="give another --out"))
        if differing:
            hint = "give another --out, or the same settings as before to resume"
            where = str(settings.out)
            raise SynthError(
                "the folder contains a run with other settings",
                code="settings-differ",
                where=where,
                problems=differing,
                hint=hint,
            )
    elif not file.exists() and any(entry.name != ".lock" for entry in settings.out.iterdir()):
        hint = "give another --out"
        raise SynthError(
            "the output folder is not empty and contains no run",
            code="output-not-empty",
            where=str(settings.out),
            hint=hint,
        )
    remove_leftovers(settings.out)
    write_atomic(file, json.dumps(settings.to_json(), indent=1).encode() + b"\n")
    return load_embedder_checkpoint(last) if last.exists() else None


class _AugmentedCrops(Dataset[Any]):
    """(position, crop) to an augmented crop and its class: a pure function, so that any worker may make any of them."""

    def __init__(self, source: CropSource, spec: EmbedderSpec, augment: str, seed: int) -> None:
        self.source, self.spec, self.settings, self.seed = source, spec, crop_preset(augment), seed

    def __getitem__(self, draw: tuple[int, int]) -> tuple[np.ndarray, int]:
        position, crop = draw
        rng = stream(self.seed, EmbedderStream.VIEW, position)
        cut = self.source.read(crop)
        picture = augment_crop(cut, side=self.spec.side, margin=self.spec.margin, settings=self.settings, rng=rng)
        return picture, int(self.source.labels[crop])


def _collate(items: Sequence[tuple[np.ndarray, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    squares = torch.from_numpy(np.stack([picture for picture, _ in items]))
    return squares, torch.tensor([label for _, label in items])


class _Training:
    """One call's work on a run."""

    def __init__(
        self, settings: EmbedSettings, console: Console, crops: TrainingCrops, earlier: EmbedderCheckpoint | None
    ) -> None:
        self.settings, self.console, self.crops, self.earlier = settings, console, crops, earlier
        self.stop: Callable[[], bool] = lambda: False
        self.spec = make_spec(settings.backbone, dim=settings.dim, side=settings.side)
        self.plan = _make_plan(settings, crops)
        self.state = _training_state(earlier, self.spec, settings) if earlier is not None else None
        self.learner = self._make_learner()
        self.files = RunFiles(settings, self.spec, crops.classes.keys, crops.hashes)
        if earlier is not None and self.state is not None:
            self.files.restore(self.state)
            self.learner.restore(self.state, earlier.weights, earlier.step, str(settings.out / LAST))
        self.workers = settings.workers if settings.workers is not None else loader_processes()
        batch = self.plan.samples
        done = self.learner.step * batch
        self.progress = StepProgress(console, "training", total=self.plan.steps * batch, done=done, unit="crops")

    def _make_learner(self) -> EmbedderTask:
        settings = self.settings
        net, lines, frozen = start_net(self.spec, "none" if self.earlier else settings.weights)
        if self.state is not None:
            frozen = self.state.frozen_norms
        else:
            for line in lines:
                self.console.print(line, highlight=False, markup=False)
        torch.manual_seed(settings.seed)
        loss = make_loss(settings.loss, len(self.crops.classes), settings.dim, share=settings.share)
        device = pick_device(settings.device)
        if self.earlier is None and self.plan.steps:
            init_class_centers(
                net, loss, self.spec, self.crops, device=device, seed=settings.seed, console=self.console
            )
        return EmbedderTask(net, loss, self.spec, settings, self.plan, device, frozen_norms=frozen)

    def run(self) -> EmbedSummary:
        began = time.monotonic()
        if self.earlier is not None and (self.files.record.stopped or self.learner.step >= self.plan.steps):
            self.console.print("the run has ended already: nothing is left to do", highlight=False)
            return self._summary(0.0)
        self._describe()
        side = self.settings.side
        stopping = stop_on_signals(SAVE_KEPT, step="this step")
        with (
            stopping as self.stop,
            self.progress,
            quiet_lightning(),
            explain_out_of_memory(self.settings.batch, side, side),
        ):
            if self.earlier is None:
                self._begin()
            while self.learner.step < self.plan.steps and not (self.stop() or self.files.record.stopped):
                self._go_through_epoch()
        return self._summary(time.monotonic() - began)

    def _describe(self) -> None:
        settings, classes = self.settings, len(self.crops.classes)
        if self.earlier is not None:
            self.console.print(f"going on from step {self.learner.step} of {self.plan.steps}", highlight=False)
        rows = getattr(self.learner.loss, "per_class", 1)
        megabytes = state_bytes(classes, settings.dim, rows) / 1e6
        self.console.print(
            f"{settings.backbone}, {settings.dim} numbers from {settings.side} px; {settings.loss} over "
            f"{count_of(classes, 'SKU')} (centres {megabytes:.0f} MB), "
            f"{count_of(self.plan.steps, 'step')} of {settings.skus} x {settings.crops}",
            highlight=False,
        )

    def _begin(self) -> None:
        """What is known before the first step: names, and what the pretrained features are worth."""
        self.files.neighbours = neighbours_by_name(self.crops.classes.keys, self.crops.classes.names)
        self._end_epoch()

    def _go_through_epoch(self) -> None:
        epoch, start = divmod(self.learner.step, self.plan.steps_per_epoch)
        batches = EpochBatches(
            self.crops.pools,
            self.crops.real,
            _draws(self.settings, self.plan),
            epoch=epoch,
            start=start,
            neighbours=self.files.neighbours,
        )
        dataset = _AugmentedCrops(self.crops.source, self.spec, self.settings.augment, self.settings.seed)
        loader = ProcessLoader(
            dataset,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=_collate,
            worker_init_fn=limit_threads,
            prefetch_factor=PREFETCH if self.workers else None,
            pin_memory=self.learner.device.type == "cuda",
        )
        for squares, labels in loader:
            self._learn(squares, labels)
            if self.stop():
                break
        if self.learner.step % self.plan.steps_per_epoch == 0:
            self.files.neighbours = find_neighbours(self.learner.loss.centres())
            self._end_epoch()
        else:
            self.files.save_last(self.learner)

    def _learn(self, squares: torch.Tensor, labels: torch.Tensor) -> None:
        began, learner, record = time.monotonic(), self.learner, self.files.record
        learner.learn(squares, labels)
        record.sum, record.steps = record.sum + learner.value, record.steps + 1
        best = f", top-1 {record.best:.3f}" if record.best >= 0 and self.crops.validation else ""
        seconds = time.monotonic() - began
        self.progress.advance(f"loss {learner.value:.3f}{best}", count=self.plan.samples, seconds=seconds)
        if learner.step % 10 == 0:
            self.files.log({"train/loss": learner.value}, learner.step)
        if time.monotonic() - self.files.saved > SECONDS_BETWEEN_SAVES:
            self.files.save_last(learner)

    def _end_epoch(self) -> None:
        learner, record = self.learner, self.files.record
        row = {"epoch": learner.step / self.plan.steps_per_epoch, "step": float(learner.step)}
        if record.steps:
            row["train loss"] = record.sum / record.steps
        row |= self._judge()
        better = self.files.end_epoch(learner, row)
        text = f"epoch {row['epoch']:g}" + (f": loss {row['train loss']:.3f}" if "train loss" in row else "")
        for name in ("top1", "top5", "auroc", "softmax"):
            text += f", {name} {row[name]:.4f}" if name in row else ""
        self.progress.print(text + (" (best so far)" if better and "top1" in row else ""))
        if record.stopped:
            self.progress.print(f"stopped: no better for {count_of(record.stale, 'epoch')}")

    def _judge(self) -> dict[str, float]:
        """Scores of the averaged weights on held-out crops."""
        if self.crops.validation is None:
            return {}
        net = EmbeddingNet(self.spec)
        net.load_state_dict(self.learner.average.weights)
        embedder = Embedder(self.spec, net, self.learner.device)
        row = score_held_out(embedder, self.crops.validation)
        if self.settings.loss == "softmax" and self.learner.step:
            row["softmax"] = score_classifier(embedder, self.learner.loss.state_dict(), self.crops.validation)
        return row

    def _summary(self, seconds: float) -> EmbedSummary:
        record, learner = self.files.record, self.learner
        best = max(record.rows, key=lambda row: row.get("top1", row["step"]), default={})
        finished = record.stopped or learner.step >= self.plan.steps
        return EmbedSummary(self.settings.out, finished, learner.step, dict(best), seconds)


def _training_state(earlier: EmbedderCheckpoint, spec: EmbedderSpec, settings: EmbedSettings) -> EmbedderTraining:
    """What going on from a checkpoint needs. Raises SynthError where it lacks that, or is of another network."""
    where, hint = str(settings.out / LAST), "give another --out to start again"
    if earlier.spec != spec:
        raise SynthError(
            "the last checkpoint belongs to another network", code="checkpoint-mismatch", where=where, hint=hint
        )
    state = check_model(EmbedderTraining, earlier.training, "the last checkpoint", where, hint)
    check_weights(outline_embedder(spec), state.weights, where, hint)
    check_norms(outline_embedder(spec), state.frozen_norms, where, hint)
    return state


def start_net(spec: EmbedderSpec, weights: str) -> tuple[EmbeddingNet, list[str], tuple[str, ...]]:
    """An untrained network, what was loaded into it in words, and its batch norms that came with statistics."""
    net, lines = build_net(spec, weights)
    norms = [name for name, module in net.backbone.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    return net, lines, () if weights == "none" else tuple(f"backbone.{name}" for name in norms)


def _draws(settings: EmbedSettings, plan: Schedule) -> Draws:
    return Draws(settings.skus, settings.crops, plan.steps_per_epoch, settings.seed, settings.real_share)


def _make_plan(settings: EmbedSettings, crops: TrainingCrops) -> Schedule:
    present = int((crops.pools.counts() > 0).sum())
    batch = min(settings.skus, present) * settings.crops
    count = len(crops.source.labels)
    steps = max(1, math.ceil((settings.epoch_crops or count) / batch))
    phases = (Phase("train", settings.epochs * steps, (1.0,)),)
    return Schedule(phases, (count,), batch, steps, settings.seed)


def print_summary(console: Console, summary: EmbedSummary) -> None:
    """The last lines of a training."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    scores = ", ".join(f"{name} {summary.best[name]:.4f}" for name in ("top1", "top5", "mrr") if name in summary.best)
    table.add_row("best", f"{scores or 'no validation set'} (epoch {summary.best.get('epoch', 0):g})")
    table.add_row("this run", f"{summary.seconds:.0f} s, {count_of(summary.steps, 'step')} in all")
    table.add_row("checkpoints", f"{summary.out / BEST}, {summary.out / LAST}")
    console.print(table, highlight=False)
    if not summary.finished:
        console.print("stopped; everything is kept: the same command resumes there", highlight=False)
    else:
        console.print(
            f"next: synth gallery build LIST --embedder {summary.out} --out GALLERY", highlight=False, markup=False
        )
