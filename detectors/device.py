"""Choice of the compute device, and of the number of processes."""

from __future__ import annotations

import os

import torch

from assets.errors import SynthError
from assets.machine import usable_cores


def pick_device(wanted: str) -> torch.device:
    """Return the device for "cpu", "gpu" or "auto", which is the GPU if there is one.

    Raises SynthError for "gpu" if there is none.
    """
    usable = torch.cuda.is_available()
    if wanted == "gpu" and not usable:
        raise SynthError(
            "no usable GPU", code="gpu-unavailable", hint="--device cpu works without one, many times slower"
        )
    return torch.device("cuda" if usable and wanted != "cpu" else "cpu")


def loader_processes(devices: int = 1) -> int:
    """Return the number of worker processes that read images, per device: all cores but one, at most eight."""
    return max(1, min(8, (usable_cores() - 1) // devices))


def is_first_process() -> bool:
    """Return whether this is the process that the user started, not one for a further GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0
