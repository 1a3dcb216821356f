"""What a refinement prints and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from assets.plurals import count_of
from assets.progress import rate_text
from pipeline.refine.naming import NamingReport
from pipeline.refine.picture import CHANGED, FAILED, MOVED
from pipeline.refine.run import RefineResult
from pipeline.target.charts import shown_distance, shown_value
from pipeline.target.measure import MEASURED

REASONS = {MOVED: "edges moved", CHANGED: "edges changed", FAILED: "the method failed"}
# From this share on a hint says what to do.
MANY_REJECTED = 0.3
# What the user should know of a method beyond its numbers.
WEAKNESSES = {
    "paste": "Products that the photographs show have no labels: use photographs without your products, and say so "
    "with --backgrounds empty. Give these pictures at most 0.3 of a training's mix: they teach where products are, "
    "hardly which.",
}


@dataclass(frozen=True)
class RefineSummary:
    """What `synth refine --json` prints. rejected_by: numbers by reason. naming, distances: before and after."""

    out: Path
    report: Path | None
    method: str
    pictures: int
    refined: int
    rejected: int
    rejected_by: Mapping[str, int]
    naming: Sequence[float | None]
    naming_how: str
    distances: Mapping[str, Sequence[float | None]]
    photos: int
    unreadable: Sequence[str]
    pictures_per_second: float
    interrupted: bool


def summarize_refinement(result: RefineResult, report: Path | None) -> RefineSummary:
    """Return the summary of a refinement. report: its page, if there is one."""
    rejected, naming = result.rejected or {}, result.naming
    return RefineSummary(
        out=result.layout.out,
        report=report,
        method=result.refinement.method,
        pictures=result.total,
        refined=result.refined,
        rejected=sum(rejected.values()),
        rejected_by=rejected,
        naming=(naming.before, naming.after) if naming else (),
        naming_how=naming.how if naming else "",
        distances={one.name: (one.before, one.after) for one in result.distances.distances} if result.distances else {},
        photos=len(result.photos.files),
        unreadable=result.photo_problems,
        pictures_per_second=result.made / result.seconds if result.seconds else 0.0,
        interrupted=result.interrupted,
    )


def naming_text(naming: NamingReport) -> str:
    """Return the accuracy of names before and after as text."""
    if not naming.crops[0] or not naming.crops[1]:
        return "No product is large enough to be named."
    shown = " -> ".join(f"{100 * value:.1f}" for value in (naming.before, naming.after))
    return f"Named rightly by {naming.how}: {shown} % of {count_of(naming.crops[1], 'product')}."


def print_refinement(console: Console, result: RefineResult, report: Path | None) -> None:
    """Print the summary of a refinement; its last line says the most important numbers."""
    for line in result.photo_problems:
        console.print(line, highlight=False, markup=False)
    if result.interrupted:
        done = result.refined + sum((result.rejected or {}).values())
        words = (
            f"stopped after {done} of {count_of(result.total, 'picture')}; everything is kept: the same command resumes"
        )
        console.print(words, highlight=False, markup=False)
        return
    if result.distances is not None:
        console.print(_distances(result), highlight=False)
    rejected = result.rejected or {}
    if rejected:
        reasons = ", ".join(f"{count} {REASONS[name]}" for name, count in sorted(rejected.items()))
        console.print(f"rejected pictures stay as they were: {reasons}; refined.jsonl lists them", highlight=False)
    if sum(rejected.values()) > MANY_REJECTED * result.total:
        console.print("many were rejected: a lower --strength changes less", highlight=False)
    if weakness := WEAKNESSES.get(result.refinement.method):
        console.print(weakness, highlight=False, markup=False)
    rate = f", {rate_text(result.made / result.seconds, 'picture')}" if result.made and result.seconds else ""
    console.print(f"report: {report}", highlight=False, markup=False)
    naming = ""
    if result.naming is not None and result.naming.crops[1]:
        naming = f", named rightly {100 * result.naming.before:.1f} -> {100 * result.naming.after:.1f} %"
    counts = f"{count_of(result.refined, 'picture')} refined, {sum(rejected.values())} rejected"
    console.print(f"{counts}{naming}{rate}: {result.layout.out}", highlight=False, markup=False)


def _distances(result: RefineResult) -> Table:
    assert result.distances is not None
    found, table = result.distances, Table(box=None)
    for title in ("statistic", "photographs", "before", "after", "apart before", "apart after"):
        table.add_column(title, justify="left" if title == "statistic" else "right")
    for statistic, apart in zip(MEASURED, found.distances, strict=True):
        groups = [one.scaled(statistic) for one in (found.target, found.before, found.after)]
        medians = [shown_value(statistic, float(np.median(one))) if len(one) else "–" for one in groups]
        both = [shown_distance(statistic, value) for value in (apart.before, apart.after)]
        table.add_row(f"{statistic.name} {statistic.unit}".strip(), *medians, *both)
    return table
