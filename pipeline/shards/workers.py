"""The same work on many shards in several processes: results in order, few of them waiting."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from assets.errors import SynthError
from assets.interrupt import hold_signals
from pipeline.workers.process import guard_process

T = TypeVar("T")
S = TypeVar("S")
# Tasks handed out beyond those being worked on.
AHEAD = 4


def map_shards(work: Callable[[S], T], items: Iterable[S], workers: int) -> Iterator[T]:
    """`work` of each item, in order. workers: processes; with one it happens here.

    Raises SynthError if a process died.
    """
    if workers == 1:
        yield from map(work, items)
        return
    # Fresh processes: connections to a storage do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=guard_process) as pool:
        source, waiting = iter(items), deque[Future[T]]()
        try:
            count = workers + AHEAD
            while True:
                with hold_signals():  # processes are born here
                    waiting.extend(pool.submit(work, item) for item in islice(source, count))
                if not waiting:
                    return
                yield waiting.popleft().result()
                count = 1
        except BrokenProcessPool as error:
            raise SynthError(
                "a process died while working on a shard",
                code="worker-lost",
                hint="give fewer --workers: memory may be short",
            ) from error
        finally:
            for future in waiting:
                future.cancel()
