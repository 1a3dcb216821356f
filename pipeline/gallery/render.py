"""SKUs rendered and embedded by worker processes; what was made before a stop or a kill is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from assets.errors import SynthError
from assets.progress import StepProgress
from pipeline.gallery.task import (
    GalleryTask,
    TaskResult,
    make_task,
    read_result,
    result_path,
    start_worker,
    write_plan,
)
from pipeline.workers.pool import run_scenes
from pipeline.workers.process import SceneFunctions
from render.views import VIEWS_FORMAT

WORK = "work"
JOB = SceneFunctions(make_task, start_worker)


def plan_folder(
    gallery: Path, digests: Mapping[str, str], fingerprint: str, *, views: int, side: int, task_skus: int
) -> Path:
    """Where the work on these SKUs lies: the same work has the same folder, and is gone on with."""
    plan = [VIEWS_FORMAT, task_skus, fingerprint, views, side, sorted(digests.items())]
    return gallery / WORK / hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:16]


def make_results(
    task: GalleryTask, keys: list[str], console: Console, *, stop: Callable[[int], bool], lock: int
) -> list[TaskResult] | None:
    """The results of all tasks, in the order of the SKUs, vectors left on disk; None where it was stopped.

    A SKU that takes its process down twice is among the failed ones. Raises SynthError where no worker can work.
    """
    for other in task.out.parent.glob("*"):
        if other != task.out:
            shutil.rmtree(other, ignore_errors=True)
    write_plan(task.out, keys)
    tasks = range(-(-len(keys) // task.task_skus))
    waiting = [index for index in tasks if not result_path(task.out, index).exists()]
    done = len(keys) - sum(_size_of(task, index, len(keys)) for index in waiting)
    if done:
        console.print(f"{done} of {len(keys)} SKUs are there already: going on from there", highlight=False)
    with StepProgress(console, "gallery", total=len(keys), done=done, unit="SKUs") as progress:
        while waiting:
            left = _run(task, waiting, len(keys), progress, stop=stop, lock=lock)
            if left is None:
                return None
            waiting = left
    return [read_result(result_path(task.out, index)) for index in tasks]


def _run(
    task: GalleryTask,
    waiting: list[int],
    total: int,
    progress: StepProgress,
    *,
    stop: Callable[[int], bool],
    lock: int,
) -> list[int] | None:
    """One round over the tasks; those to be gone on with, None where it was stopped.

    Raises SynthError where a task fails for a reason that no SKU of it is to blame for.
    """
    left = []
    told = time.monotonic()
    ended = 0
    for outcome in run_scenes(JOB, task, waiting, stop=stop, lock=lock):
        ended += 1
        if outcome.reason:
            if not _struck(task.out, outcome.index):
                raise SynthError(
                    "SKUs could not be rendered",
                    code="skus-failed",
                    found=outcome.reason,
                    hint="'synth doctor' shows more",
                )
            left.append(outcome.index)
            continue
        count = _size_of(task, outcome.index, total)
        now = time.monotonic()
        progress.advance(count=count, seconds=now - told)
        told = now
    return left if ended == len(waiting) else None


def _struck(folder: Path, index: int) -> bool:
    """Whether a task that failed was at a SKU: that one has a strike more, and the next round leaves it out."""
    return (folder / f"{index:06d}.at").exists()


def _size_of(task: GalleryTask, index: int, total: int) -> int:
    return min(task.task_skus, total - index * task.task_skus)
