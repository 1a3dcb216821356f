"""Features of pictures by a backbone pretrained on ImageNet, for distances between sets of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from assets.errors import SynthError
from detectors.checkpoints.pretrained import PACKAGED_BACKBONE, packaged_weights
from detectors.checkpoints.weights import read_weights
from detectors.device import pick_device
from detectors.models.backbones.table import normalisation

BATCH = 16


class ImageFeatures:
    """A pretrained backbone: images to the mean of its last feature map, without a class layer."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network.to(device).eval(), device
        mean, std = normalisation(PACKAGED_BACKBONE)
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def describe(
        self, images: Sequence[NDArray[np.uint8]], side: int, advance: Callable[[int], None] = lambda count: None
    ) -> NDArray[np.float64]:
        """Return features (N, D) of images (H, W, 3) uint8 RGB, each stretched to a square of `side` pixels."""
        import cv2

        rows = []
        for first in range(0, len(images), BATCH):
            some = [
                cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images[first : first + BATCH]
            ]
            batch = torch.from_numpy(np.stack(some)).to(self._device).permute(0, 3, 1, 2).float() / 255
            maps = self._network((batch - self._mean) / self._std)
            rows.append(maps.float().cpu().numpy().astype(np.float64))
            advance(len(some))
        return np.concatenate(rows) if rows else np.zeros((0, 1))


def open_features(weights: str, *, device: str = "auto") -> ImageFeatures:
    """Open the light backbone with weights: "packaged", or a file of them.

    Raises SynthError if the package or the file is missing, damaged or of another network.
    """
    import timm

    state = packaged_weights(PACKAGED_BACKBONE) if weights == "packaged" else read_weights(Path(weights))[0]
    network = timm.create_model(PACKAGED_BACKBONE, pretrained=False, num_classes=0)
    own = network.state_dict()
    fitted = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if missing := [name for name in own if name not in fitted and "num_batches" not in name]:
        raise SynthError(
            "the weights are of another network",
            code="weights-mismatch",
            where=weights,
            found=f"{len(missing)} of {len(own)} tensors missing, such as {missing[0]}",
            expected=PACKAGED_BACKBONE,
        )
    network.load_state_dict(fitted, strict=False)
    return ImageFeatures(network, pick_device(device))
