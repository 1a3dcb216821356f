"""Trainings of the smallest embedder: it learns, goes on byte for byte, and is measured; the commands around it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from detectors.checkpoints.detector import BEST, LAST
from detectors.data.settings import DataSettings
from detectors.recognition.embedder.checkpoint import load_embedder_checkpoint, save_embedder_checkpoint
from detectors.recognition.embedder.crop_store import StoredCrops
from detectors.recognition.embedder.evaluate import evaluate_embedder
from detectors.recognition.embedder.load import load_embedder
from detectors.recognition.embedder.settings import CropChoice, EmbedderEvaluateSettings
from detectors.recognition.embedder.train import train_embedder
from detectors.training.summary import TrainSummary
from pipeline.cli.main import main
from support.errors import raises
from support.patterns import LEARNER, PATTERNS, settings_for, write_patterns
from support.same_run import at_step, same
from support.sets.shapes import QUIET

# What programs read in report.json.
NUMBERS = {
    *("queries", "unknown", "skus", "views", "simulated"),
    *("top1", "top5", "mrr", "margin_right", "margin_wrong", "auroc", "fpr95"),
}
AT = {"threshold", "accepted", "right", "refused"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patterns")
    write_patterns(folder / "synth", 60, seed=1)
    write_patterns(folder / "photos", 12, seed=2)
    return folder


def train(data: Path, out: Path, /, **fields: Any) -> TrainSummary:
    return train_embedder(settings_for(data, out, **fields), QUIET)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "arcface"
    train(data, out, epochs=2, **LEARNER)
    return out


def test_learns_to_tell_patterns_apart(trained: Path) -> None:
    checkpoint = load_embedder_checkpoint(trained)
    rows = load_embedder_checkpoint(trained / LAST).training["record"]["rows"]
    assert rows[0]["epoch"] == 0 and rows[0]["top1"] < 0.8, "untrained, from random weights"
    assert checkpoint.score["top1"] > 0.85 > rows[0]["top1"] and checkpoint.score["auroc"] > 0.9
    assert checkpoint.score["top1"] == max(row["top1"] for row in rows)
    assert checkpoint.keys == tuple(f"sku-{label}" for label in range(PATTERNS)) and not checkpoint.training
    assert 0 < checkpoint.score["threshold"] < 1
    assert (trained / "curves.png").stat().st_size > 1000 and list((trained / "logs").rglob("metrics.csv"))


@pytest.mark.parametrize("loss", ["proxy", "softmax"])
def test_the_other_losses_learn_as_well(loss: str, data: Path, tmp_path: Path) -> None:
    summary = train(data, tmp_path / loss, loss=loss, epochs=1, **LEARNER)
    rows = load_embedder_checkpoint(tmp_path / loss / LAST).training["record"]["rows"]
    assert summary.finished and rows[1]["top1"] > rows[0]["top1"] + 0.2
    if loss == "softmax":
        assert set(load_embedder_checkpoint(tmp_path / loss).head) == {"classify.weight", "classify.bias"}
        assert rows[-1]["softmax"] > 0.6


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("loss", ["arcface", "softmax"])
def test_stopped_and_gone_on_is_as_if_never_stopped(loss: str, data: Path, tmp_path: Path) -> None:
    """Killed in the second epoch: the same weights, centers, moments and record in the end."""
    fields = {"loss": loss, "share": 0.5, "epochs": 2}
    train(data, tmp_path / "whole", **fields)
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / "killed", **fields)
    assert load_embedder_checkpoint(tmp_path / "killed" / LAST).step == 3
    summary = train(data, tmp_path / "killed", **fields)
    whole, again = (load_embedder_checkpoint(tmp_path / name / LAST) for name in ("whole", "killed"))
    assert summary.finished and whole.step == again.step == 6
    assert same(whole.weights, again.weights) and same(whole.training, again.training)
    assert train(data, tmp_path / "killed", **fields).seconds == 0.0


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training that nothing happened to."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(data, out)
    return out


@pytest.fixture(scope="module")
def stopped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training, stopped by a signal after four steps. Not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
        summary = train(data, out)
    assert not summary.finished and load_embedder_checkpoint(out / LAST).step == 4
    return out


def assert_same_as(whole: Path, run: Path) -> None:
    one, other = (load_embedder_checkpoint(folder / LAST) for folder in (whole, run))
    assert same(one.weights, other.weights) and same(one.training, other.training)


def test_an_orderly_stop_keeps_the_step(data: Path, whole: Path, stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    train(data, tmp_path / "run")
    assert_same_as(whole, tmp_path / "run")


def test_resumes_what_earlier_versions_saved(data: Path, whole: Path, stopped: Path, tmp_path: Path) -> None:
    """They kept centers, look-alikes and the losses of an epoch under other names."""
    shutil.copytree(stopped, tmp_path / "run")
    saved = load_embedder_checkpoint(tmp_path / "run" / LAST)
    training, record = dict(saved.training), saved.training["record"]
    losses, loss = training.pop("losses"), training.pop("extra")
    record |= {"sum": losses["sums"]["loss"], "steps": losses["steps"]}
    save_embedder_checkpoint(
        replace(
            saved,
            training={
                **{name: training[name] for name in training if name != "task"},
                **training["task"],
                "loss": loss,
            },
        ),
        tmp_path / "run" / LAST,
    )
    train(data, tmp_path / "run")
    assert_same_as(whole, tmp_path / "run")


def test_other_settings_and_changed_data_are_refused(data: Path, tmp_path: Path) -> None:
    write_patterns(tmp_path / "set" / "synth", 8, seed=5)
    write_patterns(tmp_path / "set" / "photos", 3, seed=6)
    train(tmp_path / "set", tmp_path / "run", epochs=1)
    with raises("settings-differ", problems="loss: was 'arcface', now 'proxy'"):
        train(tmp_path / "set", tmp_path / "run", epochs=1, loss="proxy")
    image = tmp_path / "set" / "synth" / "images" / "003.png"
    content = image.read_bytes()
    image.write_bytes(content[:-2] + b"xx")  # of the same size
    with raises("data-changed", problems=r"1 changed: 003\.png"):
        train(tmp_path / "set", tmp_path / "run", epochs=1)
    image.write_bytes(content)
    assert train(tmp_path / "set", tmp_path / "run", epochs=1).seconds == 0.0
    file = tmp_path / "set" / "synth" / "train.json"
    file.write_text(file.read_text().replace('"iscrowd": 0', '"iscrowd": 0, "score": 1', 1))
    with raises("data-changed"):
        train(tmp_path / "set", tmp_path / "run", epochs=1)


def test_no_epochs_keep_the_features_and_make_a_run(data: Path, tmp_path: Path) -> None:
    summary = train(data, tmp_path / "run", epochs=0)
    assert summary.finished and summary.steps == 0
    (weights,) = {tuple(load_embedder(tmp_path / "run").net.norm.running_mean.tolist())}
    assert set(weights) == {0.0} and (tmp_path / "run" / BEST).is_file()


def test_evaluates_known_and_unknown_products(trained: Path, data: Path, tmp_path: Path) -> None:
    """The gallery knows four of six patterns: crops of the other two are unknown products."""
    content = json.loads((data / "synth" / "train.json").read_text())
    content["annotations"] = [entry for entry in content["annotations"] if entry["category_id"] <= 4]
    content["categories"] = content["categories"][:4]
    (tmp_path / "four.json").write_text(json.dumps(content))
    told = StringIO()
    settings = EmbedderEvaluateSettings(
        run=trained,
        gallery=tmp_path / "four.json",
        queries=data / "photos",
        images=None,
        out=tmp_path / "judged",
        choice=CropChoice(8, 0),
        views=5,
        workers=0,
        device="cpu",
    )
    (tmp_path / "images").symlink_to(data / "synth" / "images")
    report = evaluate_embedder(settings, Console(file=told, width=160))
    numbers = report.numbers
    assert numbers.queries + numbers.unknown == 36 and numbers.unknown > 0 and not numbers.simulated
    top1 = numbers.metric("top1")
    assert top1.interval is not None and top1.interval.low <= top1.value <= top1.interval.high
    assert numbers.skus == 4 and numbers.views == 20 and top1.value > 0.8
    written = json.loads((tmp_path / "judged" / "report.json").read_text())
    assert written["numbers"]["top1"] == written["top1"]["value"] == pytest.approx(top1.value, abs=1e-8)
    assert set(written["numbers"]) == NUMBERS and set(written["at_threshold"]) == AT
    assert written["embedder"] == load_embedder(trained).fingerprint
    assert {row["sku"] for row in written["skus"]} == {f"sku-{label}" for label in range(4)}
    assert "chosen on validation" in told.getvalue() and "AUROC" in told.getvalue()


def test_a_gallery_of_other_products_is_told(trained: Path, data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "synth" / "train.json").read_text())
    for number, entry in enumerate(content["categories"]):
        entry |= {"sku": f"x{number}", "name": f"other {number}"}
    (tmp_path / "other.json").write_text(json.dumps(content))
    (tmp_path / "images").symlink_to(data / "synth" / "images")
    settings = EmbedderEvaluateSettings(
        run=trained, gallery=tmp_path / "other.json", queries=data / "photos", workers=0
    )
    with raises("classes-disjoint"):
        evaluate_embedder(settings, QUIET)


def test_sets_without_a_crop_are_told(trained: Path, data: Path, tmp_path: Path) -> None:
    """Products of 500 pixels are asked for, and there are none, to train on, to validate by or to search."""
    large = CropChoice(500, 0)
    with raises("too-few-skus", hint="--min-side"):
        train(data, tmp_path / "none", choice=large)
    content = json.loads((data / "photos" / "train.json").read_text())
    for entry in content["annotations"]:
        entry["bbox"][2:] = [4, 4]
    (tmp_path / "tiny.json").write_text(json.dumps(content))
    (tmp_path / "images").symlink_to(data / "photos" / "images")
    small = replace(settings_for(data, tmp_path / "run").data, val=tmp_path / "tiny.json")
    with raises("filter-empty", where="val", hint="--min-side"):
        train(data, tmp_path / "val", choice=CropChoice(8, 0), data=small)
    for gallery, queries in ((data / "synth", tmp_path / "tiny.json"), (tmp_path / "tiny.json", data / "photos")):
        with raises("filter-empty", hint="--min-side"):
            evaluate_embedder(
                EmbedderEvaluateSettings(
                    run=trained, gallery=gallery, queries=queries, workers=0, device="cpu", choice=CropChoice(8, 0)
                ),
                QUIET,
            )


def test_commands(data: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    options = ["--backbone", "mobilenetv3_small_050", "--weights", "none", "--dim", "16", "--crop-size", "32"]
    options += ["--epochs", "1", "--epoch-crops", "24", "--batch", "24", "--workers", "0"]
    done = CliRunner().invoke(main, ["embedder", "train", str(data / "synth"), *options, "--out", run])
    assert done.exit_code == 0, done.output
    assert "whole scenes are held out" in done.output and "synth gallery build" in done.output
    asked = ["--gallery-data", str(data / "synth"), "--query-data", str(data / "photos"), "--workers", "0"]
    done = CliRunner().invoke(main, ["embedder", "evaluate", run, *asked])
    assert done.exit_code == 0, done.output
    assert "top-1" in done.output and (tmp_path / "run" / "evaluation" / "report.json").is_file()


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"loss": "triplet"}, "unknown-name", "unknown loss"),
        ({"augment": "wild"}, "unknown-name", "augmentation preset"),
        ({"skus": 1}, "setting-invalid", "training settings"),
        ({"share": 0.0}, "setting-invalid", "training settings"),
    ],
)
def test_impossible_settings(fields: dict[str, Any], code: str, message: str, data: Path, tmp_path: Path) -> None:
    with raises(code, what=message):
        settings_for(data, tmp_path / "run", **fields)


def test_crops_out_of_shards_are_the_same(data: Path, tmp_path: Path) -> None:
    packed = CliRunner().invoke(main, ["data", "pack", str(data / "synth"), str(tmp_path / "shards")])
    assert packed.exit_code == 0, packed.output
    in_shards = DataSettings(synthetic=(("synthetic", tmp_path / "shards"),), val=data / "photos")
    for name, fields in (("columns", {}), ("sharded", {"data": in_shards})):
        train(data, tmp_path / name, epochs=0, choice=CropChoice(8, 0), **fields)
    one, two = (StoredCrops(tmp_path / name / "crops" / "train-synthetic") for name in ("columns", "sharded"))
    assert len(one.labels) == len(two.labels) == 180 and np.array_equal(np.sort(one.labels), np.sort(two.labels))
    sums = [sorted(int(crops.read(place).image.sum()) for place in range(180)) for crops in (one, two)]
    assert sums[0] == sums[1]
    train(data, tmp_path / "few", epochs=0, choice=CropChoice(8, 0, 5), data=in_shards)
    few = StoredCrops(tmp_path / "few" / "crops" / "train-synthetic")
    assert np.bincount(few.labels).tolist() == [5] * PATTERNS
