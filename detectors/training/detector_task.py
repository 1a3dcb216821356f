"""The training task of detectors: losses on images mixed from several sources, validation by AP, checkpoints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from assets.errors import SynthError
from assets.files.models import check_model
from assets.progress import rate_text
from detectors.augment import preset
from detectors.checkpoints.detector import Checkpoint, load_checkpoint, save_checkpoint
from detectors.checkpoints.fields import DetectorTaskFields, StateDict
from detectors.data.image_set import ImageSet, Predictions
from detectors.data.mix import TrainingStream, realised, stream
from detectors.data.prepare import TrainingData
from detectors.device import loader_processes
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.coco_numbers import run_coco
from detectors.evaluate.metrics.curves import pooled_curve, rank
from detectors.evaluate.metrics.matching import find_candidates, match
from detectors.models import detector_module
from detectors.models.detect import find_in_set, network_input
from detectors.models.region_proposals import proposal_settings, remember_proposals
from detectors.models.spec import ModelSpec
from detectors.training.fitting import fit_detector
from detectors.training.loader import (
    Batch,
    ChangeImage,
    InputSettings,
    PlannedBatches,
    TrainingImages,
    batches_in_threads,
    training_loader,
)
from detectors.training.schedule import Schedule
from detectors.training.settings import TrainSettings
from detectors.training.task import Process, Saved, Task, decayed_groups

SPOILED_BATCH = "spoiled_batch.pt"


@dataclass(frozen=True)
class DetectorParts:
    """What a detector's training is built from. rate: peak learning rate of AdamW."""

    spec: ModelSpec
    settings: TrainSettings
    data: TrainingData
    schedule: Schedule
    rate: float

    @property
    def workers(self) -> int:
        """Worker processes that read images, per device."""
        given = self.settings.workers
        return given if given is not None else loader_processes(self.settings.devices)


