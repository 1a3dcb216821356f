"""The training loop of all tasks: steps, moving average, validation, checkpoints, early stop, exact resume."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor, nn

from assets.errors import SynthError
from assets.files.models import check_model
from assets.interrupt import stop_on_signals
from assets.plurals import count_of
from assets.progress import StepProgress
from detectors.checkpoints.detector import BEST, LAST
from detectors.checkpoints.fields import TrainingFields, TrainingState
from detectors.checkpoints.network_weights import check_weights
from detectors.checkpoints.optimizer_state import load_optimizer_state
from detectors.device import is_first_process, pick_device
from detectors.training.ema import MovingAverage
from detectors.training.guards import SAVE_KEPT, explain_out_of_memory, quiet_lightning
from detectors.training.history import History, plot_curves
from detectors.training.run_folder import RunLogs, TrainingRunSettings
from detectors.training.task import Process, Saved, Task

SECONDS_BETWEEN_SAVES = 900.0
# Validation of many images takes minutes, in which a process that is told to end is killed: so much it may lose.
SECONDS_LOST_BY_VALIDATION = 60.0
STEPS_BETWEEN_LOGS = 10
NOT_RESUMABLE = "it is damaged or was edited: give another --out to start again"


class EngineSettings(TrainingRunSettings, Protocol):
    """The settings that the engine uses."""

    @property
    def batch(self) -> int: ...
    @property
    def clip_norm(self) -> float: ...
    @property
    def patience(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def devices(self) -> int: ...


class Earlier(Protocol):
    """A checkpoint of any kind to resume from."""

    @property
    def weights(self) -> dict[str, Tensor]: ...
    @property
    def step(self) -> int: ...
    @property
    def training(self) -> TrainingState: ...


@dataclass
class Pace:
    """Training time in seconds, the part of it spent waiting for batches, and the number of samples."""

    waited: float = 0.0
    worked: float = 0.0
    samples: int = 0

    @property
    def waiting(self) -> float:
        """Fraction of the training time spent waiting for batches."""
        return self.waited / self.worked if self.worked else 0.0


class _Learning(nn.Module):
    """The model and the task's extra modules as one module, so that DDP synchronises the gradients of both."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model, self.extra = task.model, task.extra
        self._losses = task.losses

    def forward(self, batch: Any, step: int) -> dict[str, Tensor]:
        return self._losses(batch, step)


def open_fabric(settings: EngineSettings) -> Fabric:
    """Set up the devices; for each device after the first, start a process that runs the same command silently."""
    gpu = pick_device(settings.device).type == "cuda"
    with quiet_lightning():
        fabric = Fabric(
            accelerator="gpu" if gpu else "cpu",
            devices=settings.devices,
            strategy="ddp" if settings.devices > 1 else "auto",
            precision="bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true",
        )
        fabric.launch()
    return fabric


