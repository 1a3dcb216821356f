"""What runs inside a worker process: scenes one after another, and nothing that outlives the parent."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, Protocol

from assets.errors import SynthError
from assets.interrupt import ignore_signals
from pipeline.workers.disk_errors import takes_no_more

PR_SET_PDEATHSIG = 1
# Of 1000: where memory runs out, the kernel is to choose a worker, which can be replaced, and never the parent.
OOM_SCORE = 800
# Scenes after which freed memory goes back to the system. The C library keeps it in pieces between what is in use:
# after 160 scenes a third of a worker was such pieces. Giving it back takes 12 ms.
TRIM_SCENES = 10


class WorkerSettings(Protocol):
    """What workers are to do, as far as it matters to those who look after them: RunSettings or alike, picklable."""

    @property
    def out(self) -> Path: ...
    @property
    def workers(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def memory_mb(self) -> int: ...


def start_nothing(settings: WorkerSettings) -> None:
    """For jobs that need nothing opened."""


@dataclass(frozen=True)
class SceneFunctions:
    """What workers do; both functions are picklable by name.

    scene: makes all files of the scene of a number (or whatever a scene is ordered by), returns its numbers of pictures
    and annotations; raises SynthError where the same scene would fail again. start: opens what all scenes need; raises
    SynthError where no scene could be made. start_timeout_s: long enough for Blender's first start from a slow network
    disk.
    """

    scene: Callable[[Any, Any], tuple[int, int]]
    start: Callable[[Any], None] = start_nothing
    start_timeout_s: float = 600.0


@dataclass(frozen=True)
class WorkerReport:
    """What a worker says of its start or of a scene. text: why not, where it is not "ready" or "made".

    mistake: the same would happen again. trouble: it may not. memory: there was too little. disk: it takes no more.
    error: the mistake itself. errno: of "disk". memory_mb: resident now.
    """

    kind: Literal["ready", "made", "mistake", "trouble", "memory", "disk"]
    images: int = 0
    annotations: int = 0
    text: str = ""
    error: SynthError | None = None
    errno: int = 0
    memory_mb: float = 0.0


class HeldLock:
    """A folder's lock that goes along into a worker: the folder stays locked until the last of them has ended."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[[Any], HeldLock], tuple[Any]]:
        return _receive_lock, (reduction.DupFd(self.descriptor),)


def _receive_lock(handle: Any) -> HeldLock:
    descriptor = handle.detach()
    os.set_inheritable(descriptor, False)  # a program that the worker starts is not to keep the folder
    return HeldLock(descriptor)


def serve(link: Connection, job: SceneFunctions, settings: WorkerSettings, lock: HeldLock | None) -> None:
    """The worker's life: says that it is ready, makes the scenes that are ordered over `link`, ends on None.

    lock: only had, never used.
    """
    guard_process()
    with contextlib.suppress(EOFError, OSError):  # the parent has gone: so does the worker
        started = _reported(lambda: job.start(settings), "ready", settings)
        link.send(started)
        if started.kind == "ready":
            _serve_scenes(link, job, settings)
    _end_in_silence()


def _serve_scenes(link: Connection, job: SceneFunctions, settings: WorkerSettings) -> None:
    made = 0
    while (order := link.recv()) is not None:
        link.send(_reported(lambda: job.scene(settings, order), "made", settings))
        made += 1
        if made % TRIM_SCENES == 0:
            return_memory()


def _end_in_silence() -> None:
    """Blender, when Python ends, reports page by page what it has not freed."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _reported(
    work: Callable[[], tuple[int, int] | None], good: Literal["ready", "made"], settings: WorkerSettings
) -> WorkerReport:
    """What came of `work`, as something that can always be sent to the parent."""
    try:
        images, annotations = work() or (0, 0)
        return WorkerReport(good, images, annotations, memory_mb=_resident_mb())
    except SynthError as error:
        return WorkerReport("mistake", text=str(error), error=error, memory_mb=_resident_mb())
    except MemoryError as error:
        return WorkerReport("memory", text=f"out of memory ({error or 'MemoryError'})")
    except OSError as error:
        kind: Literal["disk", "trouble"] = "disk" if takes_no_more(error, settings.out) else "trouble"
        return WorkerReport(kind, text=f"{type(error).__name__}: {error}", errno=error.errno or 0)
    except BaseException as error:  # whatever a renderer raises, exits included, ends its scene and never the run
        return WorkerReport("trouble", text=f"{type(error).__name__}: {error}", memory_mb=_resident_mb())


def return_memory() -> None:
    """Gives freed memory back to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


def guard_process() -> None:
    """Only the parent ends this process, it ends with the parent, and it is the first to go where memory runs out."""
    ignore_signals()
    _end_with_parent()
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))


def _end_with_parent() -> None:
    """However the parent ends: a worker without one would go on writing while the next run starts.

    Linux kills it, also in the middle of native code that holds Python's lock; elsewhere a thread watches.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():  # it went before the line above
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
