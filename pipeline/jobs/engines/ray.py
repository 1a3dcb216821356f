"""Engine `ray`: a separate process talks to the cluster, since Ray kills its process when the head node is lost.

Once the head node is back, a new process resumes the shards that were in progress. One that was finished meanwhile is
made again, with the same bytes.
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

# Seconds between checks of `stop`.
TICK_S = 0.2
# Seconds that a head node may be away, and between two attempts to connect.
AWAY_S, CALL_S = 1800.0, 5.0
# Processes in a row that may end without finishing a shard.
MAX_ENDED = 5
# Seconds to disconnect from the cluster.
LEAVE_S = 10.0


def run_shards(context: EngineContext, shards: Iterable[ShardTask]) -> Iterator[Receipt]:
    """Yield the receipt of each shard once it is stored.

    Raises ClusterAway if the cluster cannot be reached, SynthError if its workers are lost repeatedly.
    """
    dispatcher = _Dispatcher(context, shards)
    while not dispatcher.over:
        with _ClusterProcess(context) as process:
            yield from dispatcher.serve(process)
        if not dispatcher.over:
            dispatcher.wait(process.last_output)


class _ClusterProcess:
    """A process that makes shards on the cluster. last_output: the first line that Ray printed, set at its end."""

    def __init__(self, context: EngineContext) -> None:
        mp_context = multiprocessing.get_context("spawn")
        self._link, child_link = mp_context.Pipe()
        self._log = tempfile.NamedTemporaryFile(prefix="synth-ray-", suffix=".log")  # noqa: SIM115
        arguments = (child_link, context.work, context.functions, context.settings, self._log.name)
        self._process = mp_context.Process(target=serve, args=arguments, daemon=True)
        with hold_signals():
            self._process.start()
        child_link.close()  # so that the pipe ends when the process does
        self.last_output = ""

    def __enter__(self) -> _ClusterProcess:
        return self

    def receive(self) -> tuple[str, Any] | None:
        """Return a message, ("", None) if none comes for a while, None once the process has ended."""
        try:
            return self._link.recv() if self._link.poll(TICK_S) else ("", None)
        except (EOFError, OSError):
            return None

    def send(self, task: ShardTask | None) -> None:
        """Send the requested shard, or None if there is no more."""
        with suppress(OSError):  # that it has ended is noticed by the next receive
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
        output = (line.strip()[:300] for line in lines if line.strip())
        self.last_output = next(output, f"exit code {self._process.exitcode}")


class _Dispatcher:
    """Sends shards to the current process and receives receipts. over: no work is left."""

    def __init__(self, context: EngineContext, shards: Iterable[ShardTask]) -> None:
        self.over = False
        self._context, self._shards = context, iter(shards)
        self._in_progress: dict[str, ShardTask] = {}
        self._connected, self._ended = False, 0
        self._away_since: float | None = None

    def serve(self, process: _ClusterProcess) -> Generator[Receipt, None, None]:
        """Serve a process until all shards are made, the job must stop, or the process has ended."""
        retries = deque(self._in_progress.values())
        while (message := process.receive()) is not None:
            kind, content = message
            if kind == "next":
                process.send(self._next_task(retries))
            elif kind == "receipt":
                self._ended = 0
                self._in_progress.pop(content.shard, None)
                last = content.failures[-1].reason if content.failures else ""
                self._context.note(content.scenes, len(content.failures), last)
                yield content
            elif kind == "connected":
                self._connected, self._away_since = True, None
            elif kind == "report":
                self._context.report(content)
            elif kind == "error" and not (self._connected and isinstance(content, ClusterAway)):
                raise content
            self.over = kind == "over" or self._context.stop(len(self._in_progress))
            if self.over:
                return

    def _next_task(self, retries: deque[ShardTask]) -> ShardTask | None:
        task = retries.popleft() if retries else next(self._shards, None)
        if task is not None:
            self._in_progress[task.name] = task
        return task

    def wait(self, last_output: str) -> None:
        """Wait before the next attempt. Raises SynthError after too many attempts."""
        hint = "see the logs of Ray on its nodes ('ray logs'); finished work is kept"
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._ended += 1
            if self._ended >= MAX_ENDED:
                raise SynthError(
                    f"Ray exited {self._ended} times without finishing a shard",
                    code="cluster-lost",
                    found=last_output,
                    hint=hint,
                )
            self._context.report("lost the connection to the Ray cluster; resuming once its head node is back")
            return
        if time.monotonic() - self._away_since > AWAY_S:
            raise SynthError(
                "the head of the Ray cluster did not return", code="cluster-lost", found=last_output, hint=hint
            )
        until = time.monotonic() + CALL_S
        while time.monotonic() < until and not self.over:
            time.sleep(TICK_S)
            self.over = self._context.stop(0)
