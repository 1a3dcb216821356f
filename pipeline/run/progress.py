"""Progress of runs that render: printed to a console that is handed from function to function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from assets.plurals import plural_of
from assets.progress import StepProgress


class Reporter:
    """Prints progress to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def scenes(self, total: int, done: int, *, doing: str = "rendering", noun: str = "scene") -> Iterator[StepProgress]:
        """Progress of `total` scenes (or whatever `noun` says), of which `done` were there before."""
        if done:
            self.say(f"{done} of {total} {plural_of(noun)} are there already: going on from there")
        with StepProgress(self.console, doing, total=total, done=done, unit=plural_of(noun)) as progress:
            yield progress
