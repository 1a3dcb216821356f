"""Mean teacher with soft distillation and masked photos: ALDI++ (Kay et al. 2024, 2403.12029) with MIC (Hoyer 2023).

The teacher is the moving average of the student (Tarvainen and Valpola 2017) and is what is validated and saved; the
run itself is the burn-in. The student learns detection from labelled images, and in photos of which half of the blocks
are hidden and the colours strongly changed it learns what the teacher says of the same photos, plainly seen: class
probabilities and boxes at all places, without a threshold.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field
from rich.console import Console
from torch import Tensor, nn

from assets.errors import SynthError
from detectors.adapt import AdaptSettings
from detectors.adapt.distill import distill
from detectors.adapt.options import MethodOptions
from detectors.adapt.start import check_labels, check_photos
from detectors.adapt.task import Pair, PairedTask, adapt_in_pairs
from detectors.adapt.views import mask_blocks, view_batches
from detectors.data.image_set import ImageSet
from detectors.models.detect import network_input
from detectors.training.detector_task import DetectorParts
from detectors.training.loader import PlannedBatches
from detectors.training.summary import TrainSummary

# In a short training the average covers this fraction of the steps: at 0.9996 it would stay the run that it began as.
WINDOW = 0.1


class MeanTeacherOptions(MethodOptions):
    """Options of the method."""

    decay: float = Field(0.9996, ge=0, lt=1, description="Decay of the teacher's average; less in short trainings.")
    weight: float = Field(1.0, gt=0, le=100, description="Weight of what the teacher says.")
    mask: float = Field(0.5, ge=0, lt=1, description="Share of the blocks of a photo that are hidden from the student.")
    block: int = Field(32, ge=4, le=512, description="Side of these blocks in pixels of the network's input.")


Options = MeanTeacherOptions


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos to adapt to, or no labelled images to train on."""
    check_photos(settings)
    check_labels(settings)


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Continue training from the run's averaged weights on labelled images and on what the teacher says of photos."""
    return adapt_in_pairs(settings, console, MeanTeacherTask)


class MeanTeacherTask(PairedTask):
    """Training of a student; the teacher is the engine's average of its weights, which checkpoints have in any case."""

    def __init__(
        self,
        model: nn.Module,
        parts: DetectorParts,
        *,
        frozen_norms: Iterable[str] = (),
        photos: ImageSet,
        options: MeanTeacherOptions,
    ) -> None:
        if not hasattr(model, "soft_outputs"):
            raise SynthError(
                f"{parts.spec.detector} cannot be taught by a teacher",
                code="method-unsupported",
                found="a detector without soft_outputs",
                expected="one that returns what its heads say before any threshold (docs/extend/learning.md)",
                hint="use --method self-training",
            )
        super().__init__(model, parts, frozen_norms=frozen_norms, photos=photos)
        self.settings = options
        self.average_decay = min(options.decay, max(0.0, 1 - 1 / max(WINDOW * self.schedule.steps, 1)))
        self._teacher: Any = None

    def use_average(self, weights: dict[str, Tensor]) -> None:
        """Make a teacher whose weights are those of the average, in the same memory."""
        self._teacher = copy.deepcopy(self.model).requires_grad_(False).eval()
        self._teacher.load_state_dict(weights, assign=True)

    def photo_batches(self, planned: PlannedBatches) -> Iterable[Any]:
        """Return batches of weak and strong views."""
        return view_batches(self.photos, planned, self.photo_inputs(planned), self.parts.workers)

    def pair_losses(self, pair: Pair, step: int) -> dict[str, Tensor]:
        """Return the losses between the teacher's outputs on weak views and the student's on masked strong ones."""
        options = self.settings
        with torch.no_grad():
            taught = self._teacher.soft_outputs(network_input(pair.photos.weak))
        hidden = mask_blocks(network_input(pair.photos.strong), options.mask, options.block, self.parts.spec.mean)
        said = self.model.soft_outputs(hidden, taught)
        return {name: options.weight * loss for name, loss in distill(said, taught).items()}
