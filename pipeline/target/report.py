"""What a fit prints and returns: ranges that changed, and how far distributions were apart before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.target.charts import shown_distance, shown_value
from pipeline.target.fit import RecipeFit, report_path
from pipeline.target.scenes import STATISTICS
from pipeline.target.settings import FitSettings


@dataclass(frozen=True)
class FitSummary:
    """What `synth recipe fit --json` prints. ranges: by setting. object_size, distances: before and after."""

    out: Path
    report: Path
    photos: int
    unreadable: Sequence[str]
    size: Sequence[int]
    ranges: Mapping[str, Sequence[float]]
    object_size: Sequence[float | None]
    distances: Mapping[str, Sequence[float]]
    notes: Sequence[str]


def summarize_fit(fit: RecipeFit, settings: FitSettings) -> FitSummary:
    """Return the summary of a fit."""
    return FitSummary(
        out=settings.out,
        report=report_path(settings),
        photos=len(fit.photos),
        unreadable=fit.unreadable,
        size=fit.size,
        ranges={change.key: change.after for change in fit.changes if not change.note},
        object_size=(fit.before.true_size, fit.after.true_size),
        distances={one.name: (one.before, one.after) for one in fit.distances},
        notes=fit.notes,
    )


def print_fit(console: Console, fit: RecipeFit, settings: FitSettings) -> None:
    """Print the summary of a fit."""
    import numpy as np

    table = Table(box=None)
    for title in ("statistic", "photographs", "before", "after", "apart before", "apart after"):
        table.add_column(title, justify="left" if title == "statistic" else "right")
    for statistic, apart in zip(STATISTICS, fit.distances, strict=True):
        groups = [found.scaled(statistic) for found in (fit.target, fit.before.measured, fit.after.measured)]
        if len(groups[0]):
            medians = [shown_value(statistic, float(np.median(one))) if len(one) else "–" for one in groups]
            both = [shown_distance(statistic, value) for value in (apart.before, apart.after)]
            table.add_row(f"{statistic.name} {statistic.unit}".strip(), *medians, *both)
    console.print(table, highlight=False)
    ranges = Table(box=None)
    for title in ("range", "before", "after", ""):
        ranges.add_column(title)
    for change in fit.changes:
        ranges.add_row(change.key, *change.texts, change.note)
    console.print(ranges, highlight=False)
    for line in (*fit.unreadable, *fit.notes):
        console.print(line, highlight=False, markup=False)
    sizes = [f"{100 * size:.1f}" for size in (fit.before.true_size, fit.after.true_size)]
    console.print(f"boxes of rendered objects: side {' -> '.join(sizes)} % of the root of the area", highlight=False)
    console.print(f"wrote {settings.out} and {report_path(settings)}", highlight=False, markup=False)
