"""An export format of one file: PyTorch's exported program, which runs without the Python code of the detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from numpy.typing import NDArray
from torch import nn

from detectors.export.network import traceable
from detectors.models.spec import ModelSpec

SUFFIX = ".pt2"
# Nothing beside torch and torchvision.
PACKAGES = ()


def export(detector: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write the detector, from the pixels of an image of the network's size to boxes, labels and scores."""
    with traceable(detector, spec) as (network, image), torch.no_grad():
        torch.export.save(torch.export.export(network, (image,)), path)


def load(path: Path) -> Callable[[NDArray], tuple[NDArray, ...]]:
    """The file as a function of an (H, W, 3) uint8 image, which the detector is compared with."""
    network = torch.export.load(path).module()

    @torch.inference_mode()
    def run(image: NDArray) -> tuple[NDArray, ...]:
        return tuple(output.numpy() for output in network(torch.from_numpy(image[None])))

    return run
