"""Pool of worker processes for scenes: workers are replaced when they die or hang and recycled when they grow.

Each worker has its own pipe and gets one scene at a time, so the parent knows which scene crashed a process, and a
process killed at any moment harms no other. (Pools whose workers share one queue and its locks, as those of the
standard library and pebble do, break or hang when one is killed at its start or while it holds a lock.)
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
from assets.machine import memory_share_mb
from pipeline.workers.disk_errors import disk_error
from pipeline.workers.process import HeldLock, SceneFunctions, WorkerReport, WorkerSettings, serve

# For libraries that would each use all cores in every worker.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MAX_ATTEMPTS = 2
# Failed starts in a row before the run gives up: one may be killed by chance, hardly three.
MAX_BAD_STARTS = 3
# Seconds between checks of timeouts and of `stop`.
TICK_S = 0.2
# Seconds that an idle worker has to exit by itself (Blender cleans up its temporary folder).
GRACE_S = 10.0
# A worker is never recycled below this, or one that runs Blender would not survive a scene.
MIN_MEMORY_MB = 1024.0


@dataclass(frozen=True)
class Outcome:
    """Outcome of a scene. reason: "" if it was made, else why not. attempts: how often it was tried.

    worker: process id of the last worker. memory_mb: its resident memory afterwards, 0 if it died. content: sent by the
    worker, for scenes without files.
    """

    index: int
    images: int = 0
    annotations: int = 0
    reason: str = ""
    attempts: int = 1
    worker: int = 0
    memory_mb: float = 0.0
    content: bytes = b""


@dataclass(frozen=True)
class _Task:
    """A scene to make. alone: while no other worker runs, since memory ran out the last time."""

    index: int
    attempt: int = 1
    alone: bool = False


def never_stop(in_progress: int) -> bool:
    """Return False: the `stop` of runs that nothing interrupts."""
    return False


def run_scenes(
    functions: SceneFunctions,
    settings: WorkerSettings,
    indices: Iterable[int],
    *,
    stop: Callable[[int], bool] = never_stop,
    lock: int | None = None,
) -> Generator[Outcome, None, None]:
    """Yield the outcome of each scene as it ends, in any order. Scenes that crash a process are retried once.

    stop: polled with the number of scenes in progress; once it returns True these are finished and no more are
    started. lock: descriptor of the folder's lock, held by the workers too. Raises SynthError if no worker can start
    or the disk cannot be written to. Closing the iterator early ends all workers at once.
    """
    with WorkerPool(functions, settings, lock=lock) as pool:
        pool.add(indices)
        while pool.has_work(stopping := stop(pool.in_progress)):
            if not stopping:
                pool.dispatch()
            yield from pool.poll()
        pool.shutdown()


class _Worker:
    """A process, the parent's end of its pipe, and its current scene. since: when its current state began."""

    def __init__(
        self, functions: SceneFunctions, settings: WorkerSettings, lock: HeldLock | None, scratch: str
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.link, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, functions, settings, lock), daemon=True)
        with _worker_environment(settings.threads, scratch), hold_signals():
            self.process.start()
        theirs.close()  # so that the pipe ends when the worker does
        self.ready = False
        self.disconnected = False
        self.task: _Task | None = None
        self.since = time.monotonic()

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None

    @property
    def dead(self) -> bool:
        return self.disconnected or not self.process.is_alive()

    def assign(self, task: _Task, payload: object) -> None:
        self.task, self.since = task, time.monotonic()
        with suppress(OSError):  # it has died: noticed at the next poll
            self.link.send(payload)

    def read_report(self) -> WorkerReport | None:
        """Return its report, None if there is none or it died while sending."""
        try:
            report: WorkerReport | None = self.link.recv() if self.link.poll() else None
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.join(TICK_S)  # for its exit code
            self.disconnected = True
            return None
        return report

    def leave(self) -> None:
        """Ask it to end."""
        with suppress(OSError):
            self.link.send(None)
        self.since = time.monotonic()

    def kill(self) -> None:
        """End it now, even during a scene: files appear whole or not at all."""
        self.process.kill()
        self.process.join(GRACE_S)
        self.link.close()


