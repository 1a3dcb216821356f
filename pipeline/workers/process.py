"""Main loop of a worker process, which makes scenes one after another and never outlives its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from assets.errors import SynthError
from assets.interrupt import end_with_parent, ignore_signals
from pipeline.workers.disk_errors import takes_no_more

# Of 1000: when memory runs out, the kernel should kill a worker, which can be replaced, never the parent.
OOM_SCORE = 800
# Scenes after which freed memory is returned to the system: the C library's heap fragments, and after 160 scenes a
# third of a worker was such fragments. Returning them takes 12 ms.
TRIM_SCENES = 10


class WorkerSettings(Protocol):
    """The settings that a worker pool needs: RunSettings or similar, picklable."""

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


class MadeScene(NamedTuple):
    """What a worker made of a scene: numbers of images and annotations, and what it sends instead of writing files."""

    images: int = 0
    annotations: int = 0
    content: bytes = b""


def start_nothing(settings: WorkerSettings) -> None:
    """Do nothing: the `start` of scenes that need nothing opened."""


@dataclass(frozen=True)
class SceneFunctions:
    """The functions that a worker runs, both picklable by name.

    scene: makes all files of the scene with an index (or another payload), returns its numbers of images and
    annotations (or a MadeScene); raises SynthError if the same scene would fail again. start: opens what all scenes
    need; raises SynthError if no scene could be made. start_timeout_s: long enough for Blender's first start from a
    slow network disk.
    """

    scene: Callable[[Any, Any], tuple[int, int] | MadeScene]
    start: Callable[[Any], None] = start_nothing
    start_timeout_s: float = 600.0


@dataclass(frozen=True)
class WorkerReport:
    """A worker's report on its start or on a scene. text: the reason if it is neither "ready" nor "made".

    kind "mistake": a retry would fail too; "trouble": it may succeed; "memory": out of memory; "disk": the disk cannot
    be written to. error: the SynthError of a mistake. errno: of "disk". memory_mb: resident now. content: of a made
    scene.
    """

    kind: Literal["ready", "made", "mistake", "trouble", "memory", "disk"]
    images: int = 0
    annotations: int = 0
    text: str = ""
    error: SynthError | None = None
    errno: int = 0
    memory_mb: float = 0.0
    content: bytes = b""


class HeldLock:
    """A folder's lock shared with the workers: the folder stays locked until the last of them has ended."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[[Any], HeldLock], tuple[Any]]:
        return _receive_lock, (reduction.DupFd(self.descriptor),)


def _receive_lock(handle: Any) -> HeldLock:
    descriptor = handle.detach()
    os.set_inheritable(descriptor, False)  # a program that the worker starts must not keep the folder locked
    return HeldLock(descriptor)


def serve(link: Connection, functions: SceneFunctions, settings: WorkerSettings, lock: HeldLock | None) -> None:
    """Run a worker: report that it is ready, make the scenes received over `link`, end on None.

    lock: only held, never used.
    """
    guard_process()
    with contextlib.suppress(EOFError, OSError):  # the parent has ended: so does the worker
        started = _report_on(lambda: functions.start(settings), "ready", settings)
        link.send(started)
        if started.kind == "ready":
            _serve_scenes(link, functions, settings)
    _silence_output()


def _serve_scenes(link: Connection, functions: SceneFunctions, settings: WorkerSettings) -> None:
    made = 0
    while (payload := link.recv()) is not None:
        link.send(_report_on(lambda: functions.scene(settings, payload), "made", settings))
        made += 1
        if made % TRIM_SCENES == 0:
            return_memory()


def _silence_output() -> None:
    """Discard all output: when Python ends, Blender prints pages about what it has not freed."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _report_on(
    work: Callable[[], tuple[int, int] | MadeScene | None], good: Literal["ready", "made"], settings: WorkerSettings
) -> WorkerReport:
    """Run `work` and return its outcome as a report that can always be pickled."""
    try:
        made = MadeScene(*(work() or ()))
        return WorkerReport(good, made.images, made.annotations, memory_mb=_resident_mb(), content=made.content)
    except SynthError as error:
        return WorkerReport("mistake", text=str(error), error=error, memory_mb=_resident_mb())
    except MemoryError as error:
        return WorkerReport("memory", text=f"out of memory ({error or 'MemoryError'})")
    except OSError as error:
        kind: Literal["disk", "trouble"] = "disk" if takes_no_more(error, settings.out) else "trouble"
        return WorkerReport(kind, text=f"{type(error).__name__}: {error}", errno=error.errno or 0)
    except BaseException as error:  # whatever a renderer raises, exits included, ends its scene but not the run
        return WorkerReport("trouble", text=f"{type(error).__name__}: {error}", memory_mb=_resident_mb())


def return_memory() -> None:
    """Return freed memory to the system if the C library supports it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


def guard_process() -> None:
    """Ignore signals, end when the parent ends, and be the first to be killed when memory runs out."""
    ignore_signals()
    end_with_parent()
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
