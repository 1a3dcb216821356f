"""Number of usable CPU cores."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return the number of cores that this process may run on, which containers and batch jobs limit."""
    try:
        return max(len(os.sched_getaffinity(0)), 1)
    except AttributeError:  # not available on this system
        return os.cpu_count() or 1
