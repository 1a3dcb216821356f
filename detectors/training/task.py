"""One step of learning, as Lightning wants it: losses, rate, moving average, and a check that all of it is finite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from assets.errors import SynthError
from detectors.checkpoints.optimizer_state import load_optimizer_state
from detectors.data.mix import TrainingStream, stream
from detectors.data.sample import FIRST_LABEL
from detectors.data.source import ImageSource
from detectors.models.detect import network_input
from detectors.training.ema import MovingAverage
from detectors.training.loader import Batch
from detectors.training.schedule import Schedule

SPOILED_BATCH = "spoiled_batch.pt"


class DetectorTask(L.LightningModule):
    """A torchvision detector under training. step: counted over interruptions; frozen_norms: names of batch norms.

    Every step's chance (which proposals are sampled, dropout) comes from (seed, step, process): going on after an
    interruption needs no state of generators.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Schedule,
        sources: Sequence[ImageSource],
        *,
        learning_rate: float,
        weight_decay: float,
        frozen_norms: Sequence[str] = (),
        freeze_backbone: bool = False,
        out: Path,
    ) -> None:
        super().__init__()
        self.model, self.plan, self.sources, self.out = model, plan, tuple(sources), out
        self.rate, self.weight_decay = learning_rate, weight_decay
        self.frozen_norms = tuple(frozen_norms)
        self.step = 0
        self.average = MovingAverage(model)
        self.optimizer_state: dict[str, Any] | None = None
        self.losses: dict[str, float] = {}
        if freeze_backbone:
            model.backbone.requires_grad_(False)
        # Now, not with the first step: processes that learn together are told once which weights are learned.
        self.train()

    def train(self, mode: bool = True) -> DetectorTask:
        """As torch's, but pretrained batch norms keep their statistics: a batch of few pictures would spoil them."""
        super().train(mode)
        modules = dict(self.model.named_modules())
        for name in self.frozen_norms:
            modules[name].eval()
            modules[name].requires_grad_(False)
        return self

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW (Loshchilov and Hutter 2019); norms and biases are not decayed."""
        self.train()
        learned = [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]
        groups = [
            {"params": [weight for _, weight in learned if weight.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [weight for _, weight in learned if weight.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.rate)
        if self.optimizer_state is not None:
            load_optimizer_state(optimizer, self.optimizer_state, str(self.out))
            self.optimizer_state = None
        return optimizer

    def on_train_batch_start(self, batch: Batch | SynthError, batch_idx: int) -> None:
        """The step's own chance and rate."""
        if isinstance(batch, SynthError):
            raise batch
        seed = int(stream(self.plan.seed, TrainingStream.STEP, self.step, self.global_rank).integers(2**62))
        torch.manual_seed(seed)
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.rate * self.plan.rate_at(self.step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the detector's losses."""
        losses = self.model(network_input(batch.images), batch.targets)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        self.losses = {name: float(loss.detach()) for name, loss in losses.items()}
        self.losses["loss"] = float(total.detach())
        if not np.isfinite(self.losses["loss"]):
            raise self._spoiled(batch)
        return total

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """One step, and its weights into the average."""
        optimizer.step(closure=optimizer_closure)
        self.step += 1
        self.average.update(self.model)

    def _spoiled(self, batch: Batch) -> SynthError:
        """Saves the batch whose loss is not finite and names its pictures and smallest boxes."""
        path = self.out / SPOILED_BATCH
        torch.save(
            {
                "images": batch.images.cpu(),
                "targets": [{name: value.cpu() for name, value in target.items()} for target in batch.targets],
                "draws": [tuple(draw) for draw in batch.draws],
                "losses": self.losses,
            },
            path,
        )
        problems = [self._portrait(draw, target) for draw, target in zip(batch.draws, batch.targets, strict=True)]
        broken = ", ".join(f"{name} {value}" for name, value in self.losses.items() if not np.isfinite(value))
        return SynthError(
            "the loss is not finite",
            code="loss-not-finite",
            where=f"step {self.step}; the batch is kept in {path}",
            found=broken,
            problems=problems,
            hint="lower --learning-rate (by a factor of 3, say); if it happens at once, look at the boxes below",
        )

    def _portrait(self, draw: Any, target: dict[str, Tensor]) -> str:
        images = self.sources[draw.source]
        boxes = target["boxes"].float().cpu().numpy()
        text = f"{images.locate(draw.image)}: {len(boxes)} boxes"
        if len(boxes):
            sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
            least = int(np.argmin(sides))
            name = images.classes.keys[int(target["labels"][least]) - FIRST_LABEL]
            text += f", the narrowest {name} {np.round(boxes[least], 1).tolist()} of {sides[least]:.1f} px"
        return text
