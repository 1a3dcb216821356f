"""Rendering and embedding of SKUs by worker processes; an interrupted run resumes."""

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
    crashes_path,
    forget_crashes,
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
TASK_FUNCTIONS = SceneFunctions(make_task, start_worker)


def plan_folder(
    gallery: Path, digests: Mapping[str, str], fingerprint: str, *, views: int, side: int, task_skus: int
) -> Path:
    """Return the folder of the work on these SKUs: the same work has the same folder, so that it is resumed."""
    plan = [VIEWS_FORMAT, task_skus, fingerprint, views, side, sorted(digests.items())]
    return gallery / WORK / hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:16]


def make_results(
    task: GalleryTask, keys: list[str], console: Console, *, stop: Callable[[int], bool], lock: int
) -> list[TaskResult] | None:
    """Return the results of all tasks in the order of the SKUs, with vectors left on disk; None if stopped.

    A SKU that crashes its process twice within a call is among the failed ones. Raises SynthError if no worker starts.
    """
    for other in task.out.parent.glob("*"):
        if other != task.out:
            shutil.rmtree(other, ignore_errors=True)
    write_plan(task.out, keys)
    # Of a run that was killed: its SKUs did nothing wrong. Those that crash a process do so again while this one lives.
    forget_crashes(task.out)
    tasks = range(-(-len(keys) // task.task_skus))
    pending = [index for index in tasks if not result_path(task.out, index).exists()]
    done = len(keys) - sum(_task_size(task, index, len(keys)) for index in pending)
    if done:
        console.print(f"{done} of {len(keys)} SKUs are finished already: resuming", highlight=False)
    with StepProgress(console, "gallery", total=len(keys), done=done, unit="SKUs") as progress:
        while pending:
            remaining = _run_round(task, pending, len(keys), progress, stop=stop, lock=lock)
            if remaining is None:
                return None
            pending = remaining
    return [read_result(result_path(task.out, index)) for index in tasks]


def _run_round(
    task: GalleryTask,
    pending: list[int],
    total: int,
    progress: StepProgress,
    *,
    stop: Callable[[int], bool],
    lock: int,
) -> list[int] | None:
    """Run the tasks once; return those to run again, None if stopped.

    Raises SynthError if a task fails for a reason that no SKU of it caused.
    """
    remaining = []
    last = time.monotonic()
    ended = 0
    for outcome in run_scenes(TASK_FUNCTIONS, task, pending, stop=stop, lock=lock):
        ended += 1
        if outcome.reason:
            if not _crashed_on_sku(task.out, outcome.index):
                raise SynthError(
                    "SKUs could not be rendered",
                    code="skus-failed",
                    found=outcome.reason,
                    hint="'synth doctor' shows more",
                )
            remaining.append(outcome.index)
            continue
        count = _task_size(task, outcome.index, total)
        now = time.monotonic()
        progress.advance(count=count, seconds=now - last)
        last = now
    return remaining if ended == len(pending) else None


def _crashed_on_sku(folder: Path, index: int) -> bool:
    """Return whether a failed task was at a SKU, which the next rounds skip after MAX_CRASHES."""
    return crashes_path(folder, index).exists()


def _task_size(task: GalleryTask, index: int, total: int) -> int:
    return min(task.task_skus, total - index * task.task_skus)
