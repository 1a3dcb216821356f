"""Actors of a Ray cluster: one per core, each with its own worker process for the scenes.

An actor handles its worker as a local run does: a scene that hangs or crashes its process costs only itself. An actor
lost with its node costs the shard it was making, which another actor makes again.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from assets.errors import SynthError
from assets.interrupt import ignore_signals
from assets.machine import memory_share_mb, usable_cores
from pipeline.jobs.engines import EngineContext
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.shard import ShardMaker
from pipeline.jobs.tasks import JobContext, ShardTask
from pipeline.workers.pool import MAX_ATTEMPTS, Outcome, never_stop
from pipeline.workers.process import SceneFunctions, guard_process

TICK_S = 0.2
# Lost actors per shard before the shard is taken to be the cause.
MAX_LOST = 5
# Seconds between checks of the cluster's size.
RESIZE_S = 5.0
# Seconds for a cluster to answer.
CONNECT_TIMEOUT_S = 10.0
# Seconds without any actor before the user is informed.
IDLE_NOTICE_S = 30.0


@dataclass(eq=False)
class _Actor:
    """An actor. pending: the result of its start or of its shard. since: when that began."""

    handle: Any
    pending: Any
    since: float
    task: ShardTask | None = None


class ShardActor:
    """Ray actor that makes shards."""

    def __init__(self, work: JobContext, functions: SceneFunctions, cpus: float) -> None:
        actors_here = max(int(usable_cores() / max(cpus, 0.01)), 1)
        memory = min(work.settings.memory_mb, int(memory_share_mb(actors_here)))
        settings = replace(work.settings, workers=1, threads_each=max(int(cpus), 1), memory_mb=memory)
        self._maker = ShardMaker(replace(work, settings=settings), functions)

    def start(self) -> str:
        """Return once the actor runs."""
        return "ready"

    def make(self, task: ShardTask) -> Receipt | SynthError:
        """Return the receipt of a shard, or the reason why it cannot be made."""
        try:
            (receipt,) = self._maker.make([task], stop=never_stop, note=_no_note)
        except SynthError as error:
            return error
        except OSError as error:
            return SynthError("a shard cannot be stored", code="storage-failed", where=task.name, found=str(error))
        return receipt


def _no_note(outcome: Outcome) -> None:
    """Do nothing: on a cluster the receipts report all scenes."""


class ClusterAway(SynthError):
    """Nothing answers at the address of a cluster."""


class _ParentEnded(Exception):
    """The parent process no longer listens."""


def serve(link: Connection, work: JobContext, functions: SceneFunctions, settings: JobSettings, log: str) -> None:
    """Make the shards requested over `link` on the cluster and report over it, until there are no more.

    log: a file for Ray's output. Ray may end the process at any time.
    """
    guard_process()
    os.dup2(os.open(log, os.O_WRONLY), 2)
    with suppress(_ParentEnded):
        try:
            _connect(settings.address)
            _send(link, "connected")
            _make_all(link, work, functions, settings)
            _send(link, "over")
        except SynthError as error:
            _send(link, "error", error)


def _make_all(link: Connection, work: JobContext, functions: SceneFunctions, settings: JobSettings) -> None:
    context = EngineContext(
        work,
        functions,
        settings,
        lock=None,
        stop=lambda in_progress: _parent_ended(link),
        note=lambda *counts: None,  # each receipt reports them once
        report=lambda line: _send(link, "report", line),
    )
    pool = _ActorPool(context, _request_shards(link))
    try:
        for receipt in pool.receipts():
            _send(link, "receipt", receipt)
    finally:
        pool.shutdown()


def _send(link: Connection, kind: str, content: Any = None) -> None:
    try:
        link.send((kind, content))
    except OSError as error:
        raise _ParentEnded from error


def _request_shards(link: Connection) -> Iterator[ShardTask]:
    """Yield one shard after another, each requested when it is needed."""
    while True:
        _send(link, "next")
        try:
            task = link.recv()
        except (EOFError, OSError) as error:
            raise _ParentEnded from error
        if task is None:
            return
        yield task


def _parent_ended(link: Connection) -> bool:
    """Return whether the pipe has closed: no unrequested message ever arrives."""
    return link.poll(0)


def _connect(address: str) -> None:
    """Connect to the cluster at `address`, or start one on this machine if it is empty, until the process ends."""
    # No usage reports, and no notices about changes in later releases.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    local_options: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        _check_reachable(address)
        ray.init(address=address or "local", logging_level="error", log_to_driver=False, **local_options)
    except Exception as error:  # Ray raises many kinds
        hint = (
            "start it with 'ray start --head', or omit --address for a cluster on this machine alone; one that "
            "asks for a token, as 'ray start' says, wants RAY_AUTH_MODE=token here too"
        )
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise ClusterAway(
            "the Ray cluster cannot be reached",
            code="cluster-unreachable",
            where=address or "here",
            found=found,
            hint=hint,
        ) from error
    finally:
        ignore_signals()  # Ray sets its own handler of SIGTERM; only the parent of this process acts on it


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT: Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()


class _ActorPool:
    """The actors of a job and the queue of shards."""

    def __init__(self, context: EngineContext, shards: Iterable[ShardTask]) -> None:
        import ray

        self._ray, self._context = ray, context
        self._shards = iter(shards)
        self._retries: deque[ShardTask] = deque()
        self._lost: dict[str, int] = {}
        self._busy: list[_Actor] = []
        self._idle: list[Any] = []
        self._resized, self._room = -RESIZE_S, 1
        self._idle_since = time.monotonic()
        own = context.settings
        # Lost actors are handled here, where the shard is known, not by Ray.
        options = {"num_cpus": own.cpus, "num_gpus": own.gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self._actors = ray.remote(ShardActor).options(**options)
        self._work = ray.put(context.work)
        self._next_task = self._pop_task()

    def _pop_task(self) -> ShardTask | None:
        return self._retries.popleft() if self._retries else next(self._shards, None)

    def receipts(self) -> Iterator[Receipt]:
        """Yield receipts until all shards are made or the context says stop: then shards in progress are abandoned."""
        while not self._context.stop(self._in_progress) and (self._next_task or self._in_progress):
            self._dispatch()
            self._scale_up()
            pending = [actor.pending for actor in self._busy]
            done = self._ray.wait(pending, timeout=TICK_S)[0] if pending else []
            if not pending:
                time.sleep(TICK_S)
            for actor in [actor for actor in self._busy if actor.pending in done]:
                self._busy.remove(actor)
                receipt = self._read_answer(actor)
                if receipt is not None:
                    yield receipt
            self._kill_stalled()

    @property
    def _in_progress(self) -> int:
        return sum(actor.task is not None for actor in self._busy)

    def _dispatch(self) -> None:
        while self._idle and self._next_task is not None:
            handle, task = self._idle.pop(), self._next_task
            self._busy.append(_Actor(handle, handle.make.remote(task), time.monotonic(), task))
            self._next_task = self._pop_task()

    def _scale_up(self) -> None:
        """Start as many actors as the cluster has room for, or as requested; it may grow and shrink meanwhile."""
        if time.monotonic() - self._resized > RESIZE_S:
            self._resized = time.monotonic()
            cpus = self._ray.cluster_resources().get("CPU", 0.0)
            self._room = max(int(cpus / max(self._context.settings.cpus, 0.01)), 1)
        wanted = min(self._context.settings.render.workers or self._room, self._room)
        if self._next_task is None:
            return
        for _ in range(wanted - len(self._busy) - len(self._idle)):
            handle = self._actors.remote(self._work, self._context.functions, self._context.settings.cpus)
            self._busy.append(_Actor(handle, handle.start.remote(), time.monotonic()))
        if self._in_progress or self._idle:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > IDLE_NOTICE_S:
            self._idle_since = time.monotonic()
            self._context.report("waiting for the cluster: none of its nodes has room for a worker")

    def _read_answer(self, actor: _Actor) -> Receipt | None:
        try:
            answer = self._ray.get(actor.pending)
        except self._ray.exceptions.RayError as error:
            self._handle_loss(actor, error)
            return None
        self._idle.append(actor.handle)
        if isinstance(answer, SynthError):
            raise answer
        return answer if isinstance(answer, Receipt) else None

    def _handle_loss(self, actor: _Actor, error: Exception) -> None:
        """Give the shard of a lost actor to another one."""
        message = str(error).strip().split("\n")[0][:200]
        if actor.task is None:
            self._context.report(f"a worker of the cluster could not start ({message})")
            lost = self._lost[""] = self._lost.get("", 0) + 1
        else:
            self._context.report(f"a worker of the cluster was lost ({message}); another one makes {actor.task.name}")
            lost = self._lost[actor.task.name] = self._lost.get(actor.task.name, 0) + 1
            self._retries.append(actor.task)
            self._next_task = self._next_task or self._pop_task()
        if lost >= MAX_LOST:
            what = f"shard {actor.task.name}" if actor.task else "startup"
            hint = "see the logs of Ray on its nodes ('ray logs'); finished work is kept"
            raise SynthError(
                f"{lost} workers of the cluster were lost at {what}", code="worker-lost", found=message, hint=hint
            )

    def _kill_stalled(self) -> None:
        """Kill actors that take longer than all their scenes may: actors watch their scenes, not themselves."""
        settings = self._context.settings.render
        for actor in self._busy:
            if actor.task is None:
                continue
            scenes_s = MAX_ATTEMPTS * settings.timeout_s * len(actor.task.scenes)
            if time.monotonic() - actor.since > self._context.functions.start_timeout_s + scenes_s:
                self._ray.kill(actor.handle)  # reported as lost by the next wait

    def shutdown(self) -> None:
        """End all actors at once; their worker processes end with them, and finished scenes stay in their spools."""
        for handle in [*self._idle, *(actor.handle for actor in self._busy)]:
            with suppress(Exception):  # it may have ended, or Ray itself
                self._ray.kill(handle)
