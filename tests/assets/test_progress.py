"""Progress: one unit, its rate over the last calls, the time left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from assets.progress import StepProgress


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("assets.progress.time.monotonic", made.monotonic)
    return made


def lines_of(clock: Clock, steps: list[tuple[float, int]], **options: int) -> list[str]:
    printed = io.StringIO()
    with StepProgress(Console(file=printed, width=200), "training", unit="images", **options) as progress:
        for seconds, count in steps:
            clock.now += seconds
            progress.advance("loss 0.5", count=count)
    return printed.getvalue().splitlines()


def test_a_line_has_one_unit_its_rate_and_the_time_left(clock: Clock) -> None:
    assert lines_of(clock, [(4.0, 40), (6.0, 60)], total=200) == [
        "training: 100/200 images, loss 0.5, 10.00 images/s, 10 s left"
    ]


def test_what_was_there_before_says_nothing_about_the_rate(clock: Clock) -> None:
    assert lines_of(clock, [(20.0, 5)], total=100, done=90)[-1] == (
        "training: 95/100 images, loss 0.5, 4.0 s/image, 20 s left"
    )


def test_the_rate_is_that_of_the_last_calls(clock: Clock) -> None:
    slow_start = [(100.0, 1), *[(0.5, 1)] * 60]
    assert lines_of(clock, slow_start, total=100)[-1].endswith("2.00 images/s, 20 s left")


def test_seconds_that_are_given_leave_out_what_came_between(clock: Clock) -> None:
    printed = io.StringIO()
    with StepProgress(Console(file=printed, width=200), "training", total=4, unit="images") as progress:
        clock.now += 60  # a validation
        progress.advance(count=2, seconds=1.0)
    assert printed.getvalue() == "training: 2/4 images, 2.00 images/s, 1 s left\n"
