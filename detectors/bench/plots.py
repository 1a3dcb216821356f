"""Plots of a comparison: speed against accuracy, AP by size of objects, and what a variation does."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from detectors.bench.name_places import place_names
from detectors.bench.rows import RowRecord, RowSettings
from detectors.bench.table import pareto_front, short_names, sort_rows, timed_rows

BLUE, ORANGE, GREY = "#2e7d9e", "#d9822b", "#8a949c"
SIZES = (("APs", "under 32 px", "#9cc8da"), ("APm", "32 to 96 px", BLUE), ("APl", "over 96 px", "#1b4a5e"))
# A setting of a row, None where it has none.
Value = Callable[[RowSettings], float | str | None]
MAX_BARS = 40
MAX_NAME = 34


def plot_speed(rows: Sequence[RowRecord]) -> bytes:
    """Return a PNG of AP over latency on a logarithmic axis, with the Pareto front as a line."""
    from matplotlib.ticker import LogLocator

    timed, front, names = timed_rows(rows), pareto_front(rows), short_names(rows)
    figure, axes = _open(10.0, 6.4)
    for row in timed:
        color = ORANGE if row in front else GREY
        if row.low is not None and row.high is not None:
            axes.plot([row.latency] * 2, [row.low, row.high], color=color, alpha=0.3, linewidth=1.2)
        axes.plot(row.latency, row.ap, "o", color=color, markersize=7 if row in front else 5)
    if front:
        # Between two rows of the front nothing is reached but the slower's time with the faster's AP.
        axes.step(
            [row.latency for row in front], [row.ap for row in front], where="post", color=ORANGE, linewidth=1, zorder=0
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("milliseconds for one image, median (logarithmic)")
    axes.set_ylabel("AP")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12)
    # The best first: where there is little room, theirs are the names that stand beside their dots.
    order = sorted(timed, key=lambda row: (row not in front, -row.ap, row.latency))
    points = [(row.latency, row.ap) for row in order]
    place_names(axes, points, [_short(names[row.name]) for row in order], [row in front for row in order])
    return _png(figure)


def plot_sizes(rows: Sequence[RowRecord]) -> bytes:
    """Return a PNG of bars: AP on small, middle and large objects."""
    done, names = [row for row in sort_rows(rows) if row.status == "done"][:MAX_BARS], short_names(rows)
    figure, axes = _open(9.0, 1.2 + 0.42 * max(len(done), 1))
    for number, (name, label, color) in enumerate(SIZES):
        values = [row.metric(name, 0.0) for row in done]
        axes.barh([place + 0.27 * number for place in range(len(done))], values, 0.25, color=color, label=label)
    axes.set_yticks(
        [place + 0.27 for place in range(len(done))], [_short(names[row.name]) for row in done], parse_math=False
    )
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("AP")
    axes.legend(fontsize=8)
    return _png(figure)


def plot_variation(rows: Sequence[RowRecord], value: Value, others: Sequence[Value]) -> bytes:
    """Return a PNG: AP and latency of each detector over a variation, one line for each choice of the others."""
    found = [(value(row.settings), row) for row in timed_rows(rows) if row.settings is not None]
    places = {one: place for place, one in enumerate(sorted({one for one, _ in found if one is not None}, key=_rank))}
    lines: dict[str, list[tuple[int, RowRecord]]] = defaultdict(list)
    for one, row in found:
        if one is not None:
            rest = [str(text) for other in others if (text := other(row.settings)) is not None] if row.settings else []
            lines[", ".join([row.asked, *rest])].append((places[one], row))
    lines = {name: points for name, points in lines.items() if len({place for place, _ in points}) > 1}
    figure, (left, right) = _open(9.0, 3.6 + 0.2 * math.ceil(len(lines) / 5), columns=2)
    for name, points in sorted(lines.items()):
        points.sort(key=lambda point: point[0])
        x = [place for place, _ in points]
        (line,) = left.plot(x, [row.ap for _, row in points], "o-", markersize=4)
        times = [row.latency for _, row in points]
        right.plot(x, times, "o-", markersize=4, color=line.get_color(), label=_short(name))
    for axes, title in ((left, "AP"), (right, "milliseconds for one image")):
        axes.set_xticks(list(places.values()), [_short(str(one)) for one in places], rotation=20, parse_math=False)
        axes.set_title(title)
        axes.set_ylim(bottom=0)
    if lines:
        legend = figure.legend(loc="outside lower center", ncols=5, fontsize=7)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return _png(figure)


def _rank(value: float | str) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (math.inf, value)


def _open(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for one in (axes,) if columns == 1 else axes:
        one.grid(alpha=0.3)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
