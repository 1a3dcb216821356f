"""Whatever a scene does to its process, that scene alone is blamed, and all others are made."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.files.atomic import atomic_file, lock_folder, write_atomic
from assets.files.source_pins import SourcePins
from assets.machine import memory_share_mb
from assets.progress import Reporter, duration_text, rate_text
from dataset.layout import Layout
from pipeline.run.dataset_info import check_sources
from pipeline.run.failures import FailureList, read_failures
from pipeline.run.render import RunSummary, run_render
from pipeline.run.settings import RunSettings
from pipeline.workers.disk_errors import disk_error, takes_no_more
from pipeline.workers.pool import Outcome, run_scenes
from pipeline.workers.process import SceneFunctions
from render.recipes import load_recipe
from support import jobs
from support.console import quiet
from support.errors import raises

Scene = Callable[[RunSettings, int], tuple[int, int]]


def settings_for(tmp_path: Path, **changes: object) -> RunSettings:
    plain = RunSettings(
        sku_list=demo_list(), out=tmp_path / "set", scenes=5, cache=tmp_path / "cache", workers=2, max_failures=0.5
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def run(settings: RunSettings, scene: Scene, **job: object) -> RunSummary:
    return run_render(settings, quiet(), SceneFunctions(scene, **job))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (jobs.segfaults, "died (SIGSEGV)"),
        (jobs.aborts, "died (SIGABRT)"),
        (jobs.exits, "died (exit code 0)"),  # leaves no error, and must not be waited for
        (jobs.raises_exit, "SystemExit: 3"),
        (jobs.raises_what_cannot_be_sent, "Local"),
    ],
)
def test_a_scene_that_ends_its_process_is_blamed_alone(tmp_path: Path, scene: Scene, reason: str) -> None:
    settings = settings_for(tmp_path)
    summary = run(settings, scene)
    assert summary.made == 4
    (failure,) = summary.failures
    assert (failure.index, failure.attempts) == (1, 2)
    assert reason in failure.reason


def test_native_code_that_hangs_and_hears_no_signal_is_ended(tmp_path: Path) -> None:
    summary = run(settings_for(tmp_path, timeout_s=1.0), jobs.stuck_once)
    assert (summary.made, summary.again, summary.failures) == (5, 1, [])


@pytest.mark.parametrize("start", [jobs.stuck_at_start, jobs.dies_at_first_start])
def test_a_process_lost_at_its_start_is_replaced_and_no_scene_blamed(
    tmp_path: Path, start: Callable[[RunSettings], None]
) -> None:
    # Long enough for Python to start on a busy machine.
    summary = run(settings_for(tmp_path, workers=1), jobs.write_scene, start=start, start_timeout_s=4.0)
    assert (summary.made, summary.again, summary.failures) == (5, 0, [])


def test_workers_that_never_start_end_the_run(tmp_path: Path) -> None:
    with raises("worker-start-failed", what="3 workers in a row could not start", found="SIGSEGV", hint="synth doctor"):
        run(settings_for(tmp_path), jobs.write_scene, start=jobs.dies_at_start)


def test_a_scene_short_of_memory_is_tried_again_in_a_fresh_process(tmp_path: Path) -> None:
    summary = run(settings_for(tmp_path), jobs.short_of_memory)
    assert (summary.made, summary.again, summary.failures) == (5, 1, [])


def test_scenes_killed_for_memory_get_the_machine_to_themselves(tmp_path: Path) -> None:
    summary = run(settings_for(tmp_path, scenes=6, workers=3), jobs.killed_unless_alone)
    assert (summary.made, summary.again, summary.failures) == (6, 3, [])


def test_workers_killed_from_outside_while_idle_or_at_work_harm_at_most_their_scene(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, scenes=30)
    for name in ("scenes", "images", "labels"):
        (settings.out / name).mkdir(parents=True)
    outcomes = run_scenes(SceneFunctions(jobs.slow), settings, range(30))
    ended = []
    for outcome in outcomes:
        ended.append(outcome)
        if outcome.index % 6 == 0 and psutil.pid_exists(outcome.worker):
            os.kill(outcome.worker, signal.SIGKILL)  # it has just been idle, and may be at its next scene by now
    assert sorted(outcome.index for outcome in ended) == list(range(30))
    assert [outcome.reason for outcome in ended if outcome.reason] == []


def test_workers_hold_the_lock_and_go_first_for_memory(tmp_path: Path) -> None:
    assert run(settings_for(tmp_path), jobs.holds_the_lock).made == 5


def test_the_folder_stays_locked_while_a_process_that_was_given_the_lock_lives(tmp_path: Path) -> None:
    with lock_folder(tmp_path) as lock:
        orphan = subprocess.Popen(["sleep", "1000"], pass_fds=[lock])
    try:
        with raises("output-locked"), lock_folder(tmp_path):
            pass
    finally:
        orphan.kill()
        orphan.wait()
    with lock_folder(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
    assert (tmp_path / ".lock").read_bytes() == b""


def test_who_holds_a_folder_is_told(tmp_path: Path) -> None:
    told = rf"process {os.getpid()} on .+ since 20\d\d-"
    with lock_folder(tmp_path), raises("output-locked", found=told), lock_folder(tmp_path):
        pass


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with raises("locks-unsupported", hint="local disk"), lock_folder(tmp_path):
        pass


def test_a_failure_names_the_view_and_how_far_it_had_come(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, views=2)
    run(settings, jobs.dies_while_drawing)
    record = read_failures(Layout(settings.out).failures)[1]
    assert (record["seed"], record["index"], record["view"], record["recipe"]) == (0, 1, 1, "tabletop")
    assert (record["stage"], record["attempts"], record["scenes"]) == ("drawing the scene", 2, [{"recipe": "x"}])


def test_failures_are_told_once_and_no_longer_than_they_last(tmp_path: Path) -> None:
    """In the order of the scenes, the last reason of each; what was made in the end and what is no line is gone."""
    settings = settings_for(tmp_path)
    settings.out.mkdir()
    path = Layout(settings.out).failures
    path.write_text('{"index": 7, "reason": "old"}\n{"index": 2, "reason": "old"}\n{"index": 4}\n{"index": 3, "rea')
    failures = FailureList(settings, {4})
    failures.add(Outcome(7, reason="new"))
    failures.add(Outcome(0, reason="new"))
    failures.drop(2)
    found = [(record["index"], record["reason"]) for record in map(json.loads, path.read_text().splitlines())]
    assert found == [(2, "old"), (7, "old"), (7, "new"), (0, "new")]  # nothing is lost by a kill at this moment
    failures.settle()
    found = [(record["index"], record["reason"]) for record in map(json.loads, path.read_text().splitlines())]
    assert found == [(0, "new"), (7, "new")]
    failures.drop(0)
    failures.drop(7)
    failures.settle()
    assert not path.exists()


@pytest.mark.usefixtures("here")
def test_a_run_of_failures_alone_stops_early_and_the_last_bad_scenes_of_a_set_do_not(tmp_path: Path) -> None:
    with raises("scenes-failed", what="10 of 10 scenes failed"):
        run(settings_for(tmp_path, scenes=1000), jobs.fails_everywhere)
    settings = settings_for(tmp_path, out=tmp_path / "other", scenes=40, max_failures=0.1)
    run(settings_for(tmp_path, out=tmp_path / "other", scenes=37), jobs.write_scene)
    summary = run(settings, jobs.fails_everywhere)  # the 3 that are missing: under a tenth of the set
    assert (summary.found, len(summary.failures), summary.images) == (37, 3, 37)


def test_files_too_large_for_the_system_stop_the_run(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, workers=1)
    with raises("disk-full", hint="is kept"):
        run(settings, jobs.writes_too_much)
    assert not list(settings.out.rglob("*.tmp"))
    assert run(settings, jobs.write_scene).found == 2


def test_only_errors_of_the_output_folder_mean_that_it_is_full_or_closed(tmp_path: Path) -> None:
    inside, elsewhere = str(tmp_path / "images" / "a.jpg"), "/models/secret.glb"
    assert takes_no_more(PermissionError(errno.EACCES, "", inside), tmp_path)
    assert not takes_no_more(PermissionError(errno.EACCES, "", elsewhere), tmp_path)
    assert takes_no_more(OSError(errno.ENOSPC, ""), tmp_path)
    assert not takes_no_more(OSError(errno.ECONNRESET, ""), tmp_path)
    for number, code in ((errno.ENOSPC, "disk-full"), (errno.EROFS, "output-unwritable"), (errno.EIO, "disk-failed")):
        assert disk_error(tmp_path, OSError(number, "")).code == code


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_where_writing_fails_the_old_file_stays_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_atomic(tmp_path / "a", b"old")

    def fail(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OSError, match="No space left"), atomic_file(tmp_path / "a") as file:
        file.write(b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"old")]


def test_a_mesh_that_vanishes_in_the_middle_fails_its_scenes_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "skus.csv"
    path.write_text("sku,mesh\ndemo-0001,a.obj\n")
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    settings = settings_for(tmp_path, sku_list=path, scenes=2, workers=1)
    summary = run(settings, jobs.loads_its_mesh)
    (failure,) = summary.failures
    assert (failure.index, summary.made) == (1, 1)
    assert "a.obj" in failure.reason
    (tmp_path / "away.obj").rename(tmp_path / "a.obj")
    summary = run(settings, jobs.write_scene)
    assert (summary.found, summary.made, summary.failures) == (1, 1, [])
    assert not Layout(settings.out).failures.exists()


@pytest.mark.usefixtures("here")
def test_more_scenes_of_other_products_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path, scenes=1, workers=1)
    run(settings, jobs.write_scene)
    layout = Layout(settings.out)
    SourcePins(layout.sources).pin("demo-0001", "of other files")
    before = {file: file.read_bytes() for file in (layout.info, layout.sources)}
    monkeypatch.setattr("pipeline.run.render.check_sources", lambda pins, library: pins.check(lambda sku: "of these"))
    with raises("product-files-changed"):
        run(replace(settings, scenes=2), jobs.write_scene)
    assert {file: file.read_bytes() for file in before} == before
    assert run(settings, jobs.write_scene).found == 1


@pytest.mark.usefixtures("here")
def test_a_list_that_changes_in_the_middle_lets_no_new_worker_start(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.write_scene)
    recipe = load_recipe(settings.recipe)
    check_sources(Layout(settings.out), load_catalog(settings.sku_list), recipe, settings.backend)
    shorter = tmp_path / "skus.csv"
    shorter.write_text("".join(settings.sku_list.read_text().splitlines(keepends=True)[:3]))
    with raises("list-changed"):
        check_sources(Layout(settings.out), load_catalog(shorter), recipe, settings.backend)


@pytest.mark.usefixtures("here")
def test_files_that_go_missing_in_the_middle_never_end_well(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, workers=1)
    with raises("scenes-lost", what="1 rendered scene", hint="same command"):
        run(settings, jobs.deletes_labels)
    assert run(settings, jobs.write_scene).made == 1


def test_the_time_left_follows_from_the_scenes_of_this_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """90 of 100 scenes were there; two in 20 s leave 8 for 80 s, one of them failed."""
    clock = iter([0.0, 0.0, 10.0, 20.0])
    monkeypatch.setattr("assets.progress.time.monotonic", lambda: next(clock))
    told = io.StringIO()
    with Reporter(Console(file=told, width=200)).scenes(100, 90) as progress:
        progress.advance(failed=False)
        progress.advance(failed=True)
    assert told.getvalue().splitlines()[0] == "90 of 100 scenes are finished already: resuming"
    assert told.getvalue().splitlines()[-1] == "rendering: 92/100 scenes, 10.0 s/scene, 80 s left, 1 failed"


def test_memory_is_shared_between_workers() -> None:
    assert memory_share_mb(4) == pytest.approx(memory_share_mb(1) / 4)
    assert 0 < memory_share_mb(1) * 2**20 <= 0.8 * psutil.virtual_memory().total


def test_rates_and_times_read_well() -> None:
    assert [rate_text(rate) for rate in (12.345, 0.25)] == ["12.35 scenes/s", "4.0 s/scene"]
    told = [duration_text(seconds) for seconds in (45, 700, 12_000, 187_200)]
    assert told == ["45 s", "12 min", "3 h 20 min", "2 d 4 h"]
