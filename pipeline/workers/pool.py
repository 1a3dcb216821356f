"""Scenes spread over worker processes: bounded, replaced when they die, recycled when they grow, ended when hung.

Each worker has a pipe of its own and is handed one scene at a time, so the parent knows which scene took a process
down, and a process killed at any moment harms no other. (Pools whose workers share one queue and its locks, as those of
the standard library and pebble do, break or hang when one is killed at its start or while it holds a lock.)
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection

from assets.errors import SynthError
from assets.files.scratch import scratch_folder
from assets.interrupt import hold_signals
from pipeline.workers.disk_errors import disk_error
from pipeline.workers.memory import memory_share_mb
from pipeline.workers.process import HeldLock, SceneFunctions, WorkerReport, WorkerSettings, serve

# Libraries that would each take all cores in every worker.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ATTEMPTS = 2
# Starts in a row that may fail before the run gives up: one may be killed by chance, hardly three.
BAD_STARTS = 3
# Seconds between looks at the clock and at the wish to stop.
TICK_S = 0.2
# Seconds that a worker without a scene has to leave by itself (Blender tidies its temporary folder).
GRACE_S = 10.0
# A worker is never recycled below this, or one with Blender in it would not outlive a scene.
MIN_MEMORY_MB = 1024.0


@dataclass(frozen=True)
class Outcome:
    """What became of a scene. reason: "" where it was made, else why not. attempts: how often it was tried.

    worker: process id of the last one. memory_mb: what that had resident afterwards, 0 where it died.
    """

    index: int
    images: int = 0
    annotations: int = 0
    reason: str = ""
    attempts: int = 1
    worker: int = 0
    memory_mb: float = 0.0


@dataclass(frozen=True)
class _Task:
    """A scene to make. alone: with no other worker beside it, since memory ran out the last time."""

    index: int
    attempt: int = 1
    alone: bool = False


def never_stop(under_way: int) -> bool:
    """For runs that nothing interrupts."""
    return False


def itself(index: int) -> object:
    """For scenes that their number alone describes."""
    return index


def run_scenes(
    job: SceneFunctions,
    settings: WorkerSettings,
    indices: Iterable[int],
    *,
    stop: Callable[[int], bool] = never_stop,
    lock: int | None = None,
) -> Generator[Outcome, None, None]:
    """The outcome of each scene as it ends, in any order. Scenes that take a process down are tried once more.

    stop: asked again and again with the number of scenes under way; once it says True these are finished and no more
    are begun. lock: descriptor of the folder's lock, held by the workers too. Raises SynthError where no worker can
    work or the disk takes no more. Leaving the iterator early ends all workers at once.
    """
    with WorkerPool(job, settings, lock=lock) as crew:
        crew.add(indices)
        while crew.has_work(stopping := stop(crew.under_way)):
            if not stopping:
                crew.dispatch()
            yield from crew.poll()
        crew.dismiss()


class _Worker:
    """A process, the parent's end of its pipe, and the scene that it is at."""

    def __init__(self, job: SceneFunctions, settings: WorkerSettings, lock: HeldLock | None, scratch: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.link, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, job, settings, lock), daemon=True)
        with _environment_of_workers(settings.threads, scratch), hold_signals():
            self.process.start()
        theirs.close()  # so that the pipe ends when the worker does
        self.ready = False
        self.gone = False
        self.task: _Task | None = None
        self.since = time.monotonic()

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None

    @property
    def dead(self) -> bool:
        return self.gone or not self.process.is_alive()

    def take(self, task: _Task, order: object) -> None:
        self.task, self.since = task, time.monotonic()
        with suppress(OSError):  # it has died: seen at the next look
            self.link.send(order)

    def listen(self) -> WorkerReport | None:
        """What it has said, None where it said nothing or died over it."""
        try:
            report: WorkerReport | None = self.link.recv() if self.link.poll() else None
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.join(TICK_S)  # for its exit code
            self.gone = True
            return None
        return report

    def leave(self) -> None:
        """Asks it to end."""
        with suppress(OSError):
            self.link.send(None)
        self.since = time.monotonic()

    def kill(self) -> None:
        """Ends it now, whatever it is at: files appear whole or not at all."""
        self.process.kill()
        self.process.join(GRACE_S)
        self.link.close()