class DetectorTask(Task):
    """The training of a detector. drawn: samples used from each source, including those before a resume."""

    scores: ClassVar[tuple[str, ...]] = ("AP", "AP50", "AP75")

    def __init__(self, model: nn.Module, parts: DetectorParts, *, frozen_norms: Iterable[str] = ()) -> None:
        super().__init__(model, parts.schedule, frozen_norms=frozen_norms)
        self.parts, self.drawn = parts, Counter[str]()
        self.needs_fit = hasattr(model, "fit")
        if parts.settings.freeze == "backbone":
            model.backbone.requires_grad_(False)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the detector's own losses."""
        return self.model.losses(network_input(batch.images), batch.targets)

    def batches(self, step: int, process: Process) -> Iterable[Any]:
        """Return the batches from `step` to the end of the training."""
        settings, inputs = self.parts.settings, self._inputs()
        batch = settings.batch // process.world
        planned = PlannedBatches(self.schedule, batch=batch, start_step=step, rank=process.rank, world=process.world)
        images = TrainingImages(self.parts.data.sources, self.schedule, inputs, self.change_image())
        if self.parts.data.live:
            return batches_in_threads(images, planned, threads=self.parts.workers)
        pin = next(self.model.parameters()).device.type == "cuda"
        return training_loader(images, planned, workers=self.parts.workers, pin=pin)

    def _inputs(self) -> InputSettings:
        spec, settings = self.parts.spec, self.parts.settings
        module = detector_module(spec.detector)
        masks, augment, proposals = module.NEEDS_MASKS, preset(settings.augment), proposal_settings(spec)
        if getattr(module, "NEEDS_KEYPOINTS", False):
            augment = replace(augment, paste_chance=0.0)  # what is pasted has none
        return InputSettings(spec.width, spec.height, augment, masks, settings.seed, proposals)

    def read_weights(self, path: Path) -> dict[str, Tensor]:
        """Return the weights of a detector checkpoint."""
        return load_checkpoint(path).weights

    def fit(self, model: nn.Module, console: Console, stop: Callable[[], bool]) -> bool:
        """Fit the detector's parts that are not learned in steps, to training images as they are in validation."""
        inputs = replace(self._inputs(), augment=preset("none"))
        images = TrainingImages(self.parts.data.sources, self.schedule, inputs)
        return fit_detector(model, images, console, stop, workers=self.parts.workers)

    def change_image(self) -> ChangeImage | None:
        """Return a change of training images before they are augmented, if the task needs one."""
        return None

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Create AdamW (Loshchilov and Hutter 2019)."""
        weights = (*self.model.parameters(), *self.extra.parameters())
        learned = [weight for weight in weights if weight.requires_grad]
        groups = decayed_groups(learned, self.parts.settings.weight_decay)
        return [torch.optim.AdamW(groups, lr=self.parts.rate)]

    def step_seed(self, step: int, rank: int) -> int:
        """Return the random seed of a step, which determines the sampled proposals and dropout."""
        return int(stream(self.schedule.seed, TrainingStream.STEP, step, rank).integers(2**62))

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Return AP, AP50, AP75, F1 and the threshold of the best F1."""
        data, spec = self.parts.data, self.parts.spec
        if data.validation is None:
            return {}
        remember_proposals(model)
        found = find_in_set(model, data.validation, data.classes, (spec.width, spec.height), workers=self.parts.workers)
        return score_detector(data.validation, found)

    def note_step(self, batch: Batch, step: int, process: Process) -> None:
        """Count the samples of all processes by source; those of other processes follow from the schedule."""
        names, first = self.parts.settings.source_names, step * self.schedule.samples
        draws = batch.draws if process.world == 1 else self.schedule.draws(first, first + self.schedule.samples)
        self.drawn.update(names[draw.source] for draw in draws)

    def epoch_row(self) -> dict[str, float]:
        """Return the fraction of samples from each source so far."""
        total = sum(self.drawn.values())
        return {f"mix {name}": count / total for name, count in sorted(self.drawn.items())}

    def progress_note(self) -> str:
        """Return the rate of what is rendered while training."""
        return "".join(f", rendering {rate_text(counts.rate)}" for counts in self.parts.data.live)

    def epoch_note(self) -> str:
        """Return the actual mix of sources so far as text."""
        return f"; drawn {realised(self.drawn)}"

    def state(self) -> StateDict:
        """Return the number of samples used from each source."""
        return {"drawn": dict(self.drawn)}

    def restore(self, state: StateDict, where: str) -> None:
        """Restore the number of samples used from each source."""
        self.drawn = Counter(check_model(DetectorTaskFields, state, "the last checkpoint", where).drawn)

    def save(self, saved: Saved, path: Path) -> None:
        """Write a detector checkpoint."""
        parts = self.parts
        checkpoint = Checkpoint(
            spec=parts.spec,
            classes=parts.data.classes,
            weights=saved.weights,
            settings=parts.settings.recorded(),
            data=parts.data.hashes,
            frozen_norms=self.frozen_norms,
            step=saved.step,
            score=self.score_of(saved.row),
            threshold=saved.row.get("threshold"),
            training=saved.training,
        )
        save_checkpoint(checkpoint, path)

    def explain_not_finite(self, batch: Batch, losses: Mapping[str, float], step: int) -> SynthError:
        """Save the batch, and return an error that lists its images and the narrowest box of each."""
        path = self.parts.settings.out / SPOILED_BATCH
        content = {
            "images": batch.images.cpu(),
            "targets": [{name: value.cpu() for name, value in target.items()} for target in batch.targets],
            "draws": [tuple(draw) for draw in batch.draws],
            "losses": dict(losses),
        }
        torch.save(content, path)
        problems = [self._describe(draw, target) for draw, target in zip(batch.draws, batch.targets, strict=True)]
        return SynthError(
            "the loss is not finite",
            code="loss-not-finite",
            where=f"step {step}; the batch was saved to {path}",
            found=", ".join(f"{name} {value}" for name, value in losses.items() if not np.isfinite(value)),
            problems=problems,
            hint="lower --learning-rate (by a factor of 3, say); if it happens at once, look at the boxes below",
        )

    def _describe(self, draw: Any, target: dict[str, Tensor]) -> str:
        images = self.parts.data.sources[draw.source]
        boxes = target["boxes"].float().cpu().numpy()
        text = f"{images.locate(draw.image)}: {len(boxes)} boxes"
        if len(boxes):
            sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
            least = int(np.argmin(sides))
            name = images.classes.keys[int(target["labels"][least])]
            text += f", the narrowest {name} {np.round(boxes[least], 1).tolist()} of {sides[least]:.1f} px"
        return text


def score_detector(truth: ImageSet, found: Predictions) -> dict[str, float]:
    """Return COCO's AP, AP50 and AP75, the best F1 and its score threshold; 0 if there is no ground truth."""
    data = align(truth, found)
    candidates = find_candidates(data)
    numbers = run_coco(data, candidates).numbers()
    threshold, f1 = pooled_curve(rank(data, match(data, candidates))).best()
    scores = {name: numbers[name] for name in ("AP", "AP50", "AP75")} | {"F1": f1, "threshold": threshold}
    return {name: 0.0 if math.isnan(value) else float(value) for name, value in scores.items()}
