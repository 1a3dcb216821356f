"""Memory budget of each worker."""

from __future__ import annotations

import contextlib
from pathlib import Path

# Memory limit of a container: control groups version 2, then 1.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# The rest is for the parent, the page cache and everything else on the machine.
SHARE = 0.8


def memory_share_mb(workers: int) -> float:
    """Return the MiB that each of `workers` may use so that all fit into the machine or its container."""
    import psutil

    total = float(psutil.virtual_memory().total)
    for file in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            total = min(total, float(file.read_text()))
    return SHARE * total / workers / 2**20
