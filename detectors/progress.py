"""What people see while a network learns: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 20.0


class StepProgress:
    """Counts steps (or pictures), with a rate and a few words that change. unit: what one step is called."""

    def __init__(self, console: Console, title: str, *, total: int, done: int = 0, unit: str = "steps") -> None:
        self.console, self.title, self.unit = console, title, unit
        self.total, self.done, self._before = total, done, done
        self._bar = self._open_bar() if console.is_terminal else None
        self._task = self._bar.add_task(title, total=total, completed=done, words="") if self._bar else None
        self._told = self._last = time.monotonic()
        self._spent = 0.0

    def _open_bar(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=self.console)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        self._told = self._last = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, words: str = "", *, count: int = 1, seconds: float | None = None) -> None:
        """`count` more steps that took `seconds` (all since the call before, if not given), with words to show."""
        now = time.monotonic()
        self.done += count
        self._spent += now - self._last if seconds is None else seconds
        self._last = now
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=count, words=words)
        elif time.monotonic() - self._told >= SECONDS_BETWEEN_LINES or self.done == self.total:
            self._told = time.monotonic()
            left = (self.total - self.done) * self._spent / max(self.done - self._before, 1)
            text = (
                f"{self.title}: {self.done}/{self.total} {self.unit}, {words}{', ' if words else ''}{left:.0f} s left"
            )
            self.tell(text)

    def count(self, number: int) -> None:
        """So many more steps, done since the call before: for functions that only tell how many."""
        self.advance(count=number)

    def tell(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, highlight=False, markup=False)
