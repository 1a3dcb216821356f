"""Context managers around a training: silence Lightning, explain out-of-memory errors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from assets.errors import SynthError

# Message for a second signal, which stops a training immediately.
SAVE_KEPT = "the last checkpoint is kept: the same command resumes there"


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's logs and warnings, which question settings that were chosen on purpose."""
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
    """Raise SynthError with advice if memory runs out. batch: images per step, of width x height."""
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
            hint = "lower --workers: each worker holds a few batches"
            raise SynthError(
                "a loader process was killed, most likely for lack of memory", code="out-of-memory", hint=hint
            ) from error
        raise
