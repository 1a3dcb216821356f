"""Training: going on equals never having stopped, mixes come out as asked, and what goes wrong is told."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from detectors.augment import preset
from detectors.checkpoints.detector import LAST, load_checkpoint, save_checkpoint
from detectors.data.prepare import prepare_training
from detectors.data.settings import DataSettings
from detectors.training import engine
from detectors.training.detector_task import SPOILED_BATCH, DetectorParts, DetectorTask
from detectors.training.engine import Engine, open_fabric
from detectors.training.loader import InputSettings, TrainingImages
from detectors.training.run import run_training, warn_of_fixed_chance
from detectors.training.schedule import Schedule
from detectors.training.setup import make_schedule, make_spec
from pipeline.cli.main import main
from support.errors import raises
from support.same_run import assert_same_run, at_step
from support.sets.shapes import tiny_settings, tiny_training, write_shapes


def both(shapes: Path) -> DataSettings:
    return DataSettings(
        synthetic=(("synthetic", shapes / "synthetic"),), real=shapes / "real", val=shapes / "real" / "test.json"
    )


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    summary = tiny_training(out, both(shapes), schedule="mix+finetune", finetune_epochs=1)
    assert summary.finished and summary.steps == 30
    return out


@pytest.fixture(scope="module")
def stopped(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training, stopped in the middle of its second epoch. Not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 13, lambda: interrupt(signal.SIGINT))
        summary = tiny_training(out, both(shapes), schedule="mix+finetune", finetune_epochs=1)
    assert not summary.finished and summary.steps == 13
    return out


def test_weights_that_stay_random_are_told() -> None:
    """Nothing of a layer without gradient is learned; loaded, or with gradient, it is fine."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    network[0].requires_grad_(False)
    for fitted, warned in (((), True), (("0.weight",), True), (("0.weight", "0.bias"), False)):
        console = Console(file=io.StringIO(), width=200)
        warn_of_fixed_chance(network, fitted, console)
        said = console.file.getvalue()
        assert ("stay random" in said) is warned
        assert (f"{2 - len(fitted)} tensor" in said) is warned


def crash() -> None:
    raise ConnectionError("the machine went away")


def interrupt(number: int) -> None:
    """The signal to this process and to the loader processes, which are forks of it."""
    me = psutil.Process()
    for child in me.children():
        if child.cmdline() == me.cmdline():
            child.send_signal(number)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("step", "number", "workers"), [(20, signal.SIGTERM, 0), (24, signal.SIGTERM, 2)])
def test_going_on_after_an_interruption_equals_none(
    step: int,
    number: int,
    workers: int,
    shapes: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the border of the phases, and in the fine-tuning, where loader processes change nothing."""
    at_step(monkeypatch, step, lambda: interrupt(number))
    first = tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1, workers=workers)
    assert not first.finished and first.steps == step
    second = tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1, workers=workers)
    assert second.finished and second.steps == 30
    assert_same_run(undisturbed, tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_saves_says_so_and_exits_with_its_signal(
    number: int, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an epoch: the step is saved, and what was asked for is no success."""
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), number))
    words = ["train", "--real", str(shapes / "real"), "--detector", "ssdlite", "--weights", "none", "--size", "64x64"]
    words += ["--epochs", "1", "--batch", "2", "--workers", "0", "--device", "cpu", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 128 + number, done.output
    assert "stopping after this step" in done.output and "same command" in done.output
    assert load_checkpoint(tmp_path / "run" / LAST).step == 3


def test_going_on_after_a_crash_equals_no_interruption(
    shapes: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps since the last save are made again."""
    at_step(monkeypatch, 17, crash)
    with pytest.raises(ConnectionError):
        tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1)
    assert load_checkpoint(tmp_path / "run" / LAST).step == 10
    assert tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1).finished
    assert_same_run(undisturbed, tmp_path / "run")


@pytest.mark.parametrize("steps", [20, 30])
def test_going_on_after_a_crash_while_validating_equals_no_interruption(
    steps: int, shapes: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of the last epoch. The steps are not made again where they took longer than a minute."""
    validate = DetectorTask.validate
    monkeypatch.setattr(engine, "SECONDS_LOST_BY_VALIDATION", 0.0)
    monkeypatch.setattr(
        DetectorTask,
        "validate",
        lambda task, model, step: crash() if step == steps else validate(task, model, step),
    )
    with pytest.raises(ConnectionError):
        tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1)
    assert load_checkpoint(tmp_path / "run" / LAST).step == steps
    monkeypatch.setattr(DetectorTask, "validate", validate)
    assert tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1).finished
    assert_same_run(undisturbed, tmp_path / "run")


