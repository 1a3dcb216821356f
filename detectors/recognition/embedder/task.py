"""The training task of embedders: metric learning on crops; AdamW for the network, SparseAdam for class centers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from assets.errors import SynthError
from assets.files.models import check_model
from detectors.checkpoints.fields import EmbedderTaskFields, StateDict
from detectors.device import PREFETCH, ProcessLoader, limit_threads, loader_processes
from detectors.recognition.embedder.augment import augment_crop, crop_preset
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, save_embedder_checkpoint
from detectors.recognition.embedder.crop_store import CropSource
from detectors.recognition.embedder.load import Embedder, normalise
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet
from detectors.recognition.embedder.sampling import (
    Draws,
    EmbedderStream,
    EpochBatches,
    find_neighbours,
    neighbours_by_name,
    stream,
)
from detectors.recognition.embedder.settings import EmbedSettings
from detectors.recognition.embedder.training_crops import TrainingCrops
from detectors.recognition.embedder.validate import score_classifier, score_held_out
from detectors.training.engine import on_cpu
from detectors.training.schedule import Schedule
from detectors.training.task import Process, Saved, Task, decayed_groups

RATE_BATCH = 128
# Values in the row of an epoch that are not scores.
NO_SCORES = ("epoch", "step", "train loss")


class EmbedderTask(Task):
    """The training of an embedder. extra: the loss with its class centers. neighbours: look-alikes in this epoch."""

    scores: ClassVar[tuple[str, ...]] = ("top1", "top5", "mrr", "softmax")
    unit: ClassVar[str] = "crops"
    # Validated before training to measure the pretrained features.
    scores_untrained: ClassVar[bool] = True

    def __init__(
        self,
        net: EmbeddingNet,
        loss: nn.Module,
        spec: EmbedderSpec,
        settings: EmbedSettings,
        crops: TrainingCrops,
        schedule: Schedule,
        *,
        frozen_norms: tuple[str, ...] = (),
    ) -> None:
        super().__init__(net.to(memory_format=torch.channels_last), schedule, frozen_norms=frozen_norms)
        self.extra, self.spec, self.settings, self.crops = loss, spec, settings, crops
        self.neighbours = neighbours_by_name(crops.classes.keys, crops.classes.names)
        self._mean, self._std = (torch.tensor(rows).view(1, 3, 1, 1) for rows in (spec.mean, spec.std))

    def losses(self, batch: tuple[Tensor, Tensor], step: int) -> dict[str, Tensor]:
        """Return the loss of a batch of (B, S, S, 3) uint8 crops and their (B,) classes."""
        squares, labels = batch
        images = normalise(squares, self._mean.to(squares.device), self._std.to(squares.device))
        points = self.model.points(images.contiguous(memory_format=torch.channels_last))
        rng = stream(self.settings.seed, EmbedderStream.NEGATIVES, step)
        # In float32, because bfloat16 cosines are too coarse for the angular margin.
        with torch.autocast(squares.device.type, enabled=False):
            return {"loss": self.extra(points.float(), labels, rng=rng)}

    def batches(self, step: int, process: Process) -> Iterable[Any]:
        """Return the batches of the rest of an epoch; look-alikes of the next one are not known yet."""
        settings, crops = self.settings, self.crops
        epoch, start = divmod(step, self.schedule.steps_per_epoch)
        draws = Draws(settings.skus, settings.crops, self.schedule.steps_per_epoch, settings.seed, settings.real_share)
        batches = EpochBatches(crops.pools, crops.real, draws, epoch=epoch, start=start, neighbours=self.neighbours)
        workers = settings.workers if settings.workers is not None else loader_processes()
        return ProcessLoader(
            _AugmentedCrops(crops.source, self.spec, settings.augment, settings.seed),
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_collate,
            worker_init_fn=limit_threads,
            prefetch_factor=PREFETCH if workers else None,
            pin_memory=next(self.model.parameters()).device.type == "cuda",
        )

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Create AdamW (Loshchilov and Hutter 2019) for dense gradients, and SparseAdam for class centers."""
        settings = self.settings
        rate = settings.learning_rate * math.sqrt(settings.batch / RATE_BATCH)
        dense = [weight for weight in self.model.parameters() if weight.requires_grad]
        centers = [weight for name, weight in self.extra.named_parameters() if name == "table"]
        dense += [weight for name, weight in self.extra.named_parameters() if name != "table"]
        made: list[torch.optim.Optimizer] = [torch.optim.AdamW(decayed_groups(dense, settings.weight_decay), lr=rate)]
        if centers:
            made.append(torch.optim.SparseAdam(centers, lr=rate * settings.centre_rate))
        return made

    def clipped(self, optimizers: list[torch.optim.Optimizer]) -> list[Tensor]:
        """Return the network's parameters only, since gradients of centers have another scale."""
        return list(self.model.parameters())

    def step_seed(self, step: int, rank: int) -> int:
        """Return the random seed of a step (for dropout)."""
        return int(stream(self.settings.seed, EmbedderStream.STEP, step).integers(2**62))

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Return the retrieval scores of held-out crops, and after the first step a softmax classifier's accuracy."""
        validation = self.crops.validation
        if validation is None:
            return {}
        assert isinstance(model, EmbeddingNet)
        embedder = Embedder(self.spec, model, next(model.parameters()).device)
        row = score_held_out(embedder, validation)
        if self.settings.loss == "softmax" and step:
            row["softmax"] = score_classifier(embedder, self.extra.state_dict(), validation)
        return row

    def score_of(self, row: Mapping[str, float]) -> dict[str, float]:
        """Return all values of a validation, including the threshold for unknown products."""
        return {name: value for name, value in row.items() if name not in NO_SCORES}

    def end_epoch(self) -> None:
        """Find the look-alikes for the next epoch by comparing class centers."""
        self.neighbours = find_neighbours(self.extra.centers())

    def state(self) -> StateDict:
        """Return the look-alikes of the current epoch and the frozen norms."""
        return {"frozen_norms": list(self.frozen_norms), "neighbours": torch.from_numpy(self.neighbours)}

    def restore(self, state: StateDict, where: str) -> None:
        """Restore the result of `state`. Raises SynthError if it is damaged."""
        fields = check_model(EmbedderTaskFields, state, "the last checkpoint", where)
        self.frozen_norms = fields.frozen_norms
        if fields.neighbours is not None:
            if not self._fits(fields.neighbours):
                raise SynthError(
                    "the look-alikes of the last checkpoint are invalid", code="checkpoint-damaged", where=where
                )
            self.neighbours = fields.neighbours.numpy()

    def _fits(self, alike: Tensor) -> bool:
        """Return whether a tensor holds a row of class indices, or -1, for each class."""
        classes = len(self.crops.classes.keys)
        if alike.dtype != torch.int64 or alike.ndim != 2 or len(alike) != classes:
            return False
        return bool(((alike >= -1) & (alike < classes)).all())

    def save(self, saved: Saved, path: Path) -> None:
        """Write an embedder checkpoint, with the classifier if the loss is one."""
        checkpoint = EmbedderCheckpoint(
            spec=self.spec,
            weights=saved.weights,
            keys=self.crops.classes.keys,
            settings=self.settings.recorded(),
            data=self.crops.hashes,
            step=saved.step,
            score=self.score_of(saved.row),
            head=on_cpu(self.extra.state_dict()) if self.settings.loss == "softmax" else {},
            training=saved.training,
        )
        save_embedder_checkpoint(checkpoint, path)


class _AugmentedCrops(Dataset[Any]):
    """Augmented crops and their classes by (position, crop): a pure function, so that any process can make any crop."""

    def __init__(self, source: CropSource, spec: EmbedderSpec, augment: str, seed: int) -> None:
        self.source, self.spec, self.settings, self.seed = source, spec, crop_preset(augment), seed

    def __getitem__(self, draw: tuple[int, int]) -> tuple[np.ndarray, int]:
        position, crop = draw
        rng = stream(self.seed, EmbedderStream.VIEW, position)
        cut = self.source.read(crop)
        image = augment_crop(cut, side=self.spec.side, margin=self.spec.margin, settings=self.settings, rng=rng)
        return image, int(self.source.labels[crop])


def _collate(items: Sequence[tuple[np.ndarray, int]]) -> tuple[Tensor, Tensor]:
    squares = torch.from_numpy(np.stack([image for image, _ in items]))
    return squares, torch.tensor([label for _, label in items])
