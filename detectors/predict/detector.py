"""A trained detector in memory, for images given as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detectors.checkpoints.detector import Checkpoint, load_checkpoint, restore_model
from detectors.device import pick_device
from detectors.models.detect import Detections, detections_of, fit_image, forward


@dataclass(frozen=True, eq=False)
class LoadedDetector:
    """A checkpoint with its network on a device."""

    checkpoint: Checkpoint
    model: nn.Module

    @property
    def threshold(self) -> float:
        """Score from which a detection is worth showing."""
        return self.checkpoint.display_threshold

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images that the network takes."""
        return self.checkpoint.spec.width, self.checkpoint.spec.height

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detect objects in (H, W, 3) uint8 RGB images of any size, in one batch; returns detections of all scores."""
        fitted = [fit_image(image, *self.size) for image in images]
        outputs = self.forward([image for image, _ in fitted])
        return [detections_of(output, letterbox) for output, (_, letterbox) in zip(outputs, fitted, strict=True)]

    def forward(self, fitted: Sequence[NDArray[np.uint8]]) -> list[dict[str, Tensor]]:
        """Run the network on uint8 RGB images of its size, in one batch."""
        if not fitted:
            return []
        batch = torch.from_numpy(np.stack(fitted))
        return forward(self.model, batch.to(next(self.model.parameters()).device))


def load_detector(run: Path, *, device: str = "auto") -> LoadedDetector:
    """Load the best checkpoint of a run, or a checkpoint file. Raises SynthError if there is none."""
    checkpoint = load_checkpoint(run)
    return LoadedDetector(checkpoint, restore_model(checkpoint).to(pick_device(device)))
