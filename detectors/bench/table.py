"""The table of a comparison: sorted, with the rows that none beats in both speed and accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.catalog.csv_rows import csv_bytes
from assets.progress import duration_text
from detectors.bench.rows import RowRecord
from detectors.evaluate.metrics.corners import CORNER_METRICS
from detectors.evaluate.metrics.pixels import MASK_METRICS

# Metrics that a row may have beside those of boxes, shown where any row has them.
FURTHER = {name: kind for name, kind in {**MASK_METRICS, **CORNER_METRICS}.items() if kind.head}


@dataclass(frozen=True)
class Column:
    """A column of numbers. value: nan where a row has none. text: of a number. unit: for the head, may be empty.

    meaning: one sentence.
    """

    name: str
    unit: str
    meaning: str
    value: Callable[[RowRecord], float]
    text: Callable[[float], str]

    def shown(self, row: RowRecord) -> str:
        """Return the number of a row as text."""
        value = self.value(row)
        return self.text(value) if math.isfinite(value) else "–"


def _metric(name: str) -> Callable[[RowRecord], float]:
    return lambda row: row.metric(name)


def _time(name: str) -> Callable[[RowRecord], float]:
    return lambda row: float(getattr(row.times, name)) if row.times else math.nan


def _cost(name: str, scale: float) -> Callable[[RowRecord], float]:
    def value(row: RowRecord) -> float:
        number = getattr(row.costs, name, None)
        return math.nan if number is None else number / scale

    return value


def _grade(value: float) -> str:
    return f"{value:.3f}"


def _short(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


COLUMNS = (
    Column("AP", "", "The right class in the right box, mean over overlaps of 50 to 95 %.", _metric("AP"), _grade),
    Column("AP50", "", "As AP, where half an overlap of the box is enough.", _metric("AP50"), _grade),
    Column("AP small", "", "AP on objects under 32 x 32 pixels.", _metric("APs"), _grade),
    Column("AP middle", "", "AP on objects between.", _metric("APm"), _grade),
    Column("AP large", "", "AP on objects over 96 x 96 pixels.", _metric("APl"), _grade),
    Column("latency", "ms", "Median of one image, from pixels to boxes.", _time("latency_ms"), _short),
    Column("95 %", "ms", "Nineteen of twenty images take no longer.", _time("latency_p95_ms"), _short),
    Column("throughput", "images/s", "Of several images at once.", _time("images_per_second"), _short),
    Column("weights", "M", "Millions of parameters.", _cost("parameters", 1e6), _short),
    Column(
        "operations",
        "GFLOP",
        "Of one image; a multiplication and its addition are two.",
        _cost("flops", 1e9),
        _short,
    ),
    Column("memory", "MiB", "Most that weights and one image take.", _cost("memory_mb", 1), _short),
    Column("training", "time", "Time of the training.", _time("trained_seconds"), duration_text),
    Column("trained", "images/s", "Images of the training in a second.", _time("trained_per_second"), _short),
)


def columns_of(rows: Sequence[RowRecord]) -> list[Column]:
    """Return the columns of a table: metrics of masks and keypoints only where a row has them."""
    there = [name for name in FURTHER if any(math.isfinite(row.metric(name)) for row in rows)]
    more = [Column(name, "", FURTHER[name].meaning, _metric(name), _grade) for name in there]
    return [*COLUMNS[:5], *more, *COLUMNS[5:]]


def sort_rows(rows: Sequence[RowRecord]) -> list[RowRecord]:
    """Return the rows that are done by falling AP, the faster first of equal ones; then what failed or was skipped."""
    order = {"done": 0, "failed": 1, "skipped": 2}
    return sorted(rows, key=lambda row: (order[row.status], -row.ap, row.latency, row.name))


def pareto_front(rows: Sequence[RowRecord]) -> list[RowRecord]:
    """Return the rows that no other beats: none is as fast and as accurate, and better in one. The fastest first.

    Rows that find nothing (AP 0) are none of them, however fast.
    """
    front: list[RowRecord] = []
    for row in sorted((row for row in timed_rows(rows) if row.ap > 0), key=lambda row: (row.latency, -row.ap)):
        equal = front and (row.latency, row.ap) == (front[-1].latency, front[-1].ap)
        if not front or row.ap > front[-1].ap or equal:
            front.append(row)
    return front


def timed_rows(rows: Sequence[RowRecord]) -> list[RowRecord]:
    """Return the rows that have both a latency and an AP."""
    return [row for row in rows if row.status == "done" and row.times is not None and row.ap >= 0]


def setting_text(row: RowRecord) -> str:
    """Return backbone, size, proposals and first weights of a row as text."""
    if row.settings is None:
        return ""
    one = row.settings
    parts = [one.backbone or "", f"{one.width}x{one.height}"]
    parts += [f"{one.proposals} proposals"] if one.proposals else []
    parts += [f"weights {Path(one.weights).name}"]
    return ", ".join(part for part in parts if part)


def short_names(rows: Sequence[RowRecord]) -> dict[str, str]:
    """Return by name what tells a row from the others: its detector, and what differs in rows of the same detector."""
    settings = {row.name: _parts(row) for row in rows}
    labels = {}
    for row in rows:
        same = [settings[other.name] for other in rows if other.asked == row.asked and settings[other.name]]
        varied = [len(set(column)) > 1 for column in zip(*same, strict=True)]
        kept = [part for part, shown in zip(settings[row.name], varied, strict=False) if shown]
        labels[row.name] = ", ".join([Path(row.asked).stem if row.asked.endswith(".py") else row.asked, *kept])
    return labels if len(set(labels.values())) == len(labels) else {row.name: row.name for row in rows}


def _parts(row: RowRecord) -> tuple[str, ...]:
    one = row.settings
    if one is None:
        return ()
    proposals = f"{one.proposals} proposals" if one.proposals else "its own proposals"
    return (one.backbone or "its own network", f"{one.width}x{one.height}", proposals)


def table_csv(rows: Sequence[RowRecord]) -> bytes:
    """Return the table as CSV, numbers in full."""
    columns, front = columns_of(rows), {row.name for row in pareto_front(rows)}
    heads = [f"{column.name} {column.unit}".strip() for column in columns]
    own = ("name", "detector", "backbone", "width", "height", "proposals", "initial weights")
    lines: list[list[object]] = [[*own, *heads, "pareto", "status", "reason"]]
    for row in sort_rows(rows):
        one = row.settings
        how = [one.backbone or "", one.width, one.height, one.proposals or "", one.weights] if one else [""] * 5
        values = [column.value(row) for column in columns]
        numbers = [float(f"{value:.9g}") if math.isfinite(value) else "" for value in values]
        where = "yes" if row.name in front else ""
        lines.append([row.name, row.asked, *how, *numbers, where, row.status, row.reason])
    return csv_bytes(lines)
