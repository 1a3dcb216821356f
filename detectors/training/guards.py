"""Around a training: quiet libraries, and words for memory that ran out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from assets.errors import SynthError

# What can be relied on when a training is stopped at once.
SAVE_KEPT = "the last save is kept: the same command resumes there"


@contextmanager
def quiet_lightning() -> Iterator[None]:
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
def explain_out_of_memory(batch: int, width: int, height: int) -> Iterator[None]:
    """Says what to lower where memory runs out. batch: pictures of a step, of width x height."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        text = str(error)
        if isinstance(error, SynthError):
            raise
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in text:
            found = f"a batch of {batch} at {width}x{height}: {text.splitlines()[0][:200] if text else ''}"
            hint = f"lower --batch (to {max(batch // 2, 1)}), then --size; saved progress is kept"
            raise SynthError(
                "not enough memory for a training step", code="out-of-memory", found=found, hint=hint
            ) from error
        if "DataLoader worker" in text and "killed" in text:
            hint = "lower --workers: each of them holds a few batches"
            raise SynthError(
                "a loader process was killed, most likely for lack of memory", code="out-of-memory", hint=hint
            ) from error
        raise
