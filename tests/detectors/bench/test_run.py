"""Comparisons: resumed to the same weights, whatever detectors do, stopped in good order."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from assets.errors import SynthError
from detectors.bench import run as module
from detectors.bench import work
from detectors.bench.processes import Ending
from detectors.bench.run import run_bench
from detectors.bench.settings import BenchSettings
from detectors.bench.work import train_row
from detectors.checkpoints.detector import LAST, load_checkpoint
from pipeline.cli.main import main
from support.errors import raises
from support.paths import ROOT
from support.sets.shapes import QUIET, write_shapes

OWN = str(ROOT / "examples" / "own_detector.py")
CRASHING = '''"""Ends the process."""
import os
LONG_SIDE, FIXED_SIZE, LEARNING_RATE, NEEDS_MASKS = 64, None, 1e-3, False
MEAN, STD = (0.5,) * 3, (0.5,) * 3
def build(spec):
    os._exit(7)
'''


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 8, seed=1, groups=4)


@pytest.fixture
def settings(shapes: Path, tmp_path: Path) -> BenchSettings:
    return BenchSettings(
        data=shapes,
        judged=0.5,
        out=tmp_path / "bench",
        detectors=("yolo",),
        backbones=("test_efficientnet",),
        weights="none",
        steps=10,
        batch=2,
        augment="none",
        sizes=((64, 64),),
        repeats=5,
        together=2,
        threads=1,
        workers=0,
    )


def here(work: Callable[..., Any], *arguments: Any, **options: Any) -> Ending:
    """Work in this process."""
    return Ending("finished", work(*arguments))


def pretend(*endings: Ending) -> tuple[Callable[..., Ending], list[str]]:
    """A process that ends as said, and the rows that it was started for."""
    left, started = list(endings), []

    def start(work: Callable[..., Any], settings: BenchSettings, row: Any, folder: Path, **options: Any) -> Ending:
        started.append(f"{work.__name__} {row.name}")
        return left.pop(0)

    return start, started


@pytest.fixture
def facts_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Third parties' files run in this process."""
    from detectors.bench import describe

    monkeypatch.setattr(describe, "run_process", here)


ROW = "yolo-test_efficientnet-64x64"


@pytest.mark.usefixtures("facts_here")
def test_two_detectors_in_numbers_then_nothing_is_left(settings: BenchSettings) -> None:
    settings = replace(settings, detectors=("yolo", OWN), judged=0.25)
    result = run_bench(settings, QUIET, run=here)
    assert result.finished and [one.status for one in result.rows] == ["done"] * 2
    one, own = result.rows
    assert one.settings is not None and one.times is not None and one.costs is not None and one.data is not None
    assert (one.name, one.settings.width, one.settings.steps, one.settings.threads) == (ROW, 64, 10, 1)
    assert (one.data.images, one.data.judged_images, one.data.judged_groups) == (6, 2, 1)
    assert set(one.metrics) >= {"AP", "AP50", "APs"} and one.times.repeats == 5
    assert one.costs.flops is not None and own.costs is not None and one.costs.flops > (own.costs.flops or 0) > 1e6
    content = json.loads((settings.out / "rows" / ROW / "row.json").read_text())
    assert content["versions"]["torch"] == torch.__version__.split("+")[0] and "1 thread" in content["hardware"]
    assert (settings.out / "rows" / ROW / "evaluation" / "index.html").exists()
    nothing, started = pretend()
    assert run_bench(settings, QUIET, run=nothing).rows == result.rows and started == []


@pytest.mark.usefixtures("facts_here")
def test_a_stopped_row_resumes_to_the_weights_of_one_that_was_not(
    settings: BenchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, detectors=(OWN,), backbones=())
    whole = replace(settings, out=tmp_path / "whole")
    folder = Path("rows") / "own_detector-64x64"
    row = run_bench(whole, QUIET, run=here).rows[0]
    assert row.status == "done"
    note = work.UnjudgedTask.note_step

    def stop_after_four(task: Any, batch: Any, step: int, process: Any) -> None:
        note(task, batch, step, process)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(work.UnjudgedTask, "note_step", stop_after_four)
        assert not run_bench(settings, QUIET, run=here).finished
    assert load_checkpoint(settings.out / folder / "run" / LAST).step == 4
    assert run_bench(settings, QUIET, run=here).finished
    one, other = (load_checkpoint(out / folder / "run").weights for out in (settings.out, whole.out))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_rows_that_end_otherwise(settings: BenchSettings) -> None:
    """What broke and what lacks something are told apart; kept by the next call; tried again only if asked for."""
    settings = replace(settings, detectors=("yolo", "fcos", "ssdlite"))
    run, started = pretend(
        Ending("failed", reason="it hung", code="row-silent"),
        Ending("refused", reason="no masks", code="masks-missing"),
        Ending("refused", reason="not finite", code="loss-not-finite"),
    )
    result = run_bench(settings, QUIET, run=run)
    assert [(one.status, one.reason, one.code) for one in result.rows] == [
        ("failed", "it hung", "row-silent"),
        ("skipped", "no masks", "masks-missing"),
        ("failed", "not finite", "loss-not-finite"),
    ]
    run, again = pretend(*[Ending("failed", reason="still", code="row-crashed")] * 3)
    assert run_bench(settings, QUIET, run=run).rows == result.rows and again == []
    retried = run_bench(replace(settings, retry=True), QUIET, run=run)
    assert again == started and {one.reason for one in retried.rows} == {"still"}