class Engine:
    """The training of a task. step: steps done, also before a resume. earlier: checkpoint to resume from."""

    def __init__(self, task: Task, settings: EngineSettings, fabric: Fabric, earlier: Earlier | None = None) -> None:
        self.task, self.settings, self.fabric = task, settings, fabric
        self.process = Process(fabric.global_rank, fabric.world_size)
        self.step, self.history, self.pace = 0, History(), Pace()
        task.model.to(fabric.device)
        task.extra.to(fabric.device)
        self.average = MovingAverage(task.model)
        state = self._restore(earlier) if earlier is not None else None
        task.use_average(self.average.weights)
        task.train_mode()
        self.optimizers = task.optimizers()
        if state is not None:
            self._restore_optimizers(state)
        self._base = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        if self.step:
            # As they were saved: what follows may be no step but another checkpoint.
            self._set_rates(self.optimizers, self.step - 1)
        self._averaged: nn.Module | None = None
        self._saved = self._ended = time.monotonic()
        self._stop: Callable[[], bool] = lambda: False

    @property
    def ended(self) -> bool:
        """Whether everything is done: all steps, and the fitting after them."""
        return self._trained and (self.history.fitted is not None or not self.task.needs_fit)

    @property
    def _trained(self) -> bool:
        """Whether the steps are complete or stopped early, and all epochs have their row."""
        return self.history.stopped or (self.step >= self.task.schedule.steps and not self._lacks_row)

    @property
    def _at_epoch_end(self) -> bool:
        schedule = self.task.schedule
        return self.step > 0 and (self.step % schedule.steps_per_epoch == 0 or self.step == schedule.steps)

    @property
    def _lacks_row(self) -> bool:
        """Whether an epoch is over and not validated: a checkpoint was saved between."""
        rows = self.history.rows
        return self._at_epoch_end and not (rows and rows[-1].get("step") == self.step)

    def run(self, console: Console, size: tuple[int, int]) -> None:
        """Train to the end, or until a signal asks to stop. size: width and height of the input, for messages."""
        total, samples = self.task.schedule.steps, self.task.schedule.samples
        self._logs = RunLogs(self.settings.out) if self.fabric.is_global_zero else None
        self._progress = StepProgress(
            console, "training", total=total * samples, done=self.step * samples, unit=self.task.unit
        )
        self._ended = time.monotonic()
        with (
            stop_on_signals(SAVE_KEPT, step="this step" if is_first_process() else "") as self._stop,
            quiet_lightning(),
            explain_out_of_memory(self.settings.batch, *size),
        ):
            with self._progress:
                self._train_all()
            if self._trained and not self.ended:
                self._fit(console)

    def _train_all(self) -> None:
        """Train to the end, or until asked to stop."""
        learning, *wrapped = self.fabric.setup(_Learning(self.task), *self.optimizers)
        if self._lacks_row or (self.task.scores_untrained and not self.history.rows):
            self._end_epoch()
        while not self._trained and self._train(learning, wrapped, self.task.batches(self.step, self.process)):
            pass

    def _train(self, learning: nn.Module, wrapped: list[Any], batches: Iterable[Any]) -> bool:
        """Train on some batches; returns whether to continue with more."""
        first = True
        for batch in batches:
            if isinstance(batch, SynthError):
                raise batch
            began = time.monotonic()
            self._make_step(learning, wrapped, batch)
            self._measure(began, first=first)
            first = False
            self._after_step()
            if self._trained:
                return False
            if self._asked_to_stop():
                self._save_last()
                return False
        return True

    def _make_step(self, learning: nn.Module, wrapped: list[Any], batch: Any) -> None:
        torch.manual_seed(self.task.step_seed(self.step, self.process.rank))
        self._set_rates(wrapped, self.step)
        for optimizer in wrapped:
            optimizer.zero_grad(set_to_none=True)
        batch = self.fabric.to_device(batch)
        losses = learning(batch, self.step)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        self.losses = {name: float(loss.detach()) for name, loss in losses.items()} | {"loss": float(total.detach())}
        if not math.isfinite(self.losses["loss"]):
            raise self.task.explain_not_finite(batch, self.losses, self.step)
        self.fabric.backward(total)
        nn.utils.clip_grad_norm_(self.task.clipped(self.optimizers), self.settings.clip_norm)
        for optimizer in wrapped:
            optimizer.step()
        self.average.update(self.task.model, self.task.average_decay)
        self.task.note_step(batch, self.step, self.process)
        self.step += 1

    def _set_rates(self, optimizers: list[Any], step: int) -> None:
        factor = self.task.schedule.rate_at(step)
        for optimizer, bases in zip(optimizers, self._base, strict=True):
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = base * factor

    def _measure(self, began: float, *, first: bool) -> None:
        ended = time.monotonic()
        # Not counted for the first batch, which waits for the loader to start.
        if not first:
            self.pace.waited += began - self._ended
            self.pace.worked += ended - self._ended
            self.pace.samples += self.task.schedule.samples
        seconds, self._ended = ended - self._ended, ended
        phase, _ = self.task.schedule.phase_at(self.step - 1)
        last = self.history.rows[-1] if self.history.rows else {}
        score = "".join(f", {name} {last[name]:.3f}" for name in self.task.scores[:1] if name in last)
        words = f"{phase.name}, loss {self.losses['loss']:.3f}, waiting {self.pace.waiting:.0%}{score}"
        words += self.task.progress_note()
        self._progress.advance(words, count=self.task.schedule.samples, seconds=seconds)

    def _after_step(self) -> None:
        schedule = self.task.schedule
        self.history.add_losses(self.losses)
        if self._logs and (self.step % STEPS_BETWEEN_LOGS == 0 or self.step == schedule.steps):
            values = {f"train/{name}": value for name, value in self.losses.items()}
            rate = self.optimizers[0].param_groups[0]["lr"]
            self._logs.write({**values, "train/rate": rate, "train/waiting": self.pace.waiting}, self.step)
        if self._at_epoch_end:
            self.task.end_epoch()
            if self._ended - self._saved > SECONDS_LOST_BY_VALIDATION:
                self._save_last()
            self._end_epoch()
        elif self._ended - self._saved > SECONDS_BETWEEN_SAVES:
            self._save_last()
        self._ended = time.monotonic()

    def _asked_to_stop(self) -> bool:
        """Return whether any of the processes was asked to stop."""
        asked = self._stop()
        if self.process.world == 1:
            return asked
        asks = self.fabric.all_reduce(torch.tensor(float(asked), device=self.fabric.device), reduce_op="sum")
        return bool(torch.as_tensor(asks) > 0)

    def _end_epoch(self) -> None:
        row = {"epoch": self.step / self.task.schedule.steps_per_epoch, "step": float(self.step)}
        row |= self.history.take_losses() | self.task.epoch_row()
        if self.fabric.is_global_zero:
            row |= self.task.validate(self._averaged_model(), self.step)
        row = self.fabric.broadcast(row)
        self.history.rows.append(row)
        better = self._judge(row)
        if better and self.fabric.is_global_zero:
            self.task.save(Saved(self._weights(), row, self.step, {}), self.settings.out / BEST)
        self._save_last()
        if self._logs:
            self._report(row, better)
        self.fabric.barrier("epoch")

    def _fit(self, console: Console) -> None:
        """Fit the best weights after the last step, and save them with what was fitted, unless asked to stop.

        Killed before the last checkpoint says so, all of it is done again from the same weights.
        """
        row: dict[str, float] = {}
        if self.fabric.is_global_zero:
            path, model = self.settings.out / BEST, self._averaged_model()
            model.load_state_dict(self.task.read_weights(path))
            if self.task.fit(model, console, self._stop):
                best = self.history.best_row(self.task.scores[0])
                row = best | self.task.validate(model.eval(), int(best["step"]))
                self.task.save(Saved(on_cpu(model.state_dict()), row, int(best["step"]), {}), path)
                changes = [
                    f"{name} {row[name]:.4f} (before {best[name]:.4f})" for name in self.task.scores if name in row
                ]
                if changes:
                    console.print(f"fitted: validation {', '.join(changes)}", highlight=False)
        self.history.fitted = self.fabric.broadcast(row) or None
        if self.history.fitted is not None:
            self._save_last()
        self.fabric.barrier("fit")

    def _averaged_model(self) -> nn.Module:
        """Return a second network with the averaged weights, in evaluation mode."""
        if self._averaged is None:
            self._averaged = copy.deepcopy(self.task.model)
        self._averaged.load_state_dict(self.average.weights)
        return self._averaged.eval()

    def _judge(self, row: dict[str, float]) -> bool:
        """Return whether an epoch is the best so far, and stop the training if it has not improved for too long."""
        history, schedule = self.history, self.task.schedule
        scored = bool(self.task.scores) and self.task.scores[0] in row
        score = row[self.task.scores[0]] if scored else float(self.step)
        better = score > history.best
        history.stale = 0 if better else history.stale + 1
        history.best = max(score, history.best)
        # Only the last phase may stop early: it builds on the phases before it.
        phase = schedule.phase_at(self.step)[0]
        if schedule.phase_at(self.step - 1)[0] is not phase:
            history.stale = 0
        history.stopped = phase is schedule.phases[-1] and scored and history.stale >= self.settings.patience
        return better

    def _report(self, row: dict[str, float], better: bool) -> None:
        assert self._logs is not None
        self._logs.write({name.replace(" ", "/"): value for name, value in row.items()}, self.step, flush=True)
        plot_curves(self.history.rows, self.settings.out / "curves.png", scores=self.task.scores)
        text = f"epoch {row['epoch']:g}" + (f": loss {row['train loss']:.3f}" if "train loss" in row else "")
        shown = [f"{name} {row[name]:.4f}" for name in self.task.scores if name in row]
        if shown:
            text += f", validation {', '.join(shown)}{' (best so far)' if better else ''}"
        self._progress.print(text + self.task.epoch_note())
        if self.history.stopped and self.step < self.task.schedule.steps:
            self._progress.print(f"stopped: no improvement for {count_of(self.history.stale, 'epoch')}")

    def _weights(self) -> dict[str, Tensor]:
        return on_cpu(self.average.weights)

    def _save_last(self) -> None:
        """Save a checkpoint with everything needed to resume."""
        self._saved = time.monotonic()
        if not self.fabric.is_global_zero:
            return
        history = self.history
        training: TrainingState = {
            "weights": on_cpu(self.task.model.state_dict()),
            "extra": on_cpu(self.task.extra.state_dict()),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average_steps": self.average.steps,
            "record": {
                "rows": history.rows,
                "best": history.best,
                "stale": history.stale,
                "stopped": history.stopped,
                "fitted": history.fitted,
            },
            "losses": {"sums": dict(history.sums), "steps": history.steps},
            "task": self.task.state(),
        }
        row = history.rows[-1] if history.rows else {}
        self.task.save(Saved(self._weights(), row, self.step, training), self.settings.out / LAST)

    def _restore(self, earlier: Earlier) -> TrainingFields:
        """Restore all but the optimizers from a checkpoint. Raises SynthError if it is damaged or does not fit."""
        where = str(self.settings.out / LAST)
        state = check_model(TrainingFields, earlier.training, "the last checkpoint", where, NOT_RESUMABLE)
        check_weights(self.task.model.state_dict(), state.weights, where, NOT_RESUMABLE)
        check_weights(self.task.extra.state_dict(), state.extra, where, NOT_RESUMABLE)
        self.task.model.load_state_dict(state.weights)
        self.task.extra.load_state_dict(state.extra)
        self.task.restore(state.task, where)
        self.average.load(earlier.weights, state.average_steps)
        record, losses = state.record, state.losses
        self.history = History(
            record.rows,
            record.best,
            record.stale,
            record.stopped,
            record.fitted,
            Counter(losses.sums),
            losses.steps,
        )
        self.step = earlier.step
        return state

    def _restore_optimizers(self, state: TrainingFields) -> None:
        where = str(self.settings.out / LAST)
        if len(state.optimizers) != len(self.optimizers):
            raise SynthError(
                "the optimizer state is invalid", code="checkpoint-damaged", where=where, hint=NOT_RESUMABLE
            )
        for optimizer, one in zip(self.optimizers, state.optimizers, strict=True):
            load_optimizer_state(optimizer, one, where)


def on_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a network on the CPU."""
    return {name: value.cpu() for name, value in weights.items()}
