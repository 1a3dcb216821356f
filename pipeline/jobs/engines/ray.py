"""The engine `ray`: a process of its own talks to the cluster, for Ray ends the process it is in when a head goes.

Once the head is back another such process goes on with the shards that were under way. One that was finished
meanwhile is made again, with the same bytes.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from assets.errors import SynthError
from assets.interrupt import hold_signals
from pipeline.jobs.engines import EngineContext
from pipeline.jobs.engines.ray_actors import ClusterAway, serve
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.tasks import ShardTask

# Seconds between looks at whether the job is to stop.
TICK_S = 0.2
# Seconds that a head may be away, and between two calls at its door.
AWAY_S, CALL_S = 1800.0, 5.0
# Processes that may end without a single shard between them.
MAX_ENDED = 5
# Seconds to let go of the cluster.
LEAVE_S = 10.0


def run_shards(orders: EngineContext, shards: Iterable[ShardTask]) -> Iterator[Receipt]:
    """The receipt of each shard once it is stored.

    Raises ClusterAway where the cluster cannot be reached, SynthError where its workers are lost again and again.
    """
    desk = _Desk(orders, shards)
    while not desk.over:
        with _ClusterProcess(orders) as process:
            yield from desk.serve(process)
        if not desk.over:
            desk.wait(process.last_words)


class _ClusterProcess:
    """A process that makes shards on the cluster. last_words: the first line of what Ray printed there, at its end."""

    def __init__(self, orders: EngineContext) -> None:
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        self._log = tempfile.NamedTemporaryFile(prefix="synth-ray-", suffix=".log")  # noqa: SIM115
        given = (theirs, orders.work, orders.job, orders.settings, self._log.name)
        self._process = context.Process(target=serve, args=given, daemon=True)
        with hold_signals():
            self._process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.last_words = ""

    def __enter__(self) -> _ClusterProcess:
        return self

    def hear(self) -> tuple[str, Any] | None:
        """A message, or ("", None) where none comes for a while; None once the process has ended."""
        try:
            return self._link.recv() if self._link.poll(TICK_S) else ("", None)
        except (EOFError, OSError):
            return None

    def tell(self, task: ShardTask | None) -> None:
        """The shard that was asked for, or that there is none."""
        with suppress(OSError):  # that it has ended is heard next
            self._link.send(task)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close()
        self._process.join(LEAVE_S)
        self._process.kill()
        self._process.join()
        with self._log:
            lines = Path(self._log.name).read_text(errors="replace").split("\n")
        said = (line.strip()[:300] for line in lines if line.strip())
        self.last_words = next(said, f"exit code {self._process.exitcode}")


class _Desk:
    """Hands out shards and takes receipts in, whichever process asks. over: nothing is left to do."""

    def __init__(self, orders: EngineContext, shards: Iterable[ShardTask]) -> None:
        self.over = False
        self._orders, self._feed = orders, iter(shards)
        self._owed: dict[str, ShardTask] = {}
        self._reached, self._ended = False, 0
        self._away_since: float | None = None

    def serve(self, process: _ClusterProcess) -> Generator[Receipt, None, None]:
        """Until all shards are made, the job is to stop, or the process has ended."""
        again = deque(self._owed.values())
        while (message := process.hear()) is not None:
            kind, content = message
            if kind == "next":
                process.tell(self._take(again))
            elif kind == "receipt":
                self._ended = 0
                self._owed.pop(content.shard, None)
                last = content.failures[-1].reason if content.failures else ""
                self._orders.note(content.scenes, len(content.failures), last)
                yield content
            elif kind == "reached":
                self._reached, self._away_since = True, None
            elif kind == "say":
                self._orders.say(content)
            elif kind == "error" and not (self._reached and isinstance(content, ClusterAway)):
                raise content
            self.over = kind == "over" or self._orders.stop(len(self._owed))
            if self.over:
                return

    def _take(self, again: deque[ShardTask]) -> ShardTask | None:
        task = again.popleft() if again else next(self._feed, None)
        if task is not None:
            self._owed[task.name] = task
        return task

    def wait(self, last_words: str) -> None:
        """For the next try. Raises SynthError after too many of them."""
        hint = "see the logs of Ray on its nodes ('ray logs'); finished work is kept"
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._ended += 1
            if self._ended >= MAX_ENDED:
                raise SynthError(
                    f"Ray exited {self._ended} times without finishing a shard",
                    code="cluster-lost",
                    found=last_words,
                    hint=hint,
                )
            self._orders.say("the connection to the Ray cluster has ended; going on once its head is there")
            return
        if time.monotonic() - self._away_since > AWAY_S:
            raise SynthError(
                "the head of the Ray cluster did not return", code="cluster-lost", found=last_words, hint=hint
            )
        until = time.monotonic() + CALL_S
        while time.monotonic() < until and not self.over:
            time.sleep(TICK_S)
            self.over = self._orders.stop(0)
