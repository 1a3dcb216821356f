"""Measurements of a network: latency, throughput, memory, parameters, floating-point operations; the hardware line."""

from __future__ import annotations

import ctypes
import gc
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from assets.machine import usable_cores
from assets.plurals import count_of

Pixels = NDArray[np.uint8]
# Images before the first one that counts: the first calls allocate, and choose kernels.
WARM_UP = 3
# A slow detector is timed on fewer images: after so many seconds, but on five at least.
MAX_SECONDS, MIN_REPEATS = 120.0, 5
MIB = 2**20


@dataclass(frozen=True)
class Latency:
    """Seconds for one image: median and 95th percentile of `repeats`."""

    median: float
    p95: float
    repeats: int


def measure_latency(
    detect: Callable[[Sequence[Pixels]], object],
    images: Sequence[Pixels],
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time one image after another, in turns, once warm. detect: from pixels to boxes, done when it returns."""
    for number in range(WARM_UP):
        detect([images[number % len(images)]])
    times: list[float] = []
    while len(times) < repeats and (len(times) < MIN_REPEATS or sum(times) < MAX_SECONDS):
        image = [images[len(times) % len(images)]]
        began = clock()
        detect(image)
        times.append(clock() - began)
    return Latency(float(np.median(times)), float(np.percentile(times, 95)), len(times))


def measure_throughput(
    detect: Callable[[Sequence[Pixels]], object],
    images: Sequence[Pixels],
    together: int,
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return images per second in batches of `together`, over about `repeats` images, once warm."""
    batch = [images[number % len(images)] for number in range(together)]
    detect(batch)
    done, spent = 0, 0.0
    while done < max(repeats, together) and (not done or spent < MAX_SECONDS):
        began = clock()
        detect(batch)
        spent += clock() - began
        done += together
    return done / spent if spent else 0.0


def count_parameters(model: nn.Module) -> int:
    """Return the number of weights that are learned."""
    return sum(weight.numel() for weight in model.parameters())


def count_flops(model: Any, images: Tensor) -> int | None:
    """Return the operations of `detect` on (B, 3, H, W) images, two for each multiplication with its addition.

    Convolutions and matrix products are counted, all else costs little beside them. None if they cannot be counted.
    """
    counter = FlopCounterMode(display=False)
    try:
        # Not inference mode, in which layers reach the counter whole.
        with torch.no_grad(), counter:
            model.detect(images)
    except Exception:  # a layer that has no rule, or does not run under the counter
        return None
    return int(counter.get_total_flops())


class MemoryPeak:
    """The most memory in MiB beyond what was used at the start: of the process, or of tensors on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / MIB
        else:
            self._before = _reset_peak()

    def read(self) -> float | None:
        """Return the peak so far, None where the system does not say."""
        if self._device.type == "cuda":
            return max(torch.cuda.max_memory_allocated(self._device) / MIB - self._before, 0.0)
        peak = _status_mb("VmHWM")
        return None if peak is None or self._before is None else max(peak - self._before, 0.0)


def _reset_peak() -> float | None:
    """Set the peak of this process to what it uses now, and return that."""
    # What was freed before may be in the process still, and would be taken again unseen.
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # only Linux has it, and a container may forbid it
        Path("/proc/self/clear_refs").write_text("5")
    return _status_mb("VmHWM")


def _status_mb(name: str) -> float | None:
    """Return a size of this process in MiB, None where the system does not say."""
    with suppress(OSError):
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) / 1024
    return None


def hardware_text(device: torch.device, threads: int) -> str:
    """Return one line on the processor and the GPU, if one computes."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = found[1].strip() if found else processor
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    cores = f"{count_of(usable_cores(), 'core')}, {count_of(threads, 'thread')}"
    return f"{processor}, {cores}, {gpu}, {sys.platform}"