def test_going_on_from_the_middle_of_an_epoch_equals_no_interruption(
    stopped: Path, shapes: Path, undisturbed: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    assert tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1).finished
    assert_same_run(undisturbed, tmp_path / "run")


def test_resumes_what_earlier_versions_saved(stopped: Path, shapes: Path, undisturbed: Path, tmp_path: Path) -> None:
    """They kept one optimizer, and the samples drawn with the record."""
    shutil.copytree(stopped, tmp_path / "run")
    saved = load_checkpoint(tmp_path / "run" / LAST)
    training = {name: saved.training[name] for name in ("weights", "average_steps", "losses")}
    training |= {"optimizer": saved.training["optimizers"][0], "record": saved.training["record"]}
    training["record"]["drawn"] = saved.training["task"]["drawn"]
    save_checkpoint(replace(saved, training=training), tmp_path / "run" / LAST)
    assert tiny_training(tmp_path / "run", both(shapes), schedule="mix+finetune", finetune_epochs=1).finished
    assert_same_run(undisturbed, tmp_path / "run")


def test_the_mix_comes_out_as_asked(undisturbed: Path) -> None:
    """Two epochs of 20 with a fifth real, one of 20 with four fifths."""
    training = load_checkpoint(undisturbed / LAST).training
    assert training["task"]["drawn"] == {"synthetic": 32 + 4, "real": 8 + 16}
    assert [row["mix real"] for row in training["record"]["rows"]] == pytest.approx([0.2, 0.2, 24 / 60])


def test_a_run_holds_what_it_was_made_from(undisturbed: Path) -> None:
    checkpoint = load_checkpoint(undisturbed)
    assert checkpoint.classes.keys == ("red", "green", "blue")
    assert set(checkpoint.data) == {"synthetic", "real", "val"}
    assert checkpoint.settings.value("detector") == "ssdlite" and checkpoint.settings.value("seed") == 0
    assert "torch" in checkpoint.versions
    assert json.loads((undisturbed / "settings.json").read_text())["schedule"] == "mix+finetune"
    for name in ("curves.png", "data.txt"):
        assert (undisturbed / name).stat().st_size > 0
    assert list(undisturbed.glob("logs/csv/*/metrics.csv")) and list(undisturbed.glob("logs/tensorboard/*/events*"))


def test_other_settings_and_changed_data_are_refused(shapes: Path, undisturbed: Path, tmp_path: Path) -> None:
    with raises("settings-differ") as caught:
        tiny_training(undisturbed, both(shapes), schedule="mix+finetune", finetune_epochs=1, seed=7)
    assert any("seed" in problem for problem in caught.value.problems)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with raises("output-not-empty"):
        tiny_training(tmp_path / "full", both(shapes))
    image = next((shapes / "real" / "images").glob("train_*.png"))
    content = image.read_bytes()
    try:
        image.write_bytes(content[:-2] + b"xx")  # of the same size
        with raises("data-changed") as caught:
            tiny_training(undisturbed, both(shapes), schedule="mix+finetune", finetune_epochs=1)
        assert caught.value.problems == (f"real: 1 changed: {image.name}",)
    finally:
        image.write_bytes(content)


def test_a_finished_run_is_left_alone(shapes: Path, undisturbed: Path) -> None:
    before = (undisturbed / LAST).stat().st_mtime_ns
    summary = tiny_training(undisturbed, both(shapes), schedule="mix+finetune", finetune_epochs=1)
    assert summary.finished and (undisturbed / LAST).stat().st_mtime_ns == before


def test_stops_when_it_gets_no_better(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "detectors.training.detector_task.score_detector", lambda truth, found: {"AP": 0.5, "AP50": 0.5}
    )
    data = DataSettings(real=shapes / "real", val=shapes / "real" / "test.json")
    summary = tiny_training(tmp_path / "run", data, epochs=9, patience=2)
    assert summary.finished and summary.steps == 30