def test_after_its_minutes_a_call_ends_and_the_next_one_goes_on(settings: BenchSettings) -> None:
    settings = replace(settings, detectors=("yolo", "fcos"))
    record = module._unmade(module.PlannedRow("yolo-test_efficientnet-64x64", "yolo"), "as if done", "")
    run, started = pretend(Ending("finished", True), Ending("finished", record), Ending("stopped"))
    result = run_bench(settings, QUIET, run=run)
    assert len(result.rows) == 1 and result.planned == 2 and len(started) == 3
    run, started = pretend()
    late = replace(settings, minutes_in_all=1e-6)
    time.sleep(0.001)
    assert run_bench(late, QUIET, run=run).planned == 2 and started == []


def test_minutes_become_steps(settings: BenchSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 6 images/s in batches of 2, half a minute is 90 steps; they stay the same when a row is resumed."""
    called: list[tuple[str, int]] = []

    def train(settings: Any, row: Any, out: Path, progress: Any, console: Any) -> Any:
        called.append((out.name, progress.steps))
        return work.TrainSummary(out, True, progress.steps, {}, {"real": 9}, images_per_second=6.0, seconds=5.0)

    monkeypatch.setattr(work, "_train", train)
    settings = replace(settings, steps=None, minutes=0.5)
    row = module.PlannedRow("a", "yolo")
    assert train_row(settings, row, tmp_path) and train_row(settings, row, tmp_path)
    assert called == [("pilot", 10), ("run", 90)]


def test_weights_that_do_not_suit_a_detector_are_left_out(
    settings: BenchSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The row says that it started from nothing; other mistakes stay mistakes."""
    called: list[str] = []

    def train(settings: Any, row: Any, out: Path, progress: Any, console: Any) -> Any:
        called.append(progress.weights)
        if progress.weights != "none":
            raise SynthError("no", code=code)
        return work.TrainSummary(out, True, progress.steps, {})

    monkeypatch.setattr(work, "_train", train)
    row, settings = module.PlannedRow("a", "yolo"), replace(settings, weights="packaged")
    code = "weights-unavailable"
    assert train_row(settings, row, tmp_path / "a") and called == ["packaged", "none"]
    progress = work.read_progress(tmp_path / "a")
    assert progress is not None and progress.weights == "none"
    code = "masks-missing"
    with raises("masks-missing"):
        train_row(settings, row, tmp_path / "b")


def test_bad_data_ends_it_before_anything_is_trained(settings: BenchSettings, tmp_path: Path) -> None:
    one = write_shapes(tmp_path / "one", 3, seed=1, groups=1)
    run, started = pretend()
    with raises("groups-too-few"):
        run_bench(replace(settings, data=one, out=tmp_path / "a"), QUIET, run=run)
    with raises("unknown-name"):
        run_bench(replace(settings, detectors=("yollo",), out=tmp_path / "b"), QUIET, run=run)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "letter.txt").touch()
    with raises("output-not-empty"):
        run_bench(settings, QUIET, run=run)
    assert started == []


def test_other_settings_are_refused_more_detectors_are_not(settings: BenchSettings) -> None:
    run, _ = pretend(*[Ending("failed", reason="broke", code="row-crashed")] * 2)
    run_bench(settings, QUIET, run=run)
    with raises("settings-differ"):
        run_bench(replace(settings, batch=4), QUIET, run=run)
    more = run_bench(replace(settings, detectors=("fcos",)), QUIET, run=run)
    assert [one.asked for one in more.rows] == ["fcos", "yolo"] and more.finished


def test_a_crashing_file_becomes_a_row(settings: BenchSettings, tmp_path: Path) -> None:
    """The command as users give it, with processes."""
    file = tmp_path / "crash.py"
    file.write_text(CRASHING)
    words = ["bench", "--data", str(settings.data), "--detectors", str(file), "--weights", "none", "--steps", "10"]
    words += ["--batch", "2", "--threads", "1", "--workers", "0", "--out", str(settings.out), "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["failed"], summary["done"], summary["finished"]) == (1, 0, True)
    assert summary["rows"][0]["reason"] == "the process ended with 7"
    assert "the process ended with 7" in (settings.out / "index.html").read_text()


def test_detectors_are_read_from_one_option(settings: BenchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[BenchSettings] = []

    def keep(settings: BenchSettings, console: Any) -> Any:
        seen.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_bench", keep)
    given = "--detectors all,yolo --sizes 320x192,64x64 --proposals 50,100 --backbones a,b"
    CliRunner().invoke(main, ["bench", "--data", str(settings.data), *given.split()])
    assert (seen[0].detectors, seen[0].sizes) == (("all", "yolo"), ((320, 192), (64, 64)))
    assert (seen[0].proposals, seen[0].backbones) == ((50, 100), ("a", "b"))
    for mistake in ("--detectors yollo", "--sizes 5", "--proposals 0", "--proposals 1,,2", "--steps 2"):
        assert CliRunner().invoke(main, ["bench", "--data", str(settings.data), *mistake.split()]).exit_code
