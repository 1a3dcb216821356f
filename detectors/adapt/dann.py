"""Domain-adversarial adaptation to unlabelled photos (Ganin and Lempitsky 2015, arXiv 1409.7495).

A small classifier learns to distinguish synthetic images from photos by the pooled features of the detector. Its
gradient is reversed before it reaches the backbone, which therefore learns features that are alike in both domains,
while it continues to learn detection from the labelled images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import SynthError
from assets.files.models import Count, FileModel, check_model
from assets.plurals import count_of
from dataset.problems import Problems
from detectors.adapt import AdaptSettings
from detectors.adapt.start import continued, load_start
from detectors.augment import preset
from detectors.checkpoints.fields import StateDict
from detectors.data.image_set import ImageSet
from detectors.data.photos import read_photos
from detectors.models import detector_module
from detectors.models.detect import network_input
from detectors.training.detector_task import DetectorParts, DetectorTask
from detectors.training.loader import InputSettings, PlannedBatches, TrainingImages, training_loader
from detectors.training.run import RATE_BATCH, run_training
from detectors.training.schedule import FINETUNE_RATE, Phase, Schedule
from detectors.training.summary import TrainSummary
from detectors.training.task import Process, decayed_groups

# Weight of the domain loss, as Chen et al. (2018) chose it for detectors.
WEIGHT = 0.1
# Rate at which the reversed gradient grows during the training, as published.
GROWTH = 10.0
HIDDEN = 128
# Learning rate of the classifier relative to the detector's, as published. A classifier that lags behind stays fooled,
# and features trained to fool it then move apart in the opposite direction.
CLASSIFIER_RATE = 10.0
# Added to the seed for photos, so that their order differs from that of the labelled images.
PHOTO_SEED = 1 << 20


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos to adapt to, or no labelled images to train on."""
    if settings.unlabelled is None:
        raise SynthError("no photos to adapt to", code="option-missing", hint="give --unlabelled FOLDER")
    if not settings.data.synthetic and settings.data.real is None:
        raise SynthError("no labelled images to train on", code="option-missing", hint="--synthetic")


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Continue training from the run's averaged weights on labelled images, and align the features of the photos."""
    assert settings.unlabelled is not None
    start = load_start(settings, console)
    problems = Problems(str(settings.unlabelled))
    photos = read_photos(settings.unlabelled, "unlabelled", problems, start.classes)
    for line in problems.lines():
        console.print(line, highlight=False, markup=False)
    console.print(f"aligning with {count_of(len(photos), 'photo')} without labels", highlight=False)
    base = detector_module(start.spec.detector).LEARNING_RATE * math.sqrt(settings.batch / RATE_BATCH)
    training = continued(settings, start, learning_rate=settings.learning_rate or FINETUNE_RATE * base)
    return run_training(training, console, start=start, make_task=partial(DannTask, photos=photos))


