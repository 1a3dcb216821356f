"""Phases of a training: where they begin, what is drawn in them, and how fast they learn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.data.mix import Mix
from detectors.training.schedule import (
    FINETUNE_RATE,
    LAST_RATE,
    LONGEST_WARM_UP,
    Phase,
    Schedule,
    finetune_shares,
    without_real,
)
from support.errors import raises

SYNTHETIC, MIXED, REAL = (1.0, 0.0), (0.8, 0.2), (0.2, 0.8)


def plan(*phases: Phase, samples: int = 8, counts: tuple[int, ...] = (30, 7)) -> Schedule:
    return Schedule(phases, counts, samples, steps_per_epoch=10, seed=3)


TWO = plan(Phase("synthetic", 40, SYNTHETIC), Phase("finetune", 10, REAL, FINETUNE_RATE))


def test_every_step_has_its_phase() -> None:
    assert TWO.steps == 50
    places = [(TWO.phase_at(step)[0].name, TWO.phase_at(step)[1]) for step in (0, 39, 40, 49, 50)]
    # One past the end still answers: a progress bar may ask.
    assert places == [("synthetic", 0)] * 2 + [("finetune", 40)] * 3


def test_the_mix_changes_with_the_first_sample_of_a_phase() -> None:
    assert TWO.shares_at(40 * 8 - 1) == SYNTHETIC
    assert TWO.shares_at(40 * 8) == REAL


def test_no_batch_straddles_two_phases() -> None:
    for step in range(TWO.steps):
        drawn = list(TWO.draws(step * 8, (step + 1) * 8))
        real = sum(draw.source == 1 for draw in drawn)
        assert [draw.position for draw in drawn] == list(range(step * 8, (step + 1) * 8))
        assert real == 0 if step < 40 else abs(real - 0.8 * 8) <= 1


def test_the_parts_of_a_step_are_the_step() -> None:
    # Two processes take half of it each.
    for step in (0, 39, 40):
        halves = [*TWO.draws(step * 8, step * 8 + 4), *TWO.draws(step * 8 + 4, step * 8 + 8)]
        assert halves == list(TWO.draws(step * 8, step * 8 + 8))


def test_a_phase_begins_its_mix_anew() -> None:
    drawn = [draw[:2] for draw in TWO.draws(320, 400)]
    assert drawn == [draw[:2] for draw in Mix((30, 7), REAL, 4).draws(0, 80)]


def test_rates_warm_up_and_fall_within_each_phase() -> None:
    rates = [TWO.rate_at(step) for step in range(50)]
    first, second = rates[:40], rates[40:]
    assert first[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert second[:2] == pytest.approx([0.05, 0.1])
    for phase, factor in ((first, 1.0), (second, FINETUNE_RATE)):
        top = phase.index(max(phase))
        assert max(phase) == pytest.approx(factor)
        assert phase[:top] == sorted(phase[:top]) and phase[top:] == sorted(phase[top:], reverse=True)
        assert LAST_RATE * factor <= phase[-1] < 0.2 * factor


def test_warm_up_is_not_longer_than_its_limit() -> None:
    long = plan(Phase("mix", 100_000, MIXED))
    assert long.rate_at(LONGEST_WARM_UP) == 1.0 > long.rate_at(LONGEST_WARM_UP - 1)
    assert long.rate_at(99_999) == pytest.approx(LAST_RATE, rel=1e-3)


@given(steps=st.lists(st.integers(1, 200), min_size=1, max_size=3))
def test_rates_are_never_zero_nor_above_their_phase(steps: list[int]) -> None:
    made = plan(*(Phase("p", count, MIXED) for count in steps))
    assert all(0 < made.rate_at(step) <= 1 for step in range(made.steps + 1))


@pytest.mark.parametrize(
    ("shares", "replay", "tuned"),
    [
        ((0.8, 0.2), 0.2, (0.2, 0.8)),
        ((0.6, 0.2, 0.2), 0.2, (0.15, 0.05, 0.8)),  # several sources keep their proportions
        ((0.8, 0.2), 0.0, (0.0, 1.0)),
        ((0.0, 1.0), 0.2, (0.0, 1.0)),  # nothing to replay
        ((1.0,), 0.2, (1.0,)),  # real photos alone
    ],
)
def test_finetuning_replays_the_others(shares: tuple[float, ...], replay: float, tuned: tuple[float, ...]) -> None:
    assert finetune_shares(shares, replay) == pytest.approx(tuned)


def test_without_real_the_others_keep_their_proportions() -> None:
    assert without_real((0.6, 0.2, 0.2)) == pytest.approx((0.75, 0.25, 0.0))
    with raises("mix-invalid"):
        without_real((0.0, 1.0))
