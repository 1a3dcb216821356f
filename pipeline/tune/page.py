"""The page of a search: what changed, held-out distributions before and after, history, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from pipeline.gap.distance import FactorDistance
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
from pipeline.target.measure import Statistic
from pipeline.tune.journal import TrialRow
from pipeline.tune.run import HeldOutEvidence, Tuning


@dataclass(frozen=True)
class FactorPair:
    """A factor before and after, ready to be drawn."""

    statistic: Statistic
    distances: tuple[str, str]
    ratios: tuple[float, float]
    bars: Sequence[tuple[float, float, float, float]]
    before: str
    after: str
    ends: tuple[str, str]


@dataclass(frozen=True)
class HistoryChart:
    """Values of trials as points of an SVG, and the best so far as a line. low, high: ends of the axis, as text."""

    points: Sequence[tuple[float, float, str]]
    best: str
    low: str
    high: str


def write_page(tuning: Tuning, path: Path) -> None:
    """Write the page of a search as one HTML file."""
    evidence = tuning.evidence
    page = open_templates(__package__).get_template("page.html.j2")
    rows = (
        ()
        if evidence is None
        else zip(("Photographs, held out", "Before", "Best trial"), evidence.pictures, strict=True)
    )
    content = page.render(
        tuning=tuning,
        evidence=evidence,
        pairs=[] if evidence is None else factor_pairs(evidence),
        rows=[(name, data_urls([one.pixels for one in pictures])) for name, pictures in rows],
        history=history_chart(tuning.trials),
        finite=np.isfinite,
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )
    write_atomic(path, content.encode())


def factor_pairs(evidence: HeldOutEvidence) -> list[FactorPair]:
    """Return the factors that both recipes have, the farthest before first."""
    after = {one.factor.name: one for one in evidence.after}
    pairs = [(one, after[one.factor.name]) for one in evidence.before if one.factor.name in after]
    return [_pair(evidence, *pair) for pair in sorted(pairs, key=lambda pair: -pair[0].ratio)]


def _pair(evidence: HeldOutEvidence, one: FactorDistance, other: FactorDistance) -> FactorPair:
    statistic = one.factor.statistic
    edges, (bars, before, after) = bin_shares([values.of(one.factor)[0] for values in evidence.values])
    return FactorPair(
        statistic,
        (shown_distance(statistic, one.distance.value), shown_distance(statistic, other.distance.value)),
        (one.ratio, other.ratio),
        svg_bars(bars),
        svg_steps(before),
        svg_steps(after),
        (shown_value(statistic, edges[0]), shown_value(statistic, edges[-1])),
    )


def history_chart(trials: Sequence[TrialRow]) -> HistoryChart | None:
    """Return the history of a search; None without any value."""
    rows = [row for row in trials if row.value is not None]
    if not rows:
        return None
    values = np.array([row.value for row in rows])
    low, high = float(values.min()), float(np.percentile(values, 90))
    high = high if high > low else low + 1
    last = max(row.number for row in rows) or 1
    x = [CHART_WIDTH * row.number / last for row in rows]
    y = CHART_HEIGHT * (1 - 0.9 * np.clip((values - low) / (high - low), 0, 1)) - 4
    heights = CHART_HEIGHT - y
    best, steps = np.inf, []
    for place, row in enumerate(rows):
        if row.state == "complete" and values[place] < best:
            best = float(values[place])
            steps.append((x[place], float(CHART_HEIGHT - heights[place])))
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in _stairs(steps))
    points = [(a, float(b), row.state) for a, b, row in zip(x, y, rows, strict=True)]
    return HistoryChart(points, line, f"{low:.2f}", f"{high:.2f}")


def _stairs(steps: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    corners: list[tuple[float, float]] = []
    for x, y in steps:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return [*corners, (CHART_WIDTH, corners[-1][1])] if corners else []
