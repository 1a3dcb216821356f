"""The report of a fit: one page with the photographs and the renders before and after, and their distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from pipeline.target.charts import (
    CHART_HEIGHT,
    CHART_WIDTH,
    bin_shares,
    data_urls,
    shown_distance,
    shown_value,
    svg_bars,
    svg_steps,
)
from pipeline.target.fit import RecipeFit, StatisticDistance
from pipeline.target.measure import Statistic
from pipeline.target.scenes import STATISTICS, Measurements


@dataclass(frozen=True)
class Histogram:
    """A statistic of photographs and of renders before and after, ready to be drawn. bars, lines: of SVG.

    low, high: values at both ends of the axis, as text. medians: of the three, as text.
    """

    statistic: Statistic
    bars: Sequence[tuple[float, float, float, float]]
    before: str
    after: str
    low: str
    high: str
    medians: tuple[str, str, str]
    distances: tuple[str, str]


def write_page(fit: RecipeFit, path: Path) -> None:
    """Write the report as one HTML file."""
    page = open_templates(__package__).get_template("page.html.j2")
    content = page.render(
        fit=fit,
        rows=[
            ("Photographs", data_urls([photo.pixels for photo in fit.photos])),
            ("Rendered before", data_urls(fit.before.images)),
            ("Rendered after", data_urls(fit.after.images)),
        ],
        histograms=histograms(STATISTICS, (fit.target, fit.before.measured, fit.after.measured), fit.distances),
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )
    write_atomic(path, content.encode())


def histograms(
    statistics: Sequence[Statistic],
    measured: tuple[Measurements, Measurements, Measurements],
    distances: Sequence[StatisticDistance],
) -> list[Histogram]:
    """Return the drawings of statistics of photographs and of pictures before and after; of those that all have."""
    apart = {one.name: one for one in distances}
    found = (histogram(one, measured, apart[one.name]) for one in statistics)
    return [one for one in found if one is not None]


def histogram(
    statistic: Statistic, measured: tuple[Measurements, Measurements, Measurements], apart: StatisticDistance
) -> Histogram | None:
    """Return the drawing of a statistic of photographs and of pictures before and after; None where one has no value.

    apart: the distances of both from the photographs.
    """
    groups = [found.scaled(statistic) for found in measured]
    if not all(map(len, groups)):
        return None
    edges, (bars, before, after) = bin_shares(groups)
    return Histogram(
        statistic,
        svg_bars(bars),
        svg_steps(before),
        svg_steps(after),
        shown_value(statistic, edges[0]),
        shown_value(statistic, edges[-1]),
        tuple(shown_value(statistic, float(np.median(values))) for values in groups),  # type: ignore[arg-type]
        (shown_distance(statistic, apart.before), shown_distance(statistic, apart.after)),
    )
