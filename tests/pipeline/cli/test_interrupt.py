"""Ctrl-C and SIGTERM in every command: one line, 130 or 143, and nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner, Result

from assets.files.atomic import write_atomic
from assets.interrupt import ECHO_S, handle_signals, stop_on_signals
from pipeline.cli.main import main
from support.paths import ROOT

EMBEDDER = "detectors.recognition.embedder"
# Each command with words that it takes (FILE, FOLDER and NEW stand for paths) and the function that does its work.
COMMANDS = {
    "adapt FILE --real FILE --out NEW": "detectors.adapt.adapt_run",
    "assets build FILE": "pipeline.products.build.build_assets",
    "bench --data FILE --out NEW": "detectors.bench.run.run_bench",
    "catalog check FILE": "pipeline.products.catalog.check_list",
    "catalog demo": "assets.demo.demo_list",
    "catalog export FILE NEW": "pipeline.products.catalog.export_list",
    "catalog from-packshots FOLDER": "pipeline.products.packshots.list_packshots",
    "catalog generate NEW": "pipeline.products.catalog.generate_list",
    "catalog ids FILE": "pipeline.products.catalog.register_ids",
    "catalog show FILE --out NEW": "pipeline.products.catalog.show_list",
    "curve --demo --real FILE --out NEW": "pipeline.experiments.curve.measure_curve",
    "data convert FOLDER NEW --format coco": "pipeline.shards.convert.convert_data",
    "data crop FOLDER NEW": "pipeline.shards.crop.crop_data",
    "data diff FOLDER FOLDER": "pipeline.shards.diff.diff_data",
    "data filter FOLDER NEW": "pipeline.shards.choose.filter_data",
    "data merge FOLDER NEW": "pipeline.shards.unite.merge_sets",
    "data pack FOLDER NEW": "pipeline.shards.pack.pack_data",
    "data sample FOLDER NEW --count 1": "pipeline.shards.choose.sample_data",
    "data split FOLDER NEW": "pipeline.shards.choose.split_data",
    "data stats FOLDER": "pipeline.shards.stats.count_data",
    "data unpack FOLDER NEW": "pipeline.shards.unpack.unpack_data",
    "doctor": "pipeline.doctor.diagnose",
    "embedder evaluate FILE --gallery-data FILE --query-data FILE": f"{EMBEDDER}.evaluate.evaluate_embedder",
    "embedder train FOLDER --out NEW": f"{EMBEDDER}.train.train_embedder",
    "evaluate FILE --data FILE": "detectors.evaluate.run.evaluate_runs",
    "explain FOLDER FILE --out NEW": "detectors.explain.run.explain_image",
    "export FILE --out NEW": "detectors.export.run.export",
    "gap FOLDER FOLDER": "pipeline.gap.run.measure_gap",
    "gap-calibrate FILE": "pipeline.gap.calibration.read_rows",
    "gallery add FOLDER FILE": "pipeline.gallery.build.add_to_gallery",
    "gallery build FILE --out NEW": "pipeline.gallery.build.build_gallery",
    "gallery clean FOLDER": "pipeline.gallery.tools.clean_folder",
    "gallery evaluate FOLDER --data FILE": "detectors.recognition.gallery.recognize.open_recognizer",
    "gallery index FOLDER exact": "pipeline.gallery.tools.make_index",
    "gallery info FOLDER": "pipeline.gallery.tools.print_info",
    "gallery remove FOLDER a": "pipeline.gallery.build.remove_from_gallery",
    "gallery rollback FOLDER": "pipeline.gallery.tools.switch",
    "gallery tune FOLDER --data FILE": "detectors.recognition.gallery.recognize.open_recognizer",
    "gallery use FOLDER 1": "pipeline.gallery.tools.switch",
    "gallery verify FOLDER": "pipeline.gallery.tools.verify_version",
    "gallery versions FOLDER": "pipeline.gallery.tools.print_versions",
    "gallery views FILE --out NEW": "pipeline.gallery.crops.write_views",
    "job cancel NEW": "pipeline.jobs.status.cancel_job",
    "job index NEW": "pipeline.jobs.settings.read_settings",
    "job plan FILE --out NEW": "pipeline.jobs.estimate.run.estimate_job",
    "job resume NEW": "pipeline.jobs.settings.read_settings",
    "job run FILE --out NEW": "pipeline.jobs.run.run_job",
    "job status NEW": "pipeline.jobs.settings.read_settings",
    "planogram check FILE": "pipeline.planograms.check.check_planograms",
    "planogram convert FILE NEW": "pipeline.planograms.write.convert_file",
    "planogram generate --sku-list FILE --out NEW": "pipeline.planograms.write.generate_file",
    "planogram show FILE --out NEW": "pipeline.planograms.show.show_planograms",
    "predict FILE FILE --out NEW": "detectors.predict.run.predict",
    "preview FOLDER": "pipeline.preview.draw.preview_set",
    "preview-batch --real FILE --out NEW": "detectors.training.preview_batch.preview_training",
    "prove --demo --real FILE --out NEW": "pipeline.experiments.proof.prove",
    "recipe check FILE": "render.recipes.load_recipe",
    "recipe fit tabletop --target FOLDER --demo --out NEW": "pipeline.target.fit.fit_recipe",
    "recipe list": "render.recipes.recipe_names",
    "recipe show tabletop": "render.recipes.load_recipe",
    "recognize --boxes FILE --gallery FOLDER FILE --out NEW": "detectors.recognition.gallery.recognize.recognize",
    "refine FILE --target FOLDER --out NEW": "pipeline.refine.run.refine_set",
    "render --demo --out NEW": "pipeline.run.render.run_render",
    "train --real FILE --out NEW": "detectors.training.run.run_training",
    "tune --recipe tabletop --real FOLDER --demo --out NEW": "pipeline.tune.run.tune_recipe",
    "verify FOLDER": "pipeline.verify.run.verify_set",
    "view FOLDER --out NEW": "pipeline.view.build.build_view",
}
# Commands that ask whether to stop where this test does not get: the first signal is theirs, the second ends them.
ASKING = (
    *("assets build", "gallery add", "gallery build", "gallery views", "job run", "refine", "render", "tune"),
    "verify",
)


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


def interrupt(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(2 * ECHO_S)


def test_the_table_has_every_command() -> None:
    missing = [name for name in leaves(main) if not any(words.startswith(name) for words in COMMANDS)]
    assert missing == []


@pytest.fixture
def synth(tmp_path: Path) -> Any:
    paths = {"FILE": tmp_path / "file.json", "FOLDER": tmp_path / "folder", "NEW": tmp_path / "new"}
    paths["FILE"].write_text("{}")
    paths["FOLDER"].mkdir()

    def call(words: str) -> Result:
        return CliRunner().invoke(main, [str(paths.get(word, word)) for word in words.split()])

    return call


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_ends_with_one_line(words: str, synth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = signal.SIGTERM if len(words) % 2 else signal.SIGINT
    went_on: list[int] = []

    def work(*arguments: Any, **options: Any) -> NoReturn:
        interrupt(number)
        went_on.append(number)
        interrupt(number)
        raise AssertionError("two signals did not end it")

    monkeypatch.setattr(COMMANDS[words], work)
    result = synth(words)
    assert result.exit_code == 128 + number, result.output
    assert result.output.startswith("\nstopped; ") and result.output.count("\n") == 2
    assert bool(went_on) == words.startswith(ASKING)


def test_one_signal_finishes_the_step_and_two_within_a_moment_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    """As 'timeout' sends them: to the process and to its group."""
    with stop_on_signals(step="this step") as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() and stop()
    assert capsys.readouterr().err == "stopping after this step; Ctrl-C again stops now\n"


def test_an_interrupt_that_a_callback_swallows_comes_again() -> None:
    class Thing:
        pass

    thing = Thing()
    kept = weakref.ref(thing, lambda reference: os.kill(os.getpid(), signal.SIGINT))
    with handle_signals():
        del thing  # what is raised in the callback ends in sys.unraisablehook
        assert kept() is None
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)


def test_what_is_half_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: interrupt(signal.SIGINT))
    with handle_signals(), pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_is_still_importing_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The import is one that swallows every exception, as those of large libraries do."""
    (tmp_path / "heavy.py").write_text(
        f"import os, time\nfor _ in range(2):\n    try:\n        os.kill(os.getpid(), {number:d})\n"
        "        time.sleep(0.3)\n    except BaseException:\n        pass\nprint('went on', flush=True)\n"
    )
    program = (
        "import pipeline.cli.main; pipeline.cli.main.main.commands['doctor'].callback = lambda: __import__('heavy')\n"
    )
    program += "import pipeline.__main__; pipeline.__main__.main()"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == "\nstopped; no partial file is left\n"
