"""Progress display: a bar on a terminal, occasional lines elsewhere, with rate and remaining time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from assets.errors import printable
from assets.plurals import plural_of

SECONDS_BETWEEN_LINES = 10.0
# The rate is averaged over this many recent calls: the first ones include start-up, and steps differ.
RATE_CALLS = 50


class StepProgress:
    """Counter of finished steps, images or any other `unit` (a plural).

    done: number finished earlier, which does not affect the rate.
    """

    def __init__(self, console: Console, title: str, *, total: int, done: int = 0, unit: str = "steps") -> None:
        self.console, self.title, self.unit = console, printable(title), unit
        self.total, self.done, self.failed = total, done, 0
        self._bar = self._open_bar() if console.is_terminal else None
        self._task = self._bar.add_task(self.title, total=total, completed=done, words="") if self._bar else None
        self._printed = self._last = time.monotonic()
        # Seconds spent, and number done by then.
        self._spent = deque([(0.0, done)], maxlen=RATE_CALLS + 1)

    def _open_bar(self) -> Progress:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}", markup=False),
        )
        return Progress(*columns, console=self.console)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        self._printed = self._last = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, words: str = "", *, count: int = 1, seconds: float | None = None, failed: bool = False) -> None:
        """Add `count` that took `seconds` (default: since the previous call), with words to show."""
        now = time.monotonic()
        self.done += count
        self.failed += failed
        self._spent.append((self._spent[-1][0] + (now - self._last if seconds is None else seconds), self.done))
        self._last = now
        text = ", ".join(filter(None, (words, self.describe())))
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=count, words=printable(text))
        elif now - self._printed >= SECONDS_BETWEEN_LINES or self.done == self.total:
            self._printed = now
            unit = self.unit if self.total != 1 else self.unit.removesuffix("s")
            self.print(f"{self.title}: {self.done}/{self.total} {unit}, {text}")

    def describe(self) -> str:
        """Describe rate, remaining time and failures."""
        (start, before), (end, done) = self._spent[0], self._spent[-1]
        rate = (done - before) / max(end - start, 1e-6)
        left = duration_text((self.total - self.done) / max(rate, 1e-9))
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{rate_text(rate, self.unit.removesuffix('s'))}, {left} left{failed}"

    def count(self, number: int) -> None:
        """Add `number`, done since the previous call: a callback for functions that only report numbers."""
        self.advance(count=number)

    def print(self, line: str) -> None:
        """Print a permanent line."""
        self.console.print(line, highlight=False, markup=False)


def rate_text(rate: float, noun: str = "scene") -> str:
    """Format a rate as scenes (or `noun`) per second, or as seconds per scene if it is below one."""
    return f"{rate:.2f} {noun}s/s" if rate >= 1 or rate <= 0 else f"{1 / rate:.1f} s/{noun}"


def duration_text(seconds: float) -> str:
    """Format seconds as "45 s", "12 min", "3 h 20 min" or "2 d 4 h"."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


class Reporter:
    """Printer of progress to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """Print a line, above the progress bar if there is one."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def scenes(self, total: int, done: int, *, doing: str = "rendering", noun: str = "scene") -> Iterator[StepProgress]:
        """Show progress of `total` scenes (or `noun`), of which `done` existed before."""
        if done:
            self.say(f"{done} of {total} {plural_of(noun)} are finished already: resuming")
        with StepProgress(self.console, doing, total=total, done=done, unit=plural_of(noun)) as progress:
            yield progress
