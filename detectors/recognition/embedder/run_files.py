"""What a training of an embedder remembers and keeps: record, checkpoints, logs, curves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from assets.errors import SynthError
from detectors.checkpoints.detector import BEST, LAST
from detectors.checkpoints.fields import EmbedderTraining
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, save_embedder_checkpoint
from detectors.recognition.embedder.network import EmbedderSpec
from detectors.recognition.embedder.sampling import Ints
from detectors.recognition.embedder.settings import EmbedSettings
from detectors.recognition.embedder.task import EmbedderTask
from detectors.training.history import plot_curves

SCORES = ("top1", "top5", "mrr", "softmax")


@dataclass
class EmbedderHistory:
    """What a training has to remember over interruptions. rows: one per epoch. sum, steps: losses of this epoch."""

    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = -1.0
    stale: int = 0
    stopped: bool = False
    sum: float = 0.0
    steps: int = 0


@dataclass
class RunFiles:
    """Writes into the folder of a run. neighbours: look-alikes of the epoch that is going on."""

    settings: EmbedSettings
    spec: EmbedderSpec
    keys: tuple[str, ...]
    data: dict[str, str]
    record: EmbedderHistory = field(default_factory=EmbedderHistory)
    neighbours: Ints | None = None

    def __post_init__(self) -> None:
        logs = self.settings.out / "logs"
        self.loggers = [CSVLogger(logs, name="csv"), TensorBoardLogger(logs, name="tensorboard")]
        self.saved = time.monotonic()

    def log(self, values: dict[str, float], step: int) -> None:
        """Numbers of a step, for people."""
        for logger in self.loggers:
            logger.log_metrics(values, step=step)

    def end_epoch(self, learner: EmbedderTask, row: dict[str, float]) -> bool:
        """Keeps what is worth it; whether this epoch is the best so far."""
        record = self.record
        record.rows.append(row)
        score = row.get("top1", float(learner.step))
        better = score > record.best
        record.stale = 0 if better else record.stale + 1
        record.best = max(score, record.best)
        record.stopped = "top1" in row and record.stale >= self.settings.patience
        record.sum, record.steps = 0.0, 0
        if better:
            save_embedder_checkpoint(self._checkpoint(learner, row), self.settings.out / BEST)
        self.save_last(learner)
        self.log({name.replace(" ", "/"): value for name, value in row.items()}, learner.step)
        for logger in self.loggers:
            logger.save()
        plot_curves(record.rows, self.settings.out / "curves.png", scores=SCORES)
        return better

    def save_last(self, learner: EmbedderTask) -> None:
        """All that going on needs."""
        self.saved = time.monotonic()
        alike = None if self.neighbours is None else torch.from_numpy(self.neighbours)
        training = {**learner.state(), "record": vars(self.record).copy(), "neighbours": alike}
        row = self.record.rows[-1] if self.record.rows else {}
        save_embedder_checkpoint(self._checkpoint(learner, row, **training), self.settings.out / LAST)

    def restore(self, training: EmbedderTraining) -> None:
        """Goes on from what the last checkpoint remembers."""
        self.record = EmbedderHistory(**training.record.model_dump())
        alike = training.neighbours
        if alike is not None and not self._fits(alike):
            raise SynthError(
                "the look-alikes of the last checkpoint are invalid",
                code="checkpoint-damaged",
                where=str(self.settings.out / LAST),
            )
        self.neighbours = None if alike is None else alike.numpy()

    def _fits(self, alike: torch.Tensor) -> bool:
        """Whether these are places of classes, or -1, a row for each class."""
        classes = len(self.keys)
        if alike.dtype != torch.int64 or alike.ndim != 2 or len(alike) != classes:
            return False
        return bool(((alike >= -1) & (alike < classes)).all())

    def _checkpoint(self, learner: EmbedderTask, row: dict[str, float], **training: Any) -> EmbedderCheckpoint:
        is_classifier = self.settings.loss == "softmax"
        head = {name: value.cpu() for name, value in learner.loss.state_dict().items()} if is_classifier else {}
        return EmbedderCheckpoint(
            spec=self.spec,
            weights={name: value.cpu() for name, value in learner.average.weights.items()},
            keys=self.keys,
            settings=self.settings.to_json(),
            data=self.data,
            step=learner.step,
            score={name: value for name, value in row.items() if name not in ("epoch", "step", "train loss")},
            head=head,
            training=training,
        )
