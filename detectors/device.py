"""The device to compute on, and the processes that read for it."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch.utils.data import DataLoader

from assets.errors import SynthError
from assets.interrupt import hold_signals, ignore_signals
from assets.machine import usable_cores

PREFETCH = 4


def pick_device(wanted: str) -> torch.device:
    """Return the device for "cpu", "gpu" or "auto" (a GPU if there is one). Raises SynthError for "gpu" without one."""
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


class ProcessLoader(DataLoader[Any]):
    """DataLoader whose worker processes ignore Ctrl-C and SIGTERM from their start; their parent handles these."""

    def __iter__(self) -> Any:
        with hold_signals():
            return super().__iter__()


def limit_threads(worker: int) -> None:
    """Initialise a worker process: one thread, as there are many workers, and signals left to the parent."""
    import cv2

    ignore_signals()

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
