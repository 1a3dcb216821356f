"""CPU cores and memory that this process may use, and the folder for cached results."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# Memory limit of a container: control groups version 2, then 1.
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# The rest is for the parent, the page cache and everything else on the machine.
WORKERS_SHARE = 0.8


def usable_cores() -> int:
    """Return the number of cores that this process may run on, which containers and batch jobs limit."""
    try:
        return max(len(os.sched_getaffinity(0)), 1)
    except AttributeError:  # not available on this system
        return os.cpu_count() or 1


def memory_share_mb(workers: int) -> float:
    """Return the MiB that each of `workers` may use so that all fit into the machine or its container."""
    import psutil

    total = float(psutil.virtual_memory().total)
    for file in MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            total = min(total, float(file.read_text()))
    return WORKERS_SHARE * total / workers / 2**20


def cache_folder() -> Path:
    """Return the folder for cached results."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "synth"
