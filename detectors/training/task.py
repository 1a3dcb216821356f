"""The interface of training tasks: everything specific to one kind of training, used by the shared loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypedDict

from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from assets.errors import SynthError
from detectors.checkpoints.fields import StateDict, TrainingState
from detectors.training.schedule import Schedule


class Process(NamedTuple):
    """One of the processes of a distributed training, each on its own device."""

    rank: int = 0
    world: int = 1


class ParamGroup(TypedDict):
    """Parameters of an optimizer with a weight decay of their own."""

    params: list[Tensor]
    weight_decay: float


class Saved(NamedTuple):
    """What the engine passes to `Task.save`. weights: averaged, on the CPU. row: of the last epoch, {} before its end.

    training: state needed to resume; empty in the best checkpoint.
    """

    weights: dict[str, Tensor]
    row: Mapping[str, float]
    step: int
    training: TrainingState


class Task(ABC):
    """One kind of training, run by `detectors.training.engine`.

    model: trained, averaged, validated and saved. extra: trained beside it and saved only to resume (class centers, a
    domain classifier). frozen_norms: batch norms of the model that keep their pretrained statistics. scores: names of
    validation scores; the first decides which epoch is the best. unit: what a batch consists of, for messages.

    Random numbers must depend on (seed, step, process) alone, so that resuming needs no generator state.
    """

    scores: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "images"
    # Whether the model is also validated before its first step.
    scores_untrained: ClassVar[bool] = False
    # Whether the model has parts that are fitted after the last step (`fit`).
    needs_fit: bool = False
    # Decay of the moving average; by default it grows with the steps.
    average_decay: float | None = None

    def __init__(self, model: nn.Module, schedule: Schedule, *, frozen_norms: Iterable[str] = ()) -> None:
        self.model, self.schedule = model, schedule
        self.extra: nn.Module = nn.ModuleDict()
        self.frozen_norms = tuple(frozen_norms)

    @abstractmethod
    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the losses of a batch on the device, by name; their sum is minimized."""

    @abstractmethod
    def batches(self, step: int, process: Process) -> Iterable[Any]:
        """Return the batches of one process from a step to the end of its epoch or later.

        An item may be a SynthError, which the engine raises.
        """

    @abstractmethod
    def optimizers(self) -> list[Optimizer]:
        """Create the optimizers with their peak learning rates."""

    @abstractmethod
    def step_seed(self, step: int, rank: int) -> int:
        """Return the random seed of a step."""

    @abstractmethod
    def save(self, saved: Saved, path: Path) -> None:
        """Write a checkpoint of the task's kind."""

    def read_weights(self, path: Path) -> dict[str, Tensor]:
        """Return the averaged weights of a checkpoint that `save` wrote."""
        raise NotImplementedError

    def fit(self, model: nn.Module, console: Console, stop: Callable[[], bool]) -> bool:
        """Fit the parts of an averaged model that are not learned in steps; returns False if asked to stop before."""
        raise NotImplementedError

    def use_average(self, weights: dict[str, Tensor]) -> None:  # noqa: B027 - most tasks need none
        """Take the moving average of the model's weights, which the engine changes in place after every step."""

    def train_mode(self) -> None:
        """Set training mode, except for frozen norms, whose statistics small batches would spoil."""
        self.model.train()
        self.extra.train()
        modules = dict(self.model.named_modules())
        for name in self.frozen_norms:
            modules[name].eval()
            modules[name].requires_grad_(False)

    def clipped(self, optimizers: list[Optimizer]) -> list[Tensor]:
        """Return the parameters whose gradients are clipped to a common norm."""
        return [weight for group in optimizers[0].param_groups for weight in group["params"]]

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Return the validation scores of the averaged model after `step` steps, {} without a validation set."""
        return {}

    def score_of(self, row: Mapping[str, float]) -> dict[str, float]:
        """Return the validation scores in the row of an epoch."""
        return {name: row[name] for name in self.scores if name in row}

    def note_step(self, batch: Any, step: int, process: Process) -> None:  # noqa: B027 - most tasks need none
        """Update statistics after a step. step: number of the step just done, from 0."""

    def end_epoch(self) -> None:  # noqa: B027 - most tasks need none
        """Prepare the next epoch, before validation."""

    def epoch_row(self) -> dict[str, float]:
        """Return additional values for the row of an epoch."""
        return {}

    def progress_note(self) -> str:
        """Return text for the line of progress."""
        return ""

    def epoch_note(self) -> str:
        """Return text to append to the line printed after an epoch."""
        return ""

    def state(self) -> StateDict:
        """Return the task's own state, of types that torch.load(weights_only=True) accepts."""
        return {}

    def restore(self, state: StateDict, where: str) -> None:  # noqa: B027 - most tasks need none
        """Restore the result of `state`. Raises SynthError if it is damaged. where: the file, for messages."""

    def explain_not_finite(self, batch: Any, losses: Mapping[str, float], step: int) -> SynthError:
        """Return the error for a loss that is not finite."""
        hint = "lower --learning-rate (by a factor of 3, say)"
        return SynthError("the loss is not finite", code="loss-not-finite", where=f"step {step}", hint=hint)


def decayed_groups(weights: Iterable[Tensor], weight_decay: float) -> list[ParamGroup]:
    """Group parameters for AdamW: norms and biases have no weight decay."""
    learned = list(weights)
    return [
        {"params": [weight for weight in learned if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in learned if weight.ndim <= 1], "weight_decay": 0.0},
    ]