def test_a_loss_that_is_no_number_names_the_images(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detectors.models.one_stage.ssd300 import IgnoringSsd

    broken = {"classification": torch.tensor(float("nan"), requires_grad=True)}
    monkeypatch.setattr(IgnoringSsd, "compute_loss", lambda *args, **kwargs: broken)
    with raises("loss-not-finite") as caught:
        tiny_training(tmp_path / "run", DataSettings(real=shapes / "real", hold_out=0))
    assert caught.value.found == "classification nan, loss nan"
    assert len(caught.value.problems) == 2 and "train_0" in caught.value.problems[0]
    kept = torch.load(tmp_path / "run" / SPOILED_BATCH, weights_only=True)
    assert kept["images"].shape == (2, 64, 96, 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_vanishes_is_named(
    workers: int, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shapes(tmp_path / "real", 3, seed=5)
    plain = run_training.__globals__["prepare_training"]

    def prepare_and_delete(*args: Any, **kwargs: Any) -> Any:
        data = plain(*args, **kwargs)
        (tmp_path / "real" / "images" / "train_002.png").unlink()
        return data

    monkeypatch.setattr("detectors.training.run.prepare_training", prepare_and_delete)
    with raises("file-missing", what="an image") as caught:
        tiny_training(tmp_path / "run", DataSettings(real=tmp_path / "real", hold_out=0), workers=workers)
    assert "train_002.png" in str(caught.value.where)


def test_memory_that_does_not_suffice_says_what_to_lower(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(self: DetectorTask, *args: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(DetectorTask, "losses", exhausted)
    with raises("out-of-memory", found="memory") as caught:
        tiny_training(tmp_path / "run", DataSettings(real=shapes / "real", hold_out=0))
    assert "--batch" in str(caught.value.hint) and "20.00 GiB" in str(caught.value.found)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"detector": "efficientdet"}, "unknown-name", "unknown detector"),
        ({"augment": "wild"}, "unknown-name", "unknown augmentation"),
        ({"backbone": "resnet5000"}, "unknown-name", "unknown backbone"),
        ({"detector": "ssd300", "size": (320, 320)}, "setting-invalid", "one size only"),
        ({"mix": (("rael", 0.2),)}, "unknown-name", "unknown source"),
        ({"batch": 3, "devices": 2}, "setting-invalid", "the batch"),
    ],
)
def test_settings_that_cannot_be_are_told_before_any_work(
    fields: dict[str, Any], code: str, said: str, shapes: Path, tmp_path: Path
) -> None:
    with raises(code, what=said):
        tiny_training(tmp_path / "run", both(shapes), **fields)


def test_pretrained_norms_are_frozen_from_the_beginning(shapes: Path, tmp_path: Path) -> None:
    """Processes that share a network ask it once, before the first step, which weights are learned."""
    settings = tiny_settings(tmp_path, DataSettings(real=shapes / "real", hold_out=0))
    data = prepare_training(settings.data, seed=0, print_line=lambda line: None)
    parts = DetectorParts(make_spec(settings, data), settings, data, Schedule((), (), 1, 1, seed=0), rate=1e-3)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    Engine(DetectorTask(model, parts, frozen_norms=("1",)), settings, open_fabric(settings))
    assert [weight.requires_grad for weight in model.parameters()] == [True, True, False, False]
    assert model[0].training and not model[1].training


def test_masks_that_are_missing_are_told(shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "real" / "train.json").read_text())
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    data = DataSettings(real=tmp_path / "boxes.json", images=shapes / "real" / "images")
    with raises("masks-missing"):
        tiny_training(tmp_path / "run", data, detector="maskrcnn")


def test_every_epoch_is_another(shapes: Path, tmp_path: Path) -> None:
    """Two epochs of the same photos draw them in other orders and augment them differently."""
    settings = tiny_settings(tmp_path, DataSettings(real=shapes / "real", hold_out=0), epoch_images=8)
    data = prepare_training(settings.data, seed=0, print_line=lambda line: None)
    plan = make_schedule(settings, data)
    draws = list(plan.draws(0, 2)), list(plan.draws(8, 10))
    assert [draw.image for draw in plan.draws(0, 8)] != [draw.image for draw in plan.draws(8, 16)]
    images = TrainingImages(data.sources, plan, InputSettings(96, 64, preset("strong"), masks=False, seed=0))
    again = images.make(draws[0][0]._replace(position=draws[1][0].position))
    assert not np.array_equal(images.make(draws[0][0]).image, again.image)
    assert np.array_equal(images.make(draws[0][0]).image, images.make(draws[0][0]).image)
