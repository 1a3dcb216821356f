"""DataLoader whose worker processes survive Ctrl-C until their parent ends them."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader

from assets.interrupt import hold_signals, ignore_signals

PREFETCH = 4


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
