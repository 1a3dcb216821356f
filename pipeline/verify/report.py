"""The findings of `synth verify`, as they are collected and as they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console

from assets.interrupt import never
from assets.plurals import count_of
from dataset.spool import IdSpool
from pipeline.run.refinement import Refinement
from pipeline.verify.records import Violation

# A data set that is broken everywhere need not be reported to the last line.
MAX_VIOLATIONS = 1000
MAX_TOLD = 100


@dataclass(frozen=True)
class VerifyReport:
    """What was found.

    skipped: checks that could not be made, and why. interrupted: it was stopped before all was checked; what was found
    until then holds, but no set is clean by such a report. checked: what was, of sets that others made. refined: how
    `synth refine` changed the pictures, in words.
    """

    violations: tuple[Violation, ...]
    images: int
    annotations: int
    scenes_sampled: int
    skipped: tuple[str, ...]
    interrupted: bool = False
    images_rendered: int = 0
    checked: str = ""
    refined: str = ""


@dataclass
class ImageFindings:
    """Findings in an image, or beside one. numbers: by name, ids and hashes that must not occur twice."""

    found: Sequence[Violation]
    images: int = 0
    annotations: int = 0
    numbers: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass
class Tally:
    """Counts and findings while a data set is read.

    folder: of numbers on their way. stop: asked between images whether to end early.
    """

    folder: Path
    stop: Callable[[], bool] = never
    violations: list[Violation] = field(default_factory=list)
    images: int = 0
    annotations: int = 0
    scenes: int = 0
    rendered: int = 0
    skipped: list[str] = field(default_factory=list)
    interrupted: bool = False
    checked: str = ""
    refined: str = ""
    spools: dict[str, IdSpool] = field(default_factory=dict)

    def add(self, found: Iterable[Violation]) -> None:
        """Add violations, one more than are reported at most."""
        self.violations.extend(islice(found, MAX_VIOLATIONS + 1 - len(self.violations)))

    def note_refined(self, refinement: Refinement) -> None:
        """Note that the pictures of the set are others than those that were rendered."""
        self.refined = refinement.words
        self.skipped.append(f"that the pictures show what was rendered: {refinement.words}")

    def take(self, findings: ImageFindings) -> None:
        """Add what was found in an image."""
        self.add(findings.found)
        self.images, self.annotations = self.images + findings.images, self.annotations + findings.annotations
        for name, numbers in findings.numbers.items():
            if name not in self.spools:
                self.spools[name] = IdSpool(self.folder / str(len(self.spools)))
            self.spools[name].add(np.array(numbers, np.int64))

    def twice(self, name: str, most: int | None = None) -> Iterator[int]:
        """The first `most` of the numbers of a name that came more than once."""
        return islice(self.spools[name].twice(), most) if name in self.spools else iter(())

    @property
    def full(self) -> bool:
        return len(self.violations) > MAX_VIOLATIONS

    @property
    def ended(self) -> bool:
        """Whether checking should end: there is enough to report, or a stop was requested."""
        self.interrupted = self.interrupted or self.stop()
        return self.full or self.interrupted

    def report(self) -> VerifyReport:
        """Return what was found so far."""
        skipped = list(self.skipped)
        if self.full:
            skipped.append(f"everything after the first {MAX_VIOLATIONS} violations")
        found = tuple(self.violations[:MAX_VIOLATIONS])
        counts = (self.images, self.annotations, self.scenes)
        return VerifyReport(found, *counts, tuple(skipped), self.interrupted, self.rendered, self.checked, self.refined)


def print_report(console: Console, report: VerifyReport) -> None:
    """Print each violation on a line, then a summary line."""
    for violation in report.violations[:MAX_TOLD]:
        console.print(str(violation), style="red", highlight=False, markup=False)
    if len(report.violations) > MAX_TOLD:
        console.print(f"and {len(report.violations) - MAX_TOLD} more", style="red")
    if report.refined:
        console.print(f"refined: {report.refined}", highlight=False, markup=False)
    if report.checked:
        console.print(f"checked: {report.checked}", highlight=False, markup=False)
    for skipped in report.skipped:
        console.print(f"not proven: {skipped}", style="yellow", highlight=False, markup=False)
    counts = ", ".join(
        [
            count_of(report.images, "image"),
            count_of(report.annotations, "annotation"),
            f"{count_of(report.scenes_sampled, 'scene')} sampled again",
            f"{count_of(report.images_rendered, 'image')} rendered again",
        ]
    )
    violations = count_of(len(report.violations), "violation")
    if report.interrupted:
        words = f"stopped: not everything was checked; {violations} in what was: {counts}"
        console.print(words, style="bold yellow", highlight=False)
    elif report.violations:
        console.print(f"{violations} in {counts}", style="bold red", highlight=False)
    else:
        console.print(f"clean: {counts}", style="bold green", highlight=False)
