"""Progress of render runs, printed to a console that functions receive as a parameter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from assets.plurals import plural_of
from assets.progress import StepProgress


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
