"""Domain-adversarial adaptation: the reversed gradient, and an exact resume."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detectors.adapt import AdaptSettings, adapt_run
from detectors.adapt.dann import _Reverse, reversal
from detectors.checkpoints.detector import LAST, load_checkpoint
from detectors.data.settings import DataSettings
from support.errors import raises
from support.same_run import assert_same_run, at_step
from support.sets.shapes import QUIET, tiny_training


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "trained"
    data = DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), hold_out=0)
    tiny_training(out, data, epochs=1, epoch_images=20)
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(rng.integers(0, 60, (64, 96, 3)).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def settings_for(trained: Path, shapes: Path, photos: Path, out: Path) -> AdaptSettings:
    data = DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), hold_out=0)
    return AdaptSettings(
        trained, data, out, method="dann", unlabelled=photos, epochs=1, epoch_images=20, batch=2, workers=0
    )


def test_stopped_and_resumed_is_as_if_never_stopped(
    trained: Path, shapes: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an epoch, with the classifier and its count."""
    whole = settings_for(trained, shapes, photos, tmp_path / "whole")
    summary = adapt_run(whole, QUIET)
    last = load_checkpoint(tmp_path / "whole" / LAST)
    rows = last.training["record"]["rows"]
    assert summary.finished and all(0 <= row["domain accuracy"] <= 1 and row["train domain"] > 0 for row in rows)
    assert last.spec == load_checkpoint(trained).spec and set(last.training["extra"]) >= {"0.weight", "2.bias"}
    at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGINT))
    stopped = replace(whole, out=tmp_path / "stopped")
    assert not adapt_run(stopped, QUIET).finished
    assert adapt_run(stopped, QUIET).finished
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_what_is_missing_is_named(trained: Path, shapes: Path, photos: Path, tmp_path: Path) -> None:
    with raises("option-missing", hint="--unlabelled"):
        AdaptSettings(trained, DataSettings(), tmp_path, method="dann")
    with raises("option-missing", hint="--synthetic"):
        AdaptSettings(trained, DataSettings(), tmp_path, method="dann", unlabelled=photos)


def test_reversal_grows_and_turns_the_gradient() -> None:
    assert reversal(0, 100) == 0 and 0.9 < reversal(50, 100) < reversal(100, 100) < 1
    values = torch.ones(3, requires_grad=True)
    _Reverse.apply(values, 0.5).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [-0.5] * 3
