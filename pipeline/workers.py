"""Scenes spread over worker processes: bounded, replaced when they die, recycled when they grow, stopped when hung."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from pipeline.run_settings import RunSettings
from pipeline.scene_job import RECYCLED, CannotStart, prepare_process

# Libraries that would each take all cores in every worker.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS")
# Scenes handed to the pool ahead of time: enough to keep it busy, few enough to stop at once.
AHEAD = 2
ATTEMPTS = 2
Job = Callable[[RunSettings, int], tuple[int, int]]


# With these no scene could be written: the run ends instead of failing scene by scene.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def no_room(folder: Path, error: OSError) -> SynthError:
    """The error for a disk that takes no more."""
    hint = "make room (or write permission) and give the same command again: what is finished is kept"
    return SynthError("the data set cannot be written", where=str(folder), found=str(error), hint=hint)


@dataclass(frozen=True)
class Outcome:
    """What became of a scene. reason: "" where it was made, else why not."""

    index: int
    images: int = 0
    annotations: int = 0
    reason: str = ""


def run_scenes(job: Job, settings: RunSettings, indices: Iterable[int]) -> Generator[Outcome, None, None]:
    """The outcome of each scene as it ends, in any order. Scenes that take a process down are tried once more.

    Raises CannotStart where no worker can work. Leaving the iterator early ends all workers at once.
    """
    from pebble import ProcessPool

    waiting: deque[tuple[int, int]] = deque((index, 1) for index in indices)
    running: dict[Future[Any], tuple[int, int]] = {}
    context = multiprocessing.get_context("spawn")
    with _thread_limits(settings.threads):
        pool = ProcessPool(max_workers=settings.workers, context=context, initializer=prepare_process)
        try:
            while waiting or running:
                while waiting and len(running) < settings.workers + AHEAD:
                    index, attempt = waiting.popleft()
                    future = pool.schedule(job, args=(settings, index), timeout=settings.timeout_s)
                    running[future] = (index, attempt)
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    index, attempt = running.pop(future)
                    outcome = _outcome(future, index, attempt, settings)
                    if outcome is None:
                        waiting.appendleft((index, attempt + (_exit_code(future) != RECYCLED)))
                    else:
                        yield outcome
            pool.close()
        except BaseException:
            pool.stop()
            raise
        finally:
            # A caller that stops iterating closes this generator here too: stop() is harmless after close().
            if running:
                pool.stop()
            pool.join()


def _outcome(future: Future[Any], index: int, attempt: int, settings: RunSettings) -> Outcome | None:
    """None where the scene is to be tried again."""
    from pebble import ProcessExpired

    try:
        images, annotations = future.result()
        return Outcome(index, images, annotations)
    except CannotStart:
        raise
    except SynthError as error:
        return Outcome(index, reason=str(error))  # the same scene fails in the same way every time
    except ProcessExpired as error:
        if error.exitcode == RECYCLED:
            return None
        reason = f"the worker process died (exit code {error.exitcode})"
    except TimeoutError:
        reason = f"not done after {settings.timeout_s:g} s"
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(settings.out, error) from error
        reason = f"{type(error).__name__}: {error}"
    except Exception as error:  # whatever a renderer raises ends its scene, never the run
        reason = f"{type(error).__name__}: {error}"
    return None if attempt < ATTEMPTS else Outcome(index, reason=reason)


def _exit_code(future: Future[Any]) -> int | None:
    return getattr(future.exception(), "exitcode", None)


@contextmanager
def _thread_limits(threads: int) -> Iterator[None]:
    """Environment that workers are born with: each takes its share of the cores and no more."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update({name: before[name] or str(threads) for name in THREAD_VARIABLES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
