"""Workers: what dies is tried again, what hangs is ended, what grows is replaced, and the run goes on."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from assets.demo import demo_list
from assets.files.atomic import lock_folder
from assets.progress import Reporter
from dataset.layout import Layout, split_of
from pipeline.run.render import RunSummary, run_render
from pipeline.run.settings import RunSettings
from pipeline.workers.pool import run_scenes
from pipeline.workers.process import SceneFunctions
from support import jobs
from support.errors import raises
from support.jobs import files_of


def settings_for(tmp_path: Path, **changes: object) -> RunSettings:
    plain = RunSettings(
        sku_list=demo_list(), out=tmp_path / "set", scenes=4, cache=tmp_path / "cache", max_failures=0.5
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def run(settings: RunSettings, scene: Callable[[RunSettings, int], tuple[int, int]]) -> RunSummary:
    return run_render(settings, Reporter(Console(file=io.StringIO())), SceneFunctions(scene))


def test_a_scene_that_took_its_process_down_is_tried_once_more(tmp_path: Path) -> None:
    summary = run(settings_for(tmp_path), jobs.dies_once)
    assert (summary.images, summary.failures) == (4, [])


def test_a_scene_that_always_kills_is_listed_with_its_spec_and_the_rest_is_made(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    summary = run(settings, jobs.dies_always)
    assert summary.images == 3
    (line,) = Layout(settings.out).failures.read_text().splitlines()
    failure = json.loads(line)
    assert (failure["index"], failure["seed"], failure["scenes"]) == (1, 0, [{"recipe": "x"}])
    assert "exit code 9" in failure["reason"]


def test_a_scene_that_hangs_is_ended(tmp_path: Path) -> None:
    summary = run(settings_for(tmp_path, timeout_s=1.0), jobs.hangs)
    assert summary.images == 3
    assert "not done after 1 s" in summary.failures[0].reason


def test_a_process_that_grew_too_large_is_replaced_after_its_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.workers.pool.MIN_MEMORY_MB", 1.0)
    settings = settings_for(tmp_path, memory_mb=1)
    summary = run(settings, jobs.notes_process)
    assert (summary.images, summary.again, summary.failures) == (4, 0, [])
    assert len({file.name.split("-")[2] for file in settings.out.glob(".process-*")}) == 4


@pytest.mark.usefixtures("here")
def test_a_broken_scene_ends_no_run_and_is_not_tried_twice(tmp_path: Path) -> None:
    summary = run(settings_for(tmp_path), jobs.fails)
    assert summary.images == 3
    assert "the mesh has no triangles" in summary.failures[0].reason


@pytest.mark.usefixtures("here")
def test_failed_scenes_are_made_when_the_cause_is_mended(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.fails)
    summary = run(settings, jobs.write_scene)
    assert (summary.images, summary.made, summary.found) == (4, 1, 3)
    assert not Layout(settings.out).failures.exists()


@pytest.mark.usefixtures("here")
def test_too_many_failures_stop_the_run(tmp_path: Path) -> None:
    with raises("scenes-failed", what="4 of 4 scenes failed", expected="at most 10%"):
        run(settings_for(tmp_path, scenes=30, max_failures=0.1), jobs.fails_everywhere)


@pytest.mark.usefixtures("here")
def test_a_full_disk_stops_the_run_and_keeps_what_is_there(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with raises("disk-full", found="No space left", hint="finished work is kept"):
        run(settings, jobs.fills_the_disk)
    assert run(settings, jobs.write_scene).found == 2


def test_a_worker_that_cannot_start_ends_the_run_at_once(tmp_path: Path) -> None:
    job = SceneFunctions(jobs.write_scene, start=jobs.cannot_start)
    with raises("opengl-unavailable"):
        run_render(settings_for(tmp_path), Reporter(Console(file=io.StringIO())), job)


def test_an_abandoned_run_leaves_no_workers_and_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    settings = settings_for(tmp_path, scenes=50)
    for name in ("scenes", "images", "labels"):
        (settings.out / name).mkdir(parents=True)
    outcomes = run_scenes(SceneFunctions(jobs.leaves_a_temporary_file), settings, range(50))
    assert next(outcomes).reason == ""
    assert len(list((tmp_path / "temporary").rglob("*.left"))) > 0
    outcomes.close()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())] == []


@pytest.mark.usefixtures("here")
def test_the_same_run_twice_does_nothing_and_more_scenes_extend_it(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.write_scene)
    before = files_of(settings.out)
    assert run(settings, jobs.write_scene).made == 0
    assert files_of(settings.out) == before
    summary = run(replace(settings, scenes=6), jobs.write_scene)
    assert (summary.made, summary.found, summary.images) == (2, 4, 6)


@pytest.mark.usefixtures("here")
def test_too_many_scenes_asked_for_can_be_taken_back_before_they_are_rendered(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.write_scene)
    before, info = files_of(settings.out), Layout(settings.out).info
    info.write_text(info.read_text().replace('"scenes": 4', '"scenes": 1000'))
    assert run(settings, jobs.write_scene).found == 4
    assert files_of(settings.out) == before
    info.write_text(info.read_text().replace('"scenes": 4', '"scenes": 1000'))
    Layout(settings.out).failures.write_text('{"index": 4}\n')
    with raises("output-larger"):
        run(settings, jobs.write_scene)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"seed": 1}, "settings-differ", "seed: was 0, now 1"),
        ({"recipe": "scatter"}, "settings-differ", "recipe"),
        ({"width": 320}, "settings-differ", "width: was 640, now 320"),
        ({"preset": "good"}, "settings-differ", "preset: was 'draft', now 'good'"),
        ({"backend": "cycles"}, "settings-differ", "backend"),
        ({"extras": ("depth",)}, "settings-differ", "extras"),
        ({"scenes": 3}, "output-larger", ""),
        ({"views": 2}, "settings-differ", "views: was 1, now 2"),
        ({"splits": (("train", 0.5), ("val", 0.5))}, "settings-differ", "split"),
    ],
)
def test_other_settings_into_the_same_folder_are_refused(tmp_path: Path, change: dict, code: str, told: str) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.write_scene)
    before = files_of(settings.out)
    with raises(code, problems=told):
        run(replace(settings, **change), jobs.write_scene)
    assert files_of(settings.out) == before


def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    settings.out.mkdir()
    (settings.out / "thesis.doc").write_text("mine")
    with raises("output-not-empty"):
        run(settings, jobs.write_scene)
    assert list(files_of(settings.out)) == ["thesis.doc"]


def test_two_runs_into_one_folder_are_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with lock_folder(settings.out), raises("output-locked"):
        run(settings, jobs.write_scene)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises("output-unwritable"):
        run(settings_for(tmp_path, out=tmp_path / "file" / "set"), jobs.write_scene)


@pytest.mark.usefixtures("here")
def test_what_a_killed_run_left_half_written_is_cleaned_up(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.write_scene)
    (settings.out / "images" / ".000003_0.jpg.abc.tmp").write_bytes(b"half")
    (settings.out / "labels" / "000003_0.json").unlink()
    assert run(settings, jobs.write_scene).made == 1
    assert not list(settings.out.rglob("*.tmp"))


@pytest.mark.usefixtures("here")
def test_damaged_labels_are_told_with_their_file(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    run(settings, jobs.write_scene)
    (settings.out / "labels" / "000002_0.json").write_text('{"image": {')
    with raises("json-invalid", what="labels (are damaged|cannot be read as JSON)", where=r"000002_0\.json"):
        run(settings, jobs.write_scene)


def test_splits_hold_their_shares_for_any_number_of_scenes() -> None:
    splits = (("train", 0.8), ("val", 0.1), ("test", 0.1))
    for count in (10, 37, 200, 5000):
        names = [split_of(index, splits) for index in range(count)]
        for name, share in splits:
            assert names.count(name) == pytest.approx(share * count, abs=2)
    assert {split_of(index, (("all", 1.0),)) for index in range(1000)} == {"all"}
