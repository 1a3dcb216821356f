"""What happens around the steps: progress, validation, checkpoints, early stop, and an orderly end at Ctrl-C."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning as L
from torch import nn

from assets.files.models import check_model
from assets.plurals import count_of
from assets.progress import StepProgress
from detectors.checkpoints.detector import BEST, LAST, Checkpoint, outline_detector, save_checkpoint
from detectors.checkpoints.fields import DetectorTraining
from detectors.checkpoints.network_weights import check_weights
from detectors.data.image_set import Classes, ImageSet
from detectors.data.mix import realised
from detectors.models.detect import find_in_set
from detectors.models.spec import ModelSpec
from detectors.training.history import plot_curves
from detectors.training.loader import Batch
from detectors.training.score import score_detector
from detectors.training.settings import TrainSettings
from detectors.training.task import DetectorTask

SECONDS_BETWEEN_SAVES = 900.0
NOT_RESUMABLE = "it is damaged or was edited: give another --out to start again"


@dataclass
class History:
    """What a training has to remember over interruptions. drawn: samples of each source. rows: one per epoch."""

    drawn: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = -1.0
    stale: int = 0
    stopped: bool = False


@dataclass(frozen=True)
class Identity:
    """What a checkpoint says about where it comes from."""

    settings: TrainSettings
    spec: ModelSpec
    classes: Classes
    data: dict[str, str]


class TrainingCallback(L.Callback):
    """Watches a Learner. stop: asked after every step whether that was the last one for now."""

    def __init__(
        self, identity: Identity, validation: ImageSet | None, record: History, progress: StepProgress, *, workers: int
    ) -> None:
        self.identity, self.validation, self.record, self.progress = identity, validation, record, progress
        self.workers = workers
        self.stop: Callable[[], bool] = lambda: False
        self.waited = self.worked = 0.0
        self.images = 0
        self._judged: nn.Module | None = None
        self._sums: Counter[str] = Counter()
        self._steps = 0
        self._ended = self._saved = time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, learner: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._started = time.monotonic()
        # The first batch waits for the loader to start: that is no part of the pace.
        if batch_idx:
            self.waited += self._started - self._ended

    def on_train_batch_end(self, trainer: L.Trainer, learner: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        assert isinstance(learner, DetectorTask)
        ended = time.monotonic()
        if batch_idx:
            self.worked += ended - self._ended
            self.images += len(batch.draws) * trainer.world_size
        self.record.drawn.update(self._drawn_by_all(learner, batch, trainer.world_size))
        self._sums.update(learner.losses)
        self._steps += 1
        samples = learner.plan.samples
        self.progress.advance(self._words(learner), count=samples, seconds=ended - self._ended)
        self._log(trainer, learner)
        if learner.step % learner.plan.steps_per_epoch == 0 or learner.step == learner.plan.steps:
            self._end_epoch(trainer, learner)
        elif ended - self._saved > SECONDS_BETWEEN_SAVES:
            self._save_last(trainer, learner)
        if trainer.strategy.reduce_boolean_decision(self.stop(), all=False) and not self.record.stopped:
            self._save_last(trainer, learner)
            trainer.should_stop = True
        self._ended = time.monotonic()

    def _drawn_by_all(self, learner: DetectorTask, batch: Batch, world: int) -> Counter[str]:
        """Samples of each source in the step just made; those of other processes are known from the plan."""
        plan, names = learner.plan, self.identity.settings.source_names
        first = (learner.step - 1) * plan.samples
        draws = batch.draws if world == 1 else plan.draws(first, first + plan.samples)
        return Counter(names[draw.source] for draw in draws)

    def _words(self, learner: DetectorTask) -> str:
        phase, _ = learner.plan.phase_at(max(learner.step - 1, 0))
        best = f", AP {self.record.rows[-1]['AP']:.3f}" if self.record.rows and "AP" in self.record.rows[-1] else ""
        return f"{phase.name}, loss {learner.losses['loss']:.3f}, waiting {self.waiting:.0%}{best}"

    @property
    def waiting(self) -> float:
        """Share of the time that the network waited for images."""
        return self.waited / self.worked if self.worked else 0.0

    def _log(self, trainer: L.Trainer, learner: DetectorTask) -> None:
        if learner.step % 10 and learner.step != learner.plan.steps:
            return
        rate = learner.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        values = {**{f"train/{name}": value for name, value in learner.losses.items()}, "train/rate": rate}
        values["train/waiting"] = self.waiting
        for logger in trainer.loggers:
            logger.log_metrics(values, step=learner.step)

    def _end_epoch(self, trainer: L.Trainer, learner: DetectorTask) -> None:
        row = {"epoch": learner.step / learner.plan.steps_per_epoch, "step": float(learner.step)}
        row |= {f"train {name}": value / self._steps for name, value in sorted(self._sums.items())}
        total = sum(self.record.drawn.values())
        row |= {f"mix {name}": count / total for name, count in sorted(self.record.drawn.items())}
        self._sums, self._steps = Counter(), 0
        if trainer.is_global_zero:
            row |= self._judge(trainer, learner)
        row = trainer.strategy.broadcast(row)
        self.record.rows.append(row)
        self._keep(trainer, learner, row)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics({name.replace(" ", "/"): value for name, value in row.items()}, step=learner.step)
            plot_curves(self.record.rows, self.identity.settings.out / "curves.png")
        trainer.strategy.barrier("epoch")

    def _judge(self, trainer: L.Trainer, learner: DetectorTask) -> dict[str, float]:
        """Validation of the averaged weights."""
        if self.validation is None:
            return {}
        model = self._average(learner)
        size = (self.identity.spec.width, self.identity.spec.height)
        found = find_in_set(model, self.validation, self.identity.classes, size, workers=self.workers)
        return score_detector(self.validation, found)

    def _average(self, learner: DetectorTask) -> nn.Module:
        """A second network that holds the moving average."""
        if self._judged is None:
            self._judged = copy.deepcopy(learner.model)
        self._judged.load_state_dict(learner.average.weights)
        return self._judged.eval()

    def _keep(self, trainer: L.Trainer, learner: DetectorTask, row: dict[str, float]) -> None:
        """Saves what is worth it, and ends the training when it has stopped getting better."""
        record, plan = self.record, learner.plan
        score = row.get("AP", float(learner.step))
        better = score > record.best
        record.stale = 0 if better else record.stale + 1
        record.best = max(score, record.best)
        # Only the last phase may end early: the ones before it are what it builds on.
        last_phase = plan.phase_at(learner.step)[0] is plan.phases[-1]
        if plan.phase_at(learner.step - 1)[0] is not plan.phase_at(learner.step)[0]:
            record.stale = 0
        record.stopped = last_phase and "AP" in row and record.stale >= self.identity.settings.patience
        if better and trainer.is_global_zero:
            save_checkpoint(self._checkpoint(learner, row), self.identity.settings.out / BEST)
        self._save_last(trainer, learner)
        if trainer.is_global_zero:
            self._tell(learner, row, better)
        if record.stopped:
            trainer.should_stop = True

    def _tell(self, learner: DetectorTask, row: dict[str, float], better: bool) -> None:
        text = f"epoch {row['epoch']:g}: loss {row['train loss']:.3f}"
        if "AP" in row:
            text += f", validation AP {row['AP']:.4f}, AP50 {row['AP50']:.4f}{' (best so far)' if better else ''}"
        self.progress.print(f"{text}; drawn {realised(self.record.drawn)}")
        if self.record.stopped and learner.step < learner.plan.steps:
            self.progress.print(f"stopped: no better for {count_of(self.record.stale, 'epoch')}")

    def _checkpoint(self, learner: DetectorTask, row: dict[str, float], **training: Any) -> Checkpoint:
        identity = self.identity
        return Checkpoint(
            spec=identity.spec,
            classes=identity.classes,
            weights={name: value.cpu() for name, value in learner.average.weights.items()},
            settings=identity.settings.to_json(),
            data=identity.data,
            frozen_norms=learner.frozen_norms,
            step=learner.step,
            score={name: value for name, value in row.items() if name.startswith("AP")},
            threshold=row.get("threshold"),
            training=training,
        )

    def _save_last(self, trainer: L.Trainer, learner: DetectorTask) -> None:
        self._saved = time.monotonic()
        if not trainer.is_global_zero:
            return
        row = self.record.rows[-1] if self.record.rows else {}
        training = {
            "weights": {name: value.cpu() for name, value in learner.model.state_dict().items()},
            "optimizer": trainer.optimizers[0].state_dict(),
            "average_steps": learner.average.steps,
            "record": {**vars(self.record), "drawn": dict(self.record.drawn)},
            "losses": {"sums": dict(self._sums), "steps": self._steps},
        }
        save_checkpoint(self._checkpoint(learner, row, **training), self.identity.settings.out / LAST)

    def restore(self, training: DetectorTraining) -> None:
        """Goes on from what the last checkpoint remembers."""
        record = training.record
        self.record = History(Counter(record.drawn), record.rows, record.best, record.stale, record.stopped)
        self._sums, self._steps = Counter(training.losses.sums), training.losses.steps


def training_state(checkpoint: Checkpoint, where: str) -> DetectorTraining:
    """What going on from a checkpoint needs. Raises SynthError where it lacks that, or it fits no network."""
    state = check_model(DetectorTraining, checkpoint.training, "the last checkpoint", where, NOT_RESUMABLE)
    check_weights(outline_detector(checkpoint.spec), state.weights, where, NOT_RESUMABLE)
    return state


def restore_learner(learner: DetectorTask, checkpoint: Checkpoint, training: DetectorTraining) -> None:
    """Puts weights, average, optimizer and step of a checkpoint into a new Learner."""
    learner.model.load_state_dict(training.weights)
    learner.average.load(checkpoint.weights, training.average_steps)
    learner.optimizer_state = training.optimizer
    learner.step = checkpoint.step
