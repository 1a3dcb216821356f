"""What is fitted after the last step: to the best weights, once, and the same whether or not it was interrupted."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from detectors.augment import preset
from detectors.checkpoints.detector import BEST, LAST, load_checkpoint, restore_model
from detectors.data.prepare import prepare_training
from detectors.data.settings import DataSettings
from detectors.models import detector_module
from detectors.models.region_based import sppnet
from detectors.training.engine import Engine
from detectors.training.fitting import plain_draws
from detectors.training.loader import InputSettings, TrainingImages
from detectors.training.setup import make_schedule
from detectors.training.summary import TrainSummary
from support.same_run import assert_same_run
from support.sets.shapes import tiny_settings, tiny_training, write_shapes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder / "real", 6, seed=1)
    write_shapes(folder / "real", 4, seed=2, split="test")
    return DataSettings(real=folder / "real", val=folder / "real" / "test.json")


def train(out: Path, data: DataSettings) -> TrainSummary:
    options = {**detector_module("sppnet").SMALLEST, "proposals": 40, "search_width": 96}
    given = tuple(f"{name}={value}" for name, value in options.items())
    return tiny_training(out, data, detector="sppnet", detector_options=given, epochs=1, learning_rate=0.003)


@pytest.fixture(scope="module")
def whole(data: DataSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    summary = train(out, data)
    assert summary.finished and summary.best["AP50"] >= 0
    return out


def test_the_best_weights_are_fitted_and_scored_again(whole: Path) -> None:
    best, last = load_checkpoint(whole / BEST), load_checkpoint(whole / LAST)
    assert best.weights["fitted"] and best.weights["cls_logits_svm"].abs().sum() > 0
    # To resume, and to detect with the softmax.
    assert not last.weights["fitted"] and not last.weights["cls_logits_svm"].any()
    row = last.training["record"]["fitted"]
    assert row is not None and best.score["AP50"] == row["AP50"] and best.threshold == row["threshold"]
    assert last.training["record"]["rows"][-1]["AP50"] != row["AP50"]
    for name in ("backbone.body.conv_stem.weight", "head.fc6.weight", "cls_logits.weight"):
        assert torch.equal(best.weights[name], last.weights[name])
    image = torch.zeros(1, 3, 64, 96)
    image[:, 0, 10:40, 20:60] = 0.9
    with torch.inference_mode():
        assert len(restore_model(best).detect(image)[0]) == len(restore_model(last).detect(image)[0]) == 3


@pytest.mark.parametrize("image", [1, 8])
def test_stopped_while_fitting_equals_never_stopped(
    image: int, whole: Path, data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first pass over the images and in the second."""
    seen: list[int] = []
    plain = sppnet.SppNet.window_features

    def watched(self: Any, *args: Any) -> Any:
        seen.append(0)
        if len(seen) == image and not self.training:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_fit", watching(Engine._fit, patch, watched))
        stopped = train(tmp_path / "run", data)
    assert not stopped.finished and stopped.steps == 10
    assert not load_checkpoint(tmp_path / "run" / BEST).weights["fitted"]
    assert train(tmp_path / "run", data).finished
    assert_same_run(whole, tmp_path / "run")


def watching(fit: Any, patch: pytest.MonkeyPatch, watched: Any) -> Any:
    """The fitting, with windows that are watched from its beginning."""

    def wrapped(self: Engine, *args: Any) -> None:
        patch.setattr(sppnet.SppNet, "window_features", watched)
        fit(self, *args)

    return wrapped


def test_killed_after_the_best_was_saved_equals_never_killed(
    whole: Path, data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint does not yet say that it was done: it is done again, from weights that are fitted already."""
    plain = Engine._save_last

    def killed(self: Engine) -> None:
        if self.history.fitted is not None:
            raise ConnectionError("the machine went away")
        plain(self)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_save_last", killed)
        with pytest.raises(ConnectionError):
            train(tmp_path / "run", data)
    assert load_checkpoint(tmp_path / "run" / BEST).weights["fitted"]
    assert train(tmp_path / "run", data).finished
    assert_same_run(whole, tmp_path / "run")
    files = {name: (tmp_path / "run" / name).read_bytes() for name in (BEST, LAST)}
    assert train(tmp_path / "run", data).finished
    assert files == {name: (tmp_path / "run" / name).read_bytes() for name in (BEST, LAST)}


def test_images_are_read_once_and_as_they_are(data: DataSettings, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "run", data)
    read = prepare_training(settings.data, seed=0, print_line=lambda line: None)
    inputs = InputSettings(96, 64, preset("none"), masks=False, seed=0)
    images = TrainingImages(read.sources, make_schedule(settings, read), inputs)
    assert sorted(draw.image for draw in plain_draws(images, 100)) == list(range(6))
    assert [draw.image for draw in plain_draws(images, 2)] == [draw.image for draw in plain_draws(images, 100)[:2]]