class _Reverse(torch.autograd.Function):
    """Identity in the forward pass; multiplies the gradient by a negative factor in the backward pass."""

    @staticmethod
    def forward(context: Any, values: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.factor * gradients[0], None


class DomainFields(FileModel):
    """State of the task. right, seen: images of this epoch classified correctly, and in all. photos: their number."""

    right: Count
    seen: Count
    photos: Count


class DannTask(DetectorTask):
    """Training of a detector on labelled images and unlabelled photos. extra: the domain classifier."""

    def __init__(
        self, model: nn.Module, parts: DetectorParts, *, frozen_norms: Iterable[str] = (), photos: ImageSet
    ) -> None:
        # Frozen, because batch statistics would hide the domain shift during training but not afterwards.
        norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]
        super().__init__(model, parts, frozen_norms=dict.fromkeys((*frozen_norms, *norms)))
        self.photos = photos
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(parts.settings.seed)
            image = torch.zeros(1, 3, parts.spec.height, parts.spec.width)
            width = pooled(model.eval().features(image)).shape[1]
            self.extra = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
        self._right = self._seen = 0

    def batches(self, step: int, process: Process) -> Iterator[Any]:
        """Yield pairs of a labelled batch and a batch of as many photos."""
        spec, settings, schedule = self.parts.spec, self.parts.settings, self.schedule
        photo_schedule = Schedule(
            (Phase("photos", schedule.steps, (1.0,)),),
            (len(self.photos),),
            schedule.samples,
            schedule.steps_per_epoch,
            schedule.seed + PHOTO_SEED,
        )
        inputs = InputSettings(spec.width, spec.height, preset(settings.augment), masks=False, seed=photo_schedule.seed)
        planned = PlannedBatches(
            photo_schedule,
            batch=settings.batch // process.world,
            start_step=step,
            rank=process.rank,
            world=process.world,
        )
        photos = training_loader(
            TrainingImages((self.photos,), photo_schedule, inputs), planned, workers=self.parts.workers, pin=False
        )
        for labelled, unlabelled in zip(super().batches(step, process), photos, strict=True):
            errors = [batch for batch in (labelled, unlabelled) if isinstance(batch, SynthError)]
            yield errors[0] if errors else (labelled, unlabelled)

    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the losses of the detector and of the domain classifier."""
        losses = super().losses(batch[0], step)
        both = [pooled(self.model.features(network_input(one.images))) for one in batch]
        points = _Reverse.apply(torch.cat(both), reversal(step, self.schedule.steps))
        logits = self.extra(points)[:, 0]
        domains = torch.cat([torch.zeros(len(both[0])), torch.ones(len(both[1]))]).to(logits.device)
        self._right += int(((logits > 0) == (domains > 0)).sum())
        self._seen += len(domains)
        return {**losses, "domain": WEIGHT * functional.binary_cross_entropy_with_logits(logits.float(), domains)}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Create AdamW with a higher learning rate for the domain classifier."""
        rate, decay = self.parts.rate, self.parts.settings.weight_decay
        learned = decayed_groups([weight for weight in self.model.parameters() if weight.requires_grad], decay)
        fast = [{**group, "lr": CLASSIFIER_RATE * rate} for group in decayed_groups(self.extra.parameters(), decay)]
        return [torch.optim.AdamW([*learned, *fast], lr=rate)]

    def note_step(self, batch: Any, step: int, process: Process) -> None:
        """Count labelled samples by source."""
        super().note_step(batch[0], step, process)

    def epoch_row(self) -> dict[str, float]:
        """Also return the accuracy of the classifier in this epoch: 0.5 if it cannot distinguish the domains."""
        row = {**super().epoch_row(), "domain accuracy": self._right / max(self._seen, 1)}
        self._right = self._seen = 0
        return row

    def state(self) -> StateDict:
        """Also return the classifier's counts and the number of photos."""
        return {**super().state(), "domain": {"right": self._right, "seen": self._seen, "photos": len(self.photos)}}

    def restore(self, state: StateDict, where: str) -> None:
        """Restore the result of `state`. Raises SynthError if the number of photos has changed."""
        super().restore(state, where)
        fields = check_model(DomainFields, state.get("domain"), "the last checkpoint", where)
        self._right, self._seen, photos = fields.right, fields.seen, fields.photos
        if photos != len(self.photos):
            raise SynthError(
                "the photos have changed since the run was started",
                code="data-changed",
                where=where,
                found=count_of(len(self.photos), "photo"),
                expected=count_of(photos, "photo"),
                hint="give another --out to start again",
            )

    def explain_not_finite(self, batch: Any, losses: Mapping[str, float], step: int) -> SynthError:
        """Save the labelled batch, and return an error that lists its images."""
        return super().explain_not_finite(batch[0], losses, step)


def pooled(maps: list[Tensor]) -> Tensor:
    """Return (B, C) the spatial means of all feature maps, concatenated."""
    return torch.cat([one.float().mean(dim=(2, 3)) for one in maps], 1)


def reversal(step: int, steps: int) -> float:
    """Return the factor of the reversed gradient: 0 at first, while the classifier is untrained, near 1 at the end."""
    return 2 / (1 + math.exp(-GROWTH * step / max(steps, 1))) - 1
