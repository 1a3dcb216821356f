"""What to compute on."""

from __future__ import annotations

import os

import torch

from assets.errors import SynthError
from assets.machine import usable_cores


def pick_device(wanted: str) -> torch.device:
    """ "auto" is the GPU where there is one. Raises SynthError where one is wanted and there is none."""
    usable = torch.cuda.is_available()
    if wanted == "gpu" and not usable:
        raise SynthError(
            "no usable GPU", code="gpu-unavailable", hint="--device cpu works without one, many times slower"
        )
    return torch.device("cuda" if usable and wanted != "cpu" else "cpu")


def loader_processes(devices: int = 1) -> int:
    """Processes that read images, for each device: all cores but one, at most eight."""
    return max(1, min(8, (usable_cores() - 1) // devices))


def is_first_process() -> bool:
    """Whether this is the process that people started; further ones on other GPUs repeat its command silently."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0
