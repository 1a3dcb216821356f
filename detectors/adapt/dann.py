"""Domain-adversarial adaptation to unlabelled photos, of images and instances (Ganin and Lempitsky 2015; unstable).

Small classifiers learn to distinguish synthetic images from photos (arXiv 1409.7495) by the pooled features of the
image, and by those inside boxes (Chen et al. 2018, arXiv 1803.03243). Their gradient is reversed before it reaches the
backbone, which therefore learns features that are alike in both domains, while it continues to learn detection.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from assets.files.models import Count, FileModel, check_model
from detectors.adapt import AdaptSettings
from detectors.adapt.features import feature_width, pooled, pooled_boxes
from detectors.adapt.options import MethodOptions
from detectors.adapt.start import check_labels, check_photos
from detectors.adapt.task import Pair, PairedTask, adapt_in_pairs
from detectors.checkpoints.fields import StateDict
from detectors.data.image_set import ImageSet
from detectors.models.detect import network_input
from detectors.training.detector_task import DetectorParts
from detectors.training.summary import TrainSummary
from detectors.training.task import decayed_groups

# Rate at which the reversed gradient grows during the training, as published.
GROWTH = 10.0
HIDDEN = 128
# Learning rate of the classifiers relative to the detector's, as published. A classifier that lags behind stays fooled,
# and features trained to fool it then move apart in the opposite direction.
CLASSIFIER_RATE = 10.0
# Detections of a photo whose features are compared, the best ones.
MAX_INSTANCES = 32
UNSTABLE = "domain-adversarial training is unstable alone: compare with --judge, and watch 'domain accuracy'"


class DannOptions(MethodOptions):
    """Options of the method."""

    weight: float = Field(0.1, gt=0, le=10, description="Weight of the domain losses, as Chen et al. chose it.")
    instances: bool = Field(True, description="Also align the features of products, not only of whole images.")
    consistency: bool = Field(True, description="Images and products in them must be taken for the same domain.")
    score: float = Field(0.3, ge=0, lt=1, description="Score from which a detection in a photo counts as an instance.")


Options = DannOptions


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos to adapt to, or no labelled images to train on."""
    check_photos(settings)
    check_labels(settings)


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Continue training from the run's averaged weights on labelled images, and align the features of the photos."""
    return adapt_in_pairs(settings, console, DannTask, (UNSTABLE,))


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
    """Images and instances of this epoch, those whose domain was recognized and all."""

    counts: dict[str, Count]


class DannTask(PairedTask):
    """Training of a detector on labelled images and unlabelled photos. extra: the domain classifiers."""

    def __init__(
        self,
        model: nn.Module,
        parts: DetectorParts,
        *,
        frozen_norms: Iterable[str] = (),
        photos: ImageSet,
        options: DannOptions,
    ) -> None:
        super().__init__(model, parts, frozen_norms=frozen_norms, photos=photos)
        self.weight, self.instances, self.score = options.weight, options.instances, options.score
        self.consistency = options.consistency
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(parts.settings.seed)
            width = feature_width(model, parts)
            levels = ("image", "instance") if self.instances else ("image",)
            self.extra = nn.ModuleDict({level: _classifier(width) for level in levels})
        self._counts = Counter[str]()

    def pair_losses(self, pair: Pair, step: int) -> dict[str, Tensor]:
        """Return the losses of the domain classifiers."""
        inputs = [network_input(batch.images) for batch in (pair.labelled, pair.photos)]
        maps = [self.model.features(images) for images in inputs]
        whole = [pooled(one) for one in maps]
        losses = {"domain": self._domain_loss("image", whole, step)}
        if self.instances:
            boxes = [[target["boxes"] for target in pair.labelled.targets], self._detected(inputs[1])]
            width = inputs[0].shape[-1]
            points = [pooled_boxes(*both, width) for both in zip(maps, boxes, strict=True)]
            losses["instance domain"] = self._domain_loss("instance", points, step)
            if self.consistency:
                counts = torch.tensor([len(one) for both in boxes for one in both], device=whole[0].device)
                losses["domain consistency"] = self._inconsistency(torch.cat(whole), torch.cat(points), counts)
        return losses

    def _inconsistency(self, whole: Tensor, points: Tensor, counts: Tensor) -> Tensor:
        """Return how far the domain of instances is from that of their image (Chen et al. 2018, eq. 6).

        whole: (B, C) of images. points: (N, C) of instances, sorted by image. counts: (B,) of instances. As published,
        this gradient is not reversed.
        """
        of_images = self.extra["image"](whole)[:, 0].float().sigmoid().repeat_interleave(counts)
        of_instances = self.extra["instance"](points)[:, 0].float().sigmoid()
        return self.weight * (of_images - of_instances).abs().sum() / max(len(points), 1)

    def _domain_loss(self, level: str, points: list[Tensor], step: int) -> Tensor:
        """Return the loss of a classifier, in which both domains weigh the same. points: of renderings and photos."""
        reversed_points = _Reverse.apply(torch.cat(points), reversal(step, self.schedule.steps))
        logits = self.extra[level](reversed_points)[:, 0].float()
        total = logits.sum() * 0
        for domain, part in enumerate(logits.split([len(one) for one in points])):
            if len(part):
                wanted = torch.full_like(part, float(domain))
                total = total + functional.binary_cross_entropy_with_logits(part, wanted) / 2
                self._counts[f"{level} right"] += int(((part > 0) == (wanted > 0)).sum())
                self._counts[f"{level} seen"] += len(part)
        return self.weight * total

    @torch.no_grad()
    def _detected(self, images: Tensor) -> list[Tensor]:
        """Return the boxes that the detector, as it is now, finds in photos."""
        self.model.eval()
        found = self.model.detect(images)
        self.train_mode()
        return [one["boxes"][one["scores"] >= self.score][:MAX_INSTANCES].float() for one in found]

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Create AdamW with a higher learning rate for the domain classifiers."""
        rate, decay = self.parts.rate, self.parts.settings.weight_decay
        learned = decayed_groups([weight for weight in self.model.parameters() if weight.requires_grad], decay)
        fast = [{**group, "lr": CLASSIFIER_RATE * rate} for group in decayed_groups(self.extra.parameters(), decay)]
        return [torch.optim.AdamW([*learned, *fast], lr=rate)]

    def epoch_row(self) -> dict[str, float]:
        """Also return the accuracy of the classifiers in this epoch: 0.5 if they cannot distinguish the domains."""
        counts, self._counts = self._counts, Counter()
        names = {"image": "domain accuracy", "instance": "instance domain accuracy"}
        shares = {names[level]: counts[f"{level} right"] / max(counts[f"{level} seen"], 1) for level in self.extra}
        return {**super().epoch_row(), **shares}

    def state(self) -> StateDict:
        """Also return the classifiers' counts."""
        return {**super().state(), "domain": {"counts": dict(self._counts)}}

    def restore(self, state: StateDict, where: str) -> None:
        """Restore the result of `state`."""
        super().restore(state, where)
        self._counts = Counter(check_model(DomainFields, state.get("domain"), "the last checkpoint", where).counts)


def _classifier(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def reversal(step: int, steps: int) -> float:
    """Return the factor of the reversed gradient: 0 at first, while the classifier is untrained, near 1 at the end."""
    return 2 / (1 + math.exp(-GROWTH * step / max(steps, 1))) - 1
