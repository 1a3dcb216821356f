"""Training of a translator without pairs: a critic that compares with photographs, and patches that stay recognizable.

Park, Efros, Zhang and Zhu, "Contrastive learning for unpaired image-to-image translation", ECCV 2020. Of each of N
places of a translated picture the same place of its original has to be found among the others:
-log exp(v v+ / T) / (exp(v v+ / T) + sum exp(v v- / T)). Photographs are translated as well and have to stay as they
are. The critic learns by least squares (Mao et al. 2017). Both sides take a step at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import SynthError
from detectors.checkpoints.fields import StateDict
from detectors.training.schedule import Phase, Schedule
from detectors.training.task import Process, Saved, Task
from detectors.translate.checkpoint import TranslatorCheckpoint, save_translator
from detectors.translate.crops import CropPairs, crop_batches, scaled
from detectors.translate.networks import Critic, PatchHeads, Translator
from detectors.translate.settings import TranslatorRun

PATCHES, TEMPERATURE = 128, 0.07
BETAS = (0.5, 0.999)
STEPS_PER_EPOCH = 200


class TranslationTask(Task):
    """The training of a translator. extra: the critic and the heads that compare patches."""

    unit: ClassVar[str] = "crops"

    def __init__(self, model: Translator, run: TranslatorRun, pairs: CropPairs) -> None:
        own = run.settings
        phases = (Phase("train", own.steps, (1.0,)),)
        schedule = Schedule(phases, (pairs.rendered.count,), own.batch, min(STEPS_PER_EPOCH, own.steps), run.seed)
        super().__init__(model, schedule)
        self.run, self.pairs = run, pairs
        self.critic, self.heads = Critic(own.width), PatchHeads(model.channels())
        self.extra = nn.ModuleDict({"critic": self.critic, "heads": self.heads})

    def losses(self, batch: tuple[Tensor, Tensor], step: int) -> dict[str, Tensor]:
        """Return the losses of both sides; neither reaches the weights of the other."""
        rendered, photos = (scaled(crops) for crops in batch)
        translated, same = self.model(torch.cat([rendered, photos])).chunk(2)
        weight = self.run.settings.content
        return {
            "critic": 0.5 * (_squares(self.critic(photos), 1.0) + _squares(self.critic(translated.detach()), 0.0)),
            "photographic": _squares(_frozen(self.critic, translated), 1.0),
            "content": 0.5 * weight * self._contrast(rendered, translated),
            "identity": 0.5 * weight * self._contrast(photos, same),
        }

    def _contrast(self, before: Tensor, after: Tensor) -> Tensor:
        """Return how hard places of a picture are to find in its translation."""
        model: Any = self.model
        now = model.features(after)
        places = [torch.randperm(one[0, 0].numel(), device=one.device)[:PATCHES] for one in now]
        with torch.no_grad():  # what is looked for stays where it is
            wanted = self.heads(model.features(before), places)
        losses = []
        for own, other in zip(self.heads(now, places), wanted, strict=True):
            likeness = own @ other.transpose(1, 2) / TEMPERATURE
            right = torch.arange(likeness.shape[1], device=likeness.device).expand(len(likeness), -1)
            losses.append(functional.cross_entropy(likeness.flatten(0, 1), right.flatten()))
        return torch.stack(losses).mean()

    def batches(self, step: int, process: Process) -> Iterable[Any]:
        """Return the batches of the rest of the training."""
        return crop_batches(self.pairs, self.run.settings.batch, step, self.schedule.steps)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Create Adam for the translator with its heads, and for the critic."""
        rate = self.run.settings.learning_rate
        translating = [*self.model.parameters(), *self.heads.parameters()]
        return [
            torch.optim.Adam(translating, lr=rate, betas=BETAS),
            torch.optim.Adam(self.critic.parameters(), lr=rate, betas=BETAS),
        ]

    def step_seed(self, step: int, rank: int) -> int:
        """Return the random seed of a step, for the places of patches."""
        return (self.run.seed * 1_000_003 + step) % 2**63

    def save(self, saved: Saved, path: Path) -> None:
        """Write a checkpoint of the translator."""
        checkpoint = TranslatorCheckpoint(
            spec=self.run.spec(),
            weights=saved.weights,
            settings=self.run.recorded(),
            data=dict(self.run.data),
            step=saved.step,
            training=saved.training,
        )
        save_translator(checkpoint, path)

    def state(self) -> StateDict:
        """Return nothing: all is in the networks."""
        return {}

    def explain_not_finite(self, batch: Any, losses: Mapping[str, float], step: int) -> SynthError:
        """Return the error for a loss that is not finite."""
        hint = "lower --learning-rate (by a factor of 3, say)"
        return SynthError("the loss is not finite", code="loss-not-finite", where=f"step {step}", hint=hint)


def _squares(scores: Tensor, wanted: float) -> Tensor:
    return ((scores.float() - wanted) ** 2).mean()


def _frozen(critic: nn.Module, images: Tensor) -> Tensor:
    """Return the critic's scores with gradients for the images, and none for its weights."""
    weights = {name: value.detach() for name, value in critic.named_parameters()}
    scores: Tensor = torch.func.functional_call(critic, weights, (images,))
    return scores
