"""Trainings interrupted at a step, and compared to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from detectors.checkpoints.detector import BEST, LAST, load_checkpoint
from detectors.training.engine import Engine


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, however nested."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Any) -> None:
    """Runs `act` once a training has made so many steps, once."""
    plain, acted = Engine._make_step, []

    def watched(self: Engine, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if self.step == step and not acted:
            acted.append(step)
            act()

    monkeypatch.setattr(Engine, "_make_step", watched)


def assert_same_run(one: Path, other: Path) -> None:
    for name in (LAST, BEST):
        a, b = load_checkpoint(one / name), load_checkpoint(other / name)
        assert same(a.weights, b.weights), f"averaged weights in {name}"
        assert same(a.training, b.training), f"weights, optimizer and record in {name}"
        assert (a.step, a.score, a.threshold) == (b.step, b.score, b.threshold)
