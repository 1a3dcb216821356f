"""Loading by worker processes."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader

from assets.interrupt import hold_signals, ignore_signals

PREFETCH = 4


class ProcessLoader(DataLoader[Any]):
    """A DataLoader whose processes leave Ctrl-C and SIGTERM to their parent, from their birth on."""

    def __iter__(self) -> Any:
        with hold_signals():
            return super().__iter__()


def limit_threads(worker: int) -> None:
    """Loader processes are many: each of them must not start threads of its own. Only their parent ends them."""
    import cv2

    ignore_signals()

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