class WorkerPool:
    """The workers of a run and its queue of scenes; a context manager that ends all workers on exit.

    payload_of: what is sent to a worker for the scene with an index, if that is more than the index.
    """

    def __init__(
        self,
        functions: SceneFunctions,
        settings: WorkerSettings,
        *,
        lock: int | None = None,
        payload_of: Callable[[int], object] = lambda index: index,
    ) -> None:
        self._functions, self._settings, self._payload_of = functions, settings, payload_of
        self._lock = HeldLock(lock) if lock is not None else None
        self._waiting: deque[int] = deque()
        self._retries: deque[_Task] = deque()
        self._workers: list[_Worker] = []
        self._exiting: list[_Worker] = []
        self._bad_starts = 0
        self._scratch = scratch_folder("workers")
        self._max_memory_mb = max(min(settings.memory_mb, memory_share_mb(settings.workers)), MIN_MEMORY_MB)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def add(self, indices: Iterable[int]) -> None:
        """Append scenes to the queue."""
        self._waiting.extend(indices)

    @property
    def waiting(self) -> int:
        """Number of scenes that no worker has yet."""
        return len(self._waiting) + len(self._retries)

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    @property
    def in_progress(self) -> int:
        return len(self._busy)

    def has_work(self, stopping: bool) -> bool:
        return bool(self._busy) or (not stopping and bool(self._waiting or self._retries))

    def dispatch(self) -> None:
        """Assign scenes to idle workers and start missing workers."""
        for worker in [worker for worker in self._workers if worker.idle]:
            if self._runs_alone:
                self._retire(worker)  # its memory is needed by the scene that runs alone
            elif (task := self._next_task()) is not None:
                worker.assign(task, self._payload_of(task.index))
        alone = self._runs_alone or bool(self._retries and self._retries[0].alone)
        wanted = 1 if alone else min(self._settings.workers, self.in_progress + len(self._waiting) + len(self._retries))
        for _ in range(wanted - len(self._workers)):
            self._workers.append(_Worker(self._functions, self._settings, self._lock, self._scratch.name))

    @property
    def _runs_alone(self) -> bool:
        return any(worker.task is not None and worker.task.alone for worker in self._workers)

    def _next_task(self) -> _Task | None:
        """Return the next scene; None while one that must run alone waits for the others to end."""
        if not self._retries:
            return _Task(self._waiting.popleft()) if self._waiting else None
        return None if self._retries[0].alone and self._busy else self._retries.popleft()

    def poll(self) -> Iterator[Outcome]:
        """Wait for an event and yield the outcomes of scenes that have ended."""
        workers = [*self._workers, *self._exiting]
        before = time.monotonic()
        connection.wait([*(worker.link for worker in self._workers), *(w.process.sentinel for w in workers)], TICK_S)
        self._extend_deadlines(time.monotonic() - before - TICK_S)
        for worker in list(self._workers):
            outcome = self._check_worker(worker)
            if outcome is not None:
                yield outcome
        for worker in [worker for worker in self._exiting if self._has_exited(worker)]:
            worker.kill()
            self._exiting.remove(worker)

    def _extend_deadlines(self, stalled: float) -> None:
        """Count no time against a scene while the whole run was suspended (Ctrl-Z, a machine asleep)."""
        if stalled > 1.0:
            for worker in self._workers:
                worker.since += stalled

    def _check_worker(self, worker: _Worker) -> Outcome | None:
        report = worker.read_report()
        if report is not None:
            return self._handle_report(worker, report)
        if worker.dead:
            code = worker.process.exitcode
            reason = f"the worker process died ({_exit_code_text(code)})"
            return self._remove_worker(worker, reason, alone=code == -signal.SIGKILL)
        limit = self._settings.timeout_s if worker.ready else self._functions.start_timeout_s
        if not worker.idle and time.monotonic() - worker.since > limit:
            return self._remove_worker(worker, f"not done after {limit:g} s", alone=False)
        return None

    def _handle_report(self, worker: _Worker, report: WorkerReport) -> Outcome | None:
        if not worker.ready:
            self._handle_start(worker, report)
            return None
        task, worker.task = worker.task, None
        if report.kind == "disk":
            raise disk_error(self._settings.out, OSError(report.errno, report.text))
        if report.kind == "memory" or report.memory_mb > self._max_memory_mb:
            self._retire(worker)
        if task is None:
            return None
        if report.kind in ("memory", "trouble"):
            return self._retry_or_fail(task, report.text, alone=report.kind == "memory")
        return Outcome(
            task.index,
            report.images,
            report.annotations,
            report.text,
            attempts=task.attempt,
            worker=worker.process.pid or 0,
            memory_mb=report.memory_mb,
            content=report.content,
        )

    def _handle_start(self, worker: _Worker, report: WorkerReport) -> None:
        if report.kind == "ready":
            worker.ready, self._bad_starts = True, 0
        elif report.error is not None:
            raise report.error
        else:
            self._remove_worker(worker, report.text, alone=False)

    def _remove_worker(self, worker: _Worker, reason: str, *, alone: bool) -> Outcome | None:
        """Kill a worker and retry its scene; no other scene is affected."""
        worker.kill()
        self._workers.remove(worker)
        if not worker.ready:
            self._count_bad_start(reason)
        return None if worker.task is None else self._retry_or_fail(worker.task, reason, alone=alone)

    def _count_bad_start(self, reason: str) -> None:
        self._bad_starts += 1
        if self._bad_starts >= MAX_BAD_STARTS:
            hint = "'synth doctor' shows what works here; with little memory give fewer --workers"
            raise SynthError(
                f"{self._bad_starts} workers in a row could not start",
                code="worker-start-failed",
                found=reason,
                hint=hint,
            )

    def _retry_or_fail(self, task: _Task, reason: str, *, alone: bool) -> Outcome | None:
        if task.attempt >= MAX_ATTEMPTS:
            return Outcome(task.index, reason=reason, attempts=task.attempt)
        self._retries.append(replace(task, attempt=task.attempt + 1, alone=alone))
        return None

    def _retire(self, worker: _Worker) -> None:
        worker.leave()
        self._workers.remove(worker)
        self._exiting.append(worker)

    def _has_exited(self, worker: _Worker) -> bool:
        return not worker.process.is_alive() or time.monotonic() - worker.since > GRACE_S

    def shutdown(self) -> None:
        """Let all idle workers exit by themselves; those that are still starting have nothing to clean up."""
        for worker in [worker for worker in self._workers if worker.idle]:
            self._retire(worker)
        for worker in self._exiting:
            worker.process.join(max(worker.since + GRACE_S - time.monotonic(), 0))

    def kill(self) -> None:
        """End all remaining workers at once."""
        for worker in (*self._workers, *self._exiting):
            worker.process.kill()
        for worker in (*self._workers, *self._exiting):
            worker.kill()
        self._scratch.cleanup()


def _exit_code_text(code: int | None) -> str:
    """Return an exit code in words."""
    if code is None or code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "SIGKILL: out of memory, or killed by hand"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@contextmanager
def _worker_environment(threads: int, scratch: str) -> Iterator[None]:
    """Set the environment that new workers inherit: their share of the cores and a folder for temporary files.

    scratch: that folder; Blender makes a folder in it at every start that it never deletes.
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
