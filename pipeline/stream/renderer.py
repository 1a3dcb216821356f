"""Rendering of a stream's scenes ahead of their use, by the worker pool, in a thread of the training."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from assets.errors import SynthError
from assets.files.source_pins import SourcePins
from dataset.layout import Layout
from dataset.shards.index import ShardSample
from dataset.shards.tar import samples_of
from detectors.data.source import LiveCounts
from pipeline.run.settings import RunSettings
from pipeline.stream.scene import STREAMING
from pipeline.workers.pool import Outcome, WorkerPool
from pipeline.workers.process import SceneFunctions

# A scene that fails is replaced by the one so many scenes later, which no training reaches.
REPLACEMENT = 10**9
# Below this number of failed scenes a training continues, whatever their share.
MIN_FAILURES = 3
# If this many fail and none succeeds, the training stops early.
MAX_ONLY_FAILURES = 10
# Failures are a share of at least so many scenes, since few say little.
MIN_SCENES = 100


class StreamRenderer:
    """The worker pool of a stream and the scenes that it has in memory; a context manager that ends all workers.

    Workers are started when the first scene is wanted. Any thread may call `want` and `scene`.
    """

    def __init__(self, settings: RunSettings, functions: SceneFunctions = STREAMING) -> None:
        self.settings, self._functions = settings, functions
        self._changed = threading.Condition()
        self._held: dict[int, list[ShardSample]] = {}
        self._requested: set[int] = set()
        self._queue: list[int] = []
        self._first = 0
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._counts = LiveCounts()
        self._began = 0.0

    def __enter__(self) -> StreamRenderer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def counts(self) -> LiveCounts:
        """What was rendered so far."""
        return self._counts

    @property
    def in_memory(self) -> int:
        """Number of scenes in memory."""
        return len(self._held)

    def want(self, scenes: range) -> None:
        """Render these scenes next, in their order, and drop those before them.

        Calls may come in any order, as those of several threads do: what was dropped too early is rendered again.
        """
        with self._changed:
            self._first = max(self._first, scenes.start)
            for scene in [scene for scene in self._held if scene < self._first]:
                del self._held[scene]
            self._request([scene for scene in scenes if scene >= self._first])

    def scene(self, index: int) -> Sequence[ShardSample]:
        """Return the views of a scene once it is rendered. Raises SynthError if no scene can be rendered."""
        with self._changed:
            while index not in self._held:
                self._check()
                self._request([index])
                self._changed.wait()
            return self._held[index]

    def close(self) -> None:
        """End all workers; whoever waits for a scene gets an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise RuntimeError("the stream is closed")

    def _request(self, scenes: Sequence[int]) -> None:
        new = [scene for scene in scenes if scene not in self._held and scene not in self._requested]
        if not new:
            return
        self._requested.update(new)
        self._queue += new
        if self._thread is None:
            self._began = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        """Render what is wanted until the stream is closed; an error reaches those who wait for a scene."""
        try:
            with WorkerPool(self._functions, self.settings) as pool:
                while self._take_queue(pool):
                    pool.dispatch()
                    for outcome in pool.poll():
                        self._handle(outcome)
                pool.shutdown()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            with suppress(OSError, SynthError):  # their order depends on the workers
                SourcePins(Layout(self.settings.out).sources).settle()

    def _take_queue(self, pool: WorkerPool) -> bool:
        """Pass new requests to the pool, and wait for one if it has nothing to do; returns False once closed."""
        with self._changed:
            while not self._closed and not self._queue and not pool.has_work(False):
                self._changed.wait()
            pool.add(self._queue)
            self._queue = []
            return not self._closed

    def _handle(self, outcome: Outcome) -> None:
        scene, counts = outcome.index % REPLACEMENT, self._counts
        samples = [] if outcome.reason else list(samples_of(outcome.content, f"scene {outcome.index}"))
        seconds = time.monotonic() - self._began
        with self._changed:
            if outcome.reason:
                reason = counts.reason or f"scene {outcome.index}: {outcome.reason}"
                self._counts = LiveCounts(counts.scenes, counts.failed + 1, seconds, reason)
                self._queue.insert(0, outcome.index + REPLACEMENT)
            else:
                self._counts = LiveCounts(counts.scenes + 1, counts.failed, seconds, counts.reason)
                self._requested.discard(scene)
                self._held[scene] = samples
                self._changed.notify_all()
        self._check_failures()

    def _check_failures(self) -> None:
        """Raise SynthError if too many scenes fail."""
        counts, share = self._counts, self.settings.max_failures
        tried = counts.scenes + counts.failed
        too_many = counts.failed >= MIN_FAILURES and counts.failed > share * max(tried, MIN_SCENES)
        if too_many or (counts.failed >= MAX_ONLY_FAILURES and not counts.scenes):
            raise SynthError(
                f"{counts.failed} of {tried} scenes failed, so the training stops",
                code="scenes-failed",
                found=counts.reason,
                expected=f"at most {share:.0%}",
                hint="fix the cause and run the same command again; saved progress is kept",
            )
