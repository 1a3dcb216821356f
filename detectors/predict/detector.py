"""A trained detector in memory, for images given as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detectors.checkpoints.detector import Checkpoint, load_checkpoint, restore_model
from detectors.device import pick_device
from detectors.models.detect import Detections, detections_of, fit_picture, forward


@dataclass(frozen=True, eq=False)
class LoadedDetector:
    """A checkpoint with its network on a device."""

    checkpoint: Checkpoint
    model: nn.Module

    @property
    def threshold(self) -> float:
        """Score from which a detection is worth showing."""
        return self.checkpoint.display_threshold

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect objects in (H, W, 3) uint8 RGB images of any size, in one batch; returns detections of all scores."""
        if not pictures:
            return []
        spec = self.checkpoint.spec
        fitted = [fit_picture(picture, spec.width, spec.height) for picture in pictures]
        batch = torch.from_numpy(np.stack([picture for picture, _ in fitted]))
        outputs = forward(self.model, batch.to(next(self.model.parameters()).device))
        return [detections_of(output, letterbox) for output, (_, letterbox) in zip(outputs, fitted, strict=True)]


def load_detector(run: Path, *, device: str = "auto") -> LoadedDetector:
    """Load the best checkpoint of a run, or a checkpoint file. Raises SynthError if there is none."""
    checkpoint = load_checkpoint(run)
    return LoadedDetector(checkpoint, restore_model(checkpoint).to(pick_device(device)))
