"""One step of metric learning: network by AdamW, class centres by sparse Adam, moving average, finite losses."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from assets.errors import SynthError
from detectors.checkpoints.fields import EmbedderTraining
from detectors.checkpoints.network_weights import check_weights
from detectors.checkpoints.optimizer_state import load_optimizer_state
from detectors.recognition.embedder.load import normalise
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet
from detectors.recognition.embedder.sampling import EmbedderStream, stream
from detectors.recognition.embedder.settings import EmbedSettings
from detectors.training.ema import MovingAverage
from detectors.training.schedule import Schedule

RATE_BATCH = 128


class EmbedderTask:
    """An embedder under training. step: counted over interruptions. losses: of the last step.

    Every step's chance comes from (seed, step): going on after an interruption needs no state of generators.
    frozen_norms: names of batch norms that keep the statistics they came with.
    """

    def __init__(
        self,
        net: EmbeddingNet,
        loss: nn.Module,
        spec: EmbedderSpec,
        settings: EmbedSettings,
        plan: Schedule,
        device: torch.device,
        *,
        frozen_norms: tuple[str, ...] = (),
    ) -> None:
        self.net, self.loss = net.to(device, memory_format=torch.channels_last), loss.to(device)
        self.settings, self.plan, self.device, self.frozen_norms = settings, plan, device, frozen_norms
        self.step = 0
        self.average = MovingAverage(net)
        self.value = math.nan
        self._mean, self._std = (torch.tensor(rows, device=device).view(1, 3, 1, 1) for rows in (spec.mean, spec.std))
        self.train_mode()
        self.rate = settings.learning_rate * math.sqrt(settings.batch / RATE_BATCH)
        self.optimizers = self._make_optimizers()
        self._base = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    def train_mode(self) -> None:
        """As torch's, but pretrained batch norms keep their statistics: those of a million photographs are better."""
        self.net.train()
        modules = dict(self.net.named_modules())
        for name in self.frozen_norms:
            modules[name].eval()
            modules[name].requires_grad_(False)

    def _make_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW (Loshchilov and Hutter 2019) for what has dense gradients, Adam on the rows used for centres."""
        dense = [weight for weight in self.net.parameters() if weight.requires_grad]
        centres = [weight for name, weight in self.loss.named_parameters() if name == "table"]
        dense += [weight for name, weight in self.loss.named_parameters() if name != "table"]
        groups = [
            {"params": [weight for weight in dense if weight.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [weight for weight in dense if weight.ndim <= 1], "weight_decay": 0.0},
        ]
        made: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=self.rate)]
        if centres:
            made.append(torch.optim.SparseAdam(centres, lr=self.rate * self.settings.centre_rate))
        return made

    def learn(self, squares: Tensor, labels: Tensor) -> None:
        """One step on (B, S, S, 3) uint8 crops of (B,) classes. Raises SynthError where the loss is not finite."""
        seed = self.settings.seed
        torch.manual_seed(int(stream(seed, EmbedderStream.STEP, self.step).integers(2**62)))
        self._set_rates()
        images = normalise(squares.to(self.device), self._mean, self._std)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            points = self.net.points(images.contiguous(memory_format=torch.channels_last))
        rng = stream(seed, EmbedderStream.NEGATIVES, self.step)
        loss = self.loss(points.float(), labels.to(self.device), rng=rng)
        self.value = float(loss.detach())
        if not math.isfinite(self.value):
            hint = "lower --learning-rate (by a factor of 3, say)"
            raise SynthError("the loss is not finite", code="loss-not-finite", where=f"step {self.step}", hint=hint)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.average.update(self.net)

    def _set_rates(self) -> None:
        factor = self.plan.rate_at(self.step)
        for optimizer, bases in zip(self.optimizers, self._base, strict=True):
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = base * factor

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, on the CPU."""
        return {
            "weights": {name: value.cpu() for name, value in self.net.state_dict().items()},
            "loss": {name: value.cpu() for name, value in self.loss.state_dict().items()},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average_steps": self.average.steps,
            "frozen_norms": list(self.frozen_norms),
        }

    def restore(self, training: EmbedderTraining, average: dict[str, Tensor], step: int, where: str) -> None:
        """Goes on from an earlier state. Raises SynthError where it does not belong to this loss and its optimizers."""
        check_weights(self.loss.state_dict(), training.loss, where, "give another --out to start again")
        self.net.load_state_dict(training.weights)
        self.loss.load_state_dict(training.loss)
        if len(training.optimizers) != len(self.optimizers):
            raise SynthError("the optimizer state is invalid", code="checkpoint-damaged", where=where)
        for optimizer, state in zip(self.optimizers, training.optimizers, strict=True):
            load_optimizer_state(optimizer, state, where)
        self.average.load(average, training.average_steps)
        self.step = step
