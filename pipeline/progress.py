"""What people see while a run goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

SECONDS_BETWEEN_LINES = 10.0
# The rate is that of the last scenes: the first ones pay for starting, and scenes differ.
RATE_SCENES = 50


class SceneProgress:
    """Counts scenes as they end. done: those that were there before, which say nothing about the rate.

    doing, noun: other words where it is not scenes that are rendered.
    """

    def __init__(
        self,
        reporter: Reporter,
        total: int,
        done: int,
        bar: Progress | None,
        *,
        doing: str = "rendering",
        noun: str = "scene",
    ) -> None:
        self._console, self._bar, self._noun = reporter.console, bar, noun
        self._total, self._done, self._failed = total, done, 0
        self._told = time.monotonic()
        self._ends = deque([self._told], maxlen=RATE_SCENES + 1)
        self._task = bar.add_task(doing, total=total, completed=done, about="") if bar else None

    def advance(self, *, failed: bool) -> None:
        """One more scene has ended."""
        self._done += 1
        self._failed += failed
        self._ends.append(time.monotonic())
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, about=self.about())
        elif self._ends[-1] - self._told >= SECONDS_BETWEEN_LINES or self._done == self._total:
            self._told = self._ends[-1]
            self._console.print(f"{self._done}/{self._total} {self._noun}s, {self.about()}", highlight=False)

    def about(self) -> str:
        """Rate, time left and failures, in words."""
        rate = (len(self._ends) - 1) / max(self._ends[-1] - self._ends[0], 1e-6)
        failed = f", {self._failed} failed" if self._failed else ""
        return (
            f"{rate_text(rate, self._noun)}, {duration_text((self._total - self._done) / max(rate, 1e-9))} left{failed}"
        )


class Reporter:
    """Prints progress to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def scenes(
        self, total: int, done: int, *, doing: str = "rendering", noun: str = "scene"
    ) -> Iterator[SceneProgress]:
        """Progress of `total` scenes (or whatever `noun` says), of which `done` were there before."""
        if done:
            self.say(f"{done} of {total} {noun}s are there already: going on from there")
        if not self.console.is_terminal:
            yield SceneProgress(self, total, done, None, doing=doing, noun=noun)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[about]}"),
        )
        with Progress(*columns, console=self.console) as bar:
            yield SceneProgress(self, total, done, bar, doing=doing, noun=noun)


def rate_text(rate: float, noun: str = "scene") -> str:
    """Scenes per second, or seconds per scene where they are slow."""
    return f"{rate:.2f} {noun}s/s" if rate >= 1 or rate <= 0 else f"{1 / rate:.1f} s/{noun}"


def duration_text(seconds: float) -> str:
    """45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