class WorkerPool:
    """The workers of a run and the scenes that wait for them; used in a with block, at whose end all workers end.

    order: what a worker is handed for the scene of a number, if that is more than the number.
    """

    def __init__(
        self,
        job: SceneFunctions,
        settings: WorkerSettings,
        *,
        lock: int | None = None,
        order: Callable[[int], object] = itself,
    ) -> None:
        self._job, self._settings, self._order = job, settings, order
        self._lock = HeldLock(lock) if lock is not None else None
        self._waiting: deque[int] = deque()
        self._again: deque[_Task] = deque()
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._bad_starts = 0
        self._scratch = scratch_folder("workers")
        self._most_mb = max(min(settings.memory_mb, memory_share_mb(settings.workers)), MIN_MEMORY_MB)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def add(self, indices: Iterable[int]) -> None:
        """More scenes, behind those that wait."""
        self._waiting.extend(indices)

    @property
    def waiting(self) -> int:
        """Scenes that no worker has been handed yet."""
        return len(self._waiting) + len(self._again)

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    @property
    def under_way(self) -> int:
        return len(self._busy)

    def has_work(self, stopping: bool) -> bool:
        return bool(self._busy) or (not stopping and bool(self._waiting or self._again))

    def dispatch(self) -> None:
        """Gives scenes to idle workers and starts workers where some are missing."""
        for worker in [worker for worker in self._workers if worker.idle]:
            if self._one_alone:
                self._retire(worker)  # what it keeps in memory is what that scene lacks
            elif (task := self._next()) is not None:
                worker.take(task, self._order(task.index))
        alone = self._one_alone or bool(self._again and self._again[0].alone)
        wanted = 1 if alone else min(self._settings.workers, self.under_way + len(self._waiting) + len(self._again))
        for _ in range(wanted - len(self._workers)):
            self._workers.append(_Worker(self._job, self._settings, self._lock, self._scratch.name))

    @property
    def _one_alone(self) -> bool:
        return any(worker.task is not None and worker.task.alone for worker in self._workers)

    def _next(self) -> _Task | None:
        """The next scene; none while one that is to be alone waits for the others to end."""
        if not self._again:
            return _Task(self._waiting.popleft()) if self._waiting else None
        return None if self._again[0].alone and self._busy else self._again.popleft()

    def poll(self) -> Iterator[Outcome]:
        """Waits for something to happen, and yields what has become of scenes."""
        workers = [*self._workers, *self._leaving]
        before = time.monotonic()
        connection.wait([*(worker.link for worker in self._workers), *(w.process.sentinel for w in workers)], TICK_S)
        self._retry_later(time.monotonic() - before - TICK_S)
        for worker in list(self._workers):
            outcome = self._look_after(worker)
            if outcome is not None:
                yield outcome
        for worker in [worker for worker in self._leaving if self._has_left(worker)]:
            worker.kill()
            self._leaving.remove(worker)

    def _retry_later(self, stalled: float) -> None:
        """Time that the whole run was stopped for (Ctrl-Z, a machine asleep) counts against no scene."""
        if stalled > 1.0:
            for worker in self._workers:
                worker.since += stalled

    def _look_after(self, worker: _Worker) -> Outcome | None:
        report = worker.listen()
        if report is not None:
            return self._heard(worker, report)
        if worker.dead:
            code = worker.process.exitcode
            return self._lost(worker, f"the worker process died ({_name_of(code)})", alone=code == -signal.SIGKILL)
        limit = self._settings.timeout_s if worker.ready else self._job.start_timeout_s
        if not worker.idle and time.monotonic() - worker.since > limit:
            return self._lost(worker, f"not done after {limit:g} s", alone=False)
        return None

    def _heard(self, worker: _Worker, report: WorkerReport) -> Outcome | None:
        if not worker.ready:
            self._started(worker, report)
            return None
        task, worker.task = worker.task, None
        if report.kind == "disk":
            raise disk_error(self._settings.out, OSError(report.errno, report.text))
        if report.kind == "memory" or report.memory_mb > self._most_mb:
            self._retire(worker)
        if task is None:
            return None
        if report.kind in ("memory", "trouble"):
            return self._again_or_failed(task, report.text, alone=report.kind == "memory")
        return Outcome(
            task.index,
            report.images,
            report.annotations,
            report.text,
            attempts=task.attempt,
            worker=worker.process.pid or 0,
            memory_mb=report.memory_mb,
        )

    def _started(self, worker: _Worker, report: WorkerReport) -> None:
        if report.kind == "ready":
            worker.ready, self._bad_starts = True, 0
        elif report.error is not None:
            raise report.error
        else:
            self._lost(worker, report.text, alone=False)

    def _lost(self, worker: _Worker, reason: str, *, alone: bool) -> Outcome | None:
        """Lets go of a worker; only the scene that it was at has to do with it."""
        worker.kill()
        self._workers.remove(worker)
        if not worker.ready:
            self._count_bad_start(reason)
        return None if worker.task is None else self._again_or_failed(worker.task, reason, alone=alone)

    def _count_bad_start(self, reason: str) -> None:
        self._bad_starts += 1
        if self._bad_starts >= BAD_STARTS:
            hint = "'synth doctor' shows what works here; with little memory give fewer --workers"
            raise SynthError(
                f"{self._bad_starts} workers in a row could not start",
                code="worker-start-failed",
                found=reason,
                hint=hint,
            )

    def _again_or_failed(self, task: _Task, reason: str, *, alone: bool) -> Outcome | None:
        if task.attempt >= ATTEMPTS:
            return Outcome(task.index, reason=reason, attempts=task.attempt)
        self._again.append(replace(task, attempt=task.attempt + 1, alone=alone))
        return None

    def _retire(self, worker: _Worker) -> None:
        worker.leave()
        self._workers.remove(worker)
        self._leaving.append(worker)

    def _has_left(self, worker: _Worker) -> bool:
        return not worker.process.is_alive() or time.monotonic() - worker.since > GRACE_S

    def dismiss(self) -> None:
        """Lets all workers end by themselves; those that are still starting have nothing to tidy."""
        for worker in [worker for worker in self._workers if worker.idle]:
            self._retire(worker)
        for worker in self._leaving:
            worker.process.join(max(worker.since + GRACE_S - time.monotonic(), 0))

    def kill(self) -> None:
        """Ends whatever is still there."""
        for worker in (*self._workers, *self._leaving):
            worker.process.kill()
        for worker in (*self._workers, *self._leaving):
            worker.kill()
        self._scratch.cleanup()


def _name_of(code: int | None) -> str:
    """An exit code in words."""
    if code is None or code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "SIGKILL: out of memory, or ended by hand"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@contextmanager
def _environment_of_workers(threads: int, scratch: str) -> Iterator[None]:
    """What workers are born with: each takes its share of the cores and no more, and leaves nothing lying about.

    scratch: for temporary files; Blender makes a folder at every start that it never takes away.
    """
    before = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, "TMPDIR")}
    os.environ.update({name: before[name] or str(threads) for name in THREAD_VARIABLES}, TMPDIR=scratch)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
