"""A job done on a Ray cluster: one actor per core, each with a worker process of its own for the scenes.

An actor looks after its worker as a local run does after its own: a scene that hangs or takes its process down costs
itself alone. An actor that is lost with its node costs the shard that it was at, which another one makes anew.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from assets.errors import SynthError
from assets.machine import usable_cores
from pipeline.jobs.engines import EngineContext
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.shard import ShardMaker
from pipeline.jobs.tasks import JobContext, ShardTask
from pipeline.workers.memory import memory_share_mb
from pipeline.workers.pool import ATTEMPTS, Outcome, never_stop
from pipeline.workers.process import SceneFunctions, guard_process

TICK_S = 0.2
# Actors that a shard may lose before it is taken to be the cause.
MAX_LOST = 5
# Seconds between looks at how large the cluster is.
LOOK_S = 5.0
# Seconds that a cluster has to answer.
KNOCK_S = 10.0
# Seconds without any actor after which people are told what is waited for.
PATIENCE_S = 30.0


@dataclass(eq=False)
class _Actor:
    """An actor. asked: what it is at: its start, or a shard. since: when that began."""

    actor: Any
    asked: Any
    since: float
    task: ShardTask | None = None


class ShardActor:
    """Makes shards in a process of the cluster."""

    def __init__(self, work: JobContext, job: SceneFunctions, cpus: float) -> None:
        beside = max(int(usable_cores() / max(cpus, 0.01)), 1)
        memory = min(work.settings.memory_mb, int(memory_share_mb(beside)))
        settings = replace(work.settings, workers=1, threads_each=max(int(cpus), 1), memory_mb=memory)
        self._maker = ShardMaker(replace(work, settings=settings), job)

    def start(self) -> str:
        """Says that it is there."""
        return "ready"

    def make(self, task: ShardTask) -> Receipt | SynthError:
        """The receipt of a shard, or why it cannot be had."""
        try:
            (receipt,) = self._maker.make([task], stop=never_stop, note=_no_note)
        except SynthError as error:
            return error
        except OSError as error:
            return SynthError("a shard cannot be stored", code="storage-failed", where=task.name, found=str(error))
        return receipt


def _no_note(outcome: Outcome) -> None:
    """Receipts tell everything that is told of scenes on a cluster."""


class ClusterAway(SynthError):
    """Nobody answers at the address of a cluster."""


class _Left(Exception):
    """Nobody listens any more."""


def serve(link: Connection, work: JobContext, job: SceneFunctions, settings: JobSettings, log: str) -> None:
    """Makes the shards that are got over `link` on the cluster, and says there how it goes, until there are no more.

    log: a file that takes what Ray has to say. Ends the process where Ray sees fit.
    """
    guard_process()
    os.dup2(os.open(log, os.O_WRONLY), 2)
    with suppress(_Left):
        try:
            _connect(settings.address)
            _say(link, "reached")
            _make_all(link, work, job, settings)
            _say(link, "over")
        except SynthError as error:
            _say(link, "error", error)


def _make_all(link: Connection, work: JobContext, job: SceneFunctions, settings: JobSettings) -> None:
    orders = EngineContext(
        work,
        job,
        settings,
        lock=None,
        stop=lambda under_way: _has_left(link),
        note=lambda *counts: None,  # receipts tell it, each once
        say=lambda line: _say(link, "say", line),
    )
    pool = _Pool(orders, _asked_for(link))
    try:
        for receipt in pool.receipts():
            _say(link, "receipt", receipt)
    finally:
        pool.dismiss()


def _say(link: Connection, kind: str, content: Any = None) -> None:
    try:
        link.send((kind, content))
    except OSError as error:
        raise _Left from error


def _asked_for(link: Connection) -> Iterator[ShardTask]:
    """One shard after another, each asked for when it is needed."""
    while True:
        _say(link, "next")
        try:
            task = link.recv()
        except (EOFError, OSError) as error:
            raise _Left from error
        if task is None:
            return
        yield task


def _has_left(link: Connection) -> bool:
    """Nothing comes that was not asked for, but the end."""
    return link.poll(0)


def _connect(address: str) -> None:
    """Makes Ray be there until the process ends: the cluster at `address`; where that is empty, one of this machine."""
    # No reports to anybody, and no notices about what later releases will do.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    here: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        _knock(address)
        with _own_signals():
            ray.init(address=address or "local", logging_level="error", log_to_driver=False, **here)
    except Exception as error:  # Ray raises many kinds
        hint = (
            "start it with 'ray start --head', or leave --address away for a cluster of this machine alone; one that "
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


def _knock(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; only the parent of this process acts on it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Pool:
    """The actors of a job and the shards that wait for them."""

    def __init__(self, orders: EngineContext, shards: Iterable[ShardTask]) -> None:
        import ray

        self._ray, self._orders = ray, orders
        self._waiting = iter(shards)
        self._again: deque[ShardTask] = deque()
        self._lost: dict[str, int] = {}
        self._hired: list[_Actor] = []
        self._idle: list[Any] = []
        self._looked, self._room = -LOOK_S, 1
        self._alone_since = time.monotonic()
        own = orders.settings
        # What Ray would do about a lost actor is done here, where the shard is known.
        options = {"num_cpus": own.cpus, "num_gpus": own.gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self._actors = ray.remote(ShardActor).options(**options)
        self._work = ray.put(orders.work)
        self._next_task = self._take()

    def _take(self) -> ShardTask | None:
        return self._again.popleft() if self._again else next(self._waiting, None)

    def receipts(self) -> Iterator[Receipt]:
        """Until all shards are made, or the orders say stop: then what is under way is left."""
        while not self._orders.stop(self._under_way) and (self._next_task or self._under_way):
            self._hand_out()
            self._scale_up()
            asked = [hired.asked for hired in self._hired]
            done = self._ray.wait(asked, timeout=TICK_S)[0] if asked else []
            if not asked:
                time.sleep(TICK_S)
            for hired in [hired for hired in self._hired if hired.asked in done]:
                self._hired.remove(hired)
                receipt = self._heard(hired)
                if receipt is not None:
                    yield receipt
            self._kill_stalled()

    @property
    def _under_way(self) -> int:
        return sum(hired.task is not None for hired in self._hired)

    def _hand_out(self) -> None:
        while self._idle and self._next_task is not None:
            actor, task = self._idle.pop(), self._next_task
            self._hired.append(_Actor(actor, actor.make.remote(task), time.monotonic(), task))
            self._next_task = self._take()

    def _scale_up(self) -> None:
        """As many actors as there are cores in the cluster, or as were asked for; it may grow and shrink meanwhile."""
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            cpus = self._ray.cluster_resources().get("CPU", 0.0)
            self._room = max(int(cpus / max(self._orders.settings.cpus, 0.01)), 1)
        wanted = min(self._orders.settings.render.workers or self._room, self._room)
        if self._next_task is None:
            return
        for _ in range(wanted - len(self._hired) - len(self._idle)):
            actor = self._actors.remote(self._work, self._orders.job, self._orders.settings.cpus)
            self._hired.append(_Actor(actor, actor.start.remote(), time.monotonic()))
        if self._under_way or self._idle:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > PATIENCE_S:
            self._alone_since = time.monotonic()
            self._orders.say("waiting for the cluster: none of its nodes has room for a worker now")

    def _heard(self, hired: _Actor) -> Receipt | None:
        try:
            answer = self._ray.get(hired.asked)
        except self._ray.exceptions.RayError as error:
            self._lose(hired, error)
            return None
        self._idle.append(hired.actor)
        if isinstance(answer, SynthError):
            raise answer
        return answer if isinstance(answer, Receipt) else None

    def _lose(self, hired: _Actor, error: Exception) -> None:
        """An actor is lost; its shard goes to another one."""
        told = str(error).strip().split("\n")[0][:200]
        if hired.task is None:
            self._orders.say(f"a worker of the cluster could not start ({told})")
            lost = self._lost[""] = self._lost.get("", 0) + 1
        else:
            self._orders.say(f"a worker of the cluster was lost ({told}); {hired.task.name} is made by another one")
            lost = self._lost[hired.task.name] = self._lost.get(hired.task.name, 0) + 1
            self._again.append(hired.task)
            self._next_task = self._next_task or self._take()
        if lost >= MAX_LOST:
            what = f"shard {hired.task.name}" if hired.task else "startup"
            hint = "see the logs of Ray on its nodes ('ray logs'); finished work is kept"
            raise SynthError(
                f"{lost} workers of the cluster were lost at {what}", code="worker-lost", found=told, hint=hint
            )

    def _kill_stalled(self) -> None:
        """Scenes are watched by their actor; one that takes longer than all of them may is stuck itself."""
        settings = self._orders.settings.render
        for hired in self._hired:
            if hired.task is None:
                continue
            longest = self._orders.job.start_timeout_s + ATTEMPTS * settings.timeout_s * len(hired.task.scenes)
            if time.monotonic() - hired.since > longest:
                self._ray.kill(hired.actor)  # heard of as lost at the next look

    def dismiss(self) -> None:
        """Ends all actors at once; their worker processes end with them, and finished scenes stay in their spools."""
        for actor in [*self._idle, *(hired.actor for hired in self._hired)]:
            with suppress(Exception):  # it may be gone, or Ray itself
                self._ray.kill(actor)
