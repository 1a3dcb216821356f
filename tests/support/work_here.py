"""Workers in this process: a process of its own with a renderer takes seconds to start."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import cv2
import pytest

from pipeline.run import scene
from pipeline.workers import pool
from pipeline.workers.process import HeldLock, SceneFunctions, WorkerSettings, _report_on

# Both bring an LLVM: triton (of torchvision) crashes where Mesa's software renderer was started before it.
with suppress(ImportError):
    import torchvision  # noqa: F401


class ProcessHere:
    """What the pool asks of a process. sentinel: readable once it has ended."""

    exitcode = 0

    def __init__(self, sentinel: Connection) -> None:
        self.pid, self.sentinel, self._alive = os.getpid(), sentinel, True

    def is_alive(self) -> bool:
        return self._alive

    def kill(self) -> None:
        self._alive = False

    def join(self, timeout: float | None = None) -> None:
        pass


class WorkerHere(pool._Worker):
    """A worker that makes a scene as soon as it is given one and reports on it as a process does."""

    def __init__(
        self, functions: SceneFunctions, settings: WorkerSettings, lock: HeldLock | None, scratch: str
    ) -> None:
        self._functions, self._settings = functions, settings
        self.link, self._theirs = multiprocessing.Pipe()
        self.process: Any = ProcessHere(self._theirs)
        self.ready, self.disconnected, self.task, self.since = False, False, None, time.monotonic()
        self._theirs.send(_report_on(lambda: self._functions.start(self._settings), "ready", self._settings))

    def assign(self, task: pool._Task, payload: object) -> None:
        self.task, self.since = task, time.monotonic()
        self._theirs.send(_report_on(lambda: self._functions.scene(self._settings, payload), "made", self._settings))

    def leave(self) -> None:
        self.process.kill()

    def kill(self) -> None:
        self.process.kill()
        self.link.close()
        self._theirs.close()
        if scene._worker is not None:
            scene._worker.backend.close()
            scene._worker = None


@contextmanager
def work_here() -> Iterator[None]:
    """Worker pools work in this process until the end."""
    threads = cv2.getNumThreads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_Worker", WorkerHere)
        yield
    cv2.setNumThreads(threads)
