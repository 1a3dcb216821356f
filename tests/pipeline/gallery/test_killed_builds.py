"""Builds of a gallery that are killed at a SKU, which is not blamed for it; one that crashes its processes is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipeline.gallery import render
from pipeline.gallery.render import make_results
from pipeline.gallery.task import CrashCounter, GalleryTask, TaskResult, crashes_path, result_path
from pipeline.workers.pool import Outcome

KEYS = ["a", "b", "c"]


def worked(task: GalleryTask, index: int, *, ends_at: str = "", crashes_at: str = "") -> Outcome:
    """A task as workers do it, in this process: `ends_at` ends all of it, `crashes_at` the worker alone."""
    made, failed = [], []
    counter = CrashCounter(crashes_path(task.out, index))
    for key in KEYS:
        if counter.exceeded(key):
            failed.append((key, "it crashed"))
            continue
        counter.count(key)
        if key == ends_at:
            os._exit(9)
        if key == crashes_at:
            return Outcome(index, reason="the worker process died")
        made.append(key)
    counter.delete()
    np.save(result_path(task.out, index).with_suffix(".npy"), np.zeros((len(made), 2), np.float32))
    stored = {"made": made, "fronts": [0] * len(made), "failed": failed}
    result_path(task.out, index).write_text(json.dumps(stored))
    return Outcome(index, images=len(made))


def build(folder: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> list[TaskResult]:
    def run(functions: object, task: GalleryTask, pending: list[int], **options: Any) -> Iterator[Outcome]:
        yield from (worked(task, index, **how) for index in pending)

    monkeypatch.setattr(render, "run_scenes", run)
    task = GalleryTask(sku_list=Path("x"), out=folder / "work", embedder=folder, views=1, side=8, cache=folder)  # type: ignore[arg-type]
    found = make_results(task, KEYS, Console(quiet=True), stop=lambda running: False, lock=0)
    assert found is not None
    return found


def test_a_build_killed_again_and_again_at_one_sku_leaves_none_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        child = os.fork()
        if child == 0:
            build(tmp_path, monkeypatch, ends_at="b")
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (result,) = build(tmp_path, monkeypatch)
    assert (result.made, result.failed) == (tuple(KEYS), ())


def test_a_sku_that_crashes_its_processes_is_left_out_by_the_call_that_saw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (result,) = build(tmp_path, monkeypatch, crashes_at="b")
    assert result.made == ("a", "c") and [key for key, _ in result.failed] == ["b"]
