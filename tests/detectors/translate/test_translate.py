"""Unpaired translation: starts without changing anything, learns colours, and resumes to the last bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from detectors.checkpoints.detector import BEST, LAST
from detectors.translate.checkpoint import load_translator
from detectors.translate.crops import CropPairs, ImagePool, cut
from detectors.translate.networks import Translator
from detectors.translate.run import OpenTranslator, is_trained, open_translator, train_translator
from detectors.translate.settings import TranslateSettings, TranslatorRun, TranslatorSpec
from detectors.translate.task import TranslationTask
from support.errors import raises
from support.same_run import at_step, same

QUIET = Console(quiet=True)
SMALL = TranslateSettings(steps=6, batch=1, crop=32, width=4, blocks=1)


def read(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (40, 48, 3)).astype(np.uint8)


def read_warm(number: int) -> np.ndarray:
    return np.clip(read(number + 10) * [1.0, 0.6, 0.3], 0, 255).astype(np.uint8)


def run_in(out: Path, settings: TranslateSettings = SMALL, photos: str = "a") -> TranslatorRun:
    out.mkdir(parents=True, exist_ok=True)
    return TranslatorRun(out, settings, (("photos", photos),), device="cpu")


def trained(run: TranslatorRun) -> bool:
    return train_translator(run, ImagePool(4, read), ImagePool(4, read_warm), QUIET)


@pytest.mark.parametrize("size", [(40, 48), (33, 50), (7, 5)])
def test_an_untrained_translator_changes_nothing(size: tuple[int, int]) -> None:
    network = Translator(TranslatorSpec(4, 1)).eval()
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    np.testing.assert_allclose(OpenTranslator(network, torch.device("cpu")).translate(pixels), pixels, atol=1e-3)


def test_neither_side_learns_from_the_losses_of_the_other(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    task = TranslationTask(Translator(run.spec()), run, CropPairs(ImagePool(4, read), ImagePool(4, read_warm), 32, 0))
    pairs = [task.pairs[number] for number in range(2)]
    batch = tuple(torch.from_numpy(np.stack(crops)) for crops in zip(*pairs, strict=True))
    losses = task.losses(batch, 0)  # type: ignore[arg-type]
    losses["critic"].backward(retain_graph=True)
    assert all(weight.grad is None for weight in task.model.parameters())
    assert all(weight.grad is not None for weight in task.critic.parameters())
    task.critic.zero_grad()
    losses["photographic"].backward(retain_graph=True)
    assert all(weight.grad is None for weight in task.critic.parameters())
    assert task.model.last.weight.grad is not None  # type: ignore[union-attr]


def test_crops_are_functions_of_their_position() -> None:
    pairs = CropPairs(ImagePool(4, read), ImagePool(4, read_warm), 32, 7)
    for one, other in zip(pairs[3], pairs[3], strict=True):
        assert one.shape == (32, 32, 3) and np.array_equal(one, other)
    assert not np.array_equal(pairs[3][0], pairs[4][0])
    assert cut(ImagePool(1, read), 64, np.random.default_rng(0)).shape == (64, 64, 3), "small images are continued"


@pytest.mark.trains
def test_a_training_that_was_stopped_goes_on_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_in(tmp_path / "whole")
    assert trained(whole) and is_trained(whole)
    parts = run_in(tmp_path / "parts")
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert not trained(parts) and not is_trained(parts)
    assert trained(parts)
    for name in (LAST, BEST):
        one, other = load_translator(whole.out / name), load_translator(parts.out / name)
        assert same(one.weights, other.weights) and same(one.training, other.training) and one.step == other.step == 6
    assert trained(parts), "a finished training stays as it is"
    with raises("settings-differ", problems="data"):
        trained(run_in(tmp_path / "parts", photos="others"))
    opened = open_translator(parts.out, "cpu")
    assert opened.translate(read(0)).shape == (40, 48, 3)


@pytest.mark.trains
def test_a_translator_learns_the_colours_of_the_photographs(tmp_path: Path) -> None:
    settings = TranslateSettings(steps=30, batch=1, crop=32, width=8, blocks=1, learning_rate=5e-3, content=0.5)
    run = run_in(tmp_path, settings)
    assert trained(run)
    before, after = read(2), open_translator(run.out, "cpu").translate(read(2))
    wanted = np.mean([read_warm(number).mean(axis=(0, 1)) for number in range(4)], axis=0)
    assert abs(after.mean(axis=(0, 1)) - wanted).mean() < 0.8 * abs(before.mean(axis=(0, 1)) - wanted).mean()


def test_what_is_no_translator_is_refused(tmp_path: Path) -> None:
    with raises("checkpoint-missing"):
        load_translator(tmp_path)
    torch.save({"weights": {}}, tmp_path / BEST)
    with raises("checkpoint-foreign"):
        load_translator(tmp_path)
    torch.save({"translator_format": 9, "translator": {}}, tmp_path / BEST)
    with raises("format-version-unsupported"):
        load_translator(tmp_path)
    torch.save({"translator_format": 1, "translator": {"width": 4, "blocks": 1}, "weights": {}}, tmp_path / BEST)
    with raises("content-invalid"):
        load_translator(tmp_path)
    with raises("setting-invalid"):
        TranslateSettings(crop=33)
