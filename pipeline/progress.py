"""What people see while a run goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0


class _Rate(ProgressColumn):
    """Scenes per second, or seconds per scene where they are slow."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        if not speed:
            return Text("-- scenes/s", style="dim")
        return Text(f"{speed:.2f} scenes/s" if speed >= 1 else f"{1 / speed:.1f} s/scene", style="cyan")


class SceneProgress:
    """Counts scenes as they end."""

    def __init__(self, reporter: Reporter, total: int, done: int, bar: Progress | None) -> None:
        self._console, self._bar = reporter.console, bar
        self._total, self._done, self._failed, self._before = total, done, 0, done
        self._task = bar.add_task("rendering", total=total, completed=done, failed="") if bar else None
        self._started = self._told = time.monotonic()

    def advance(self, *, failed: bool) -> None:
        """One more scene has ended."""
        self._done += 1
        self._failed += failed
        if self._bar is not None and self._task is not None:
            text = f"[red]{self._failed} failed" if self._failed else ""
            self._bar.update(self._task, advance=1, failed=text)
        elif time.monotonic() - self._told >= SECONDS_BETWEEN_LINES or self._done == self._total:
            self._told = time.monotonic()
            self._console.print(self._line(), highlight=False)

    def _line(self) -> str:
        rate = (self._done - self._before) / max(time.monotonic() - self._started, 1e-6)
        left = (self._total - self._done) / max(rate, 1e-6)
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done}/{self._total} scenes, {rate:.2f} scenes/s, {left:.0f} s left{failed}"


class Reporter:
    """Prints progress to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def scenes(self, total: int, done: int) -> Iterator[SceneProgress]:
        """Progress of `total` scenes, of which `done` were there before."""
        if done:
            self.console.print(f"{done} of {total} scenes are there already: going on from there", highlight=False)
        if not self.console.is_terminal:
            yield SceneProgress(self, total, done, None)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
        )
        with Progress(*columns, console=self.console) as bar:
            yield SceneProgress(self, total, done, bar)
