"""Around a training: an orderly stop at Ctrl-C, quiet libraries, and words for memory that ran out."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from assets.errors import SynthError
from detectors.progress import StepProgress


class Stoppable(Protocol):
    """A training that looks at `interrupted` after every step."""

    interrupted: bool


@contextmanager
def orderly_stop(keeper: Stoppable, progress: StepProgress) -> Iterator[None]:
    """The first Ctrl-C ends after the current step and saves; the second ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        if keeper.interrupted:
            raise KeyboardInterrupt
        keeper.interrupted = True
        progress.tell("stopping after this step; Ctrl-C again stops at once")

    earlier = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)


@contextmanager
def calm() -> Iterator[None]:
    """Lightning's advice on settings that were chosen on purpose stays away from the user."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@contextmanager
def told_memory(batch: int, width: int, height: int) -> Iterator[None]:
    """Says what to lower where memory runs out. batch: pictures of a step, of width x height."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        text = str(error)
        if isinstance(error, SynthError):
            raise
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in text:
            found = f"a batch of {batch} at {width}x{height}: {text.splitlines()[0][:200] if text else ''}"
            hint = f"lower --batch (to {max(batch // 2, 1)}), then --size; nothing saved is lost"
            raise SynthError("memory does not suffice for a step", found=found, hint=hint) from error
        if "DataLoader worker" in text and "killed" in text:
            hint = "lower --workers: each of them holds a few batches"
            raise SynthError("a loader process was killed, most likely for want of memory", hint=hint) from error
        raise
