"""A report on the console: the head numbers first, then what to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from assets.plurals import count_of, counts_of
from detectors.evaluate.metrics.bootstrap import Interval
from detectors.evaluate.metrics.table import Metric
from detectors.evaluate.report import Report

MAX_CLASSES = 5
MAX_CONFUSIONS = 5


def print_report(console: Console, report: Report) -> None:
    """Prints a report in about thirty lines."""
    if report.unknown_classes:
        boxes, known = sum(report.unknown_classes.values()), len(report.classes) - len(report.unknown_classes)
        words = f"the detector knows {known} of the {len(report.classes)} SKUs of {report.name}: {boxes} of "
        words += f"{report.boxes} products are of others and count as missed"
        console.print(words, style="bold yellow" if 2 * boxes > report.boxes else None, highlight=False, markup=False)
    console.print(
        f"{report.name}: {count_of(report.images, 'image')} in {counts_of(group=report.groups, box=report.boxes)} of "
        f"{count_of(len(report.classes), 'class')}, {count_of(report.detections, 'detection')}",
        highlight=False,
        markup=False,
    )
    console.print(_head(report), highlight=False)
    console.print(_mistakes(report), highlight=False)
    if report.classes:
        console.print(_classes(report), highlight=False)
    if report.naming.confusions:
        console.print(_confusions(report), highlight=False)
    if report.other_classes:
        total = sum(report.other_classes.values())
        console.print(
            f"{total} detections of {len(report.other_classes)} classes that these labels do not know", highlight=False
        )


def _head(report: Report) -> Table:
    table = metric_table(report.metrics, heads=True)
    sizes = ", ".join(f"{part.name} {number_text(part.ap)}" for part in report.parts["size"])
    table.add_row("AP by size", "", "", sizes)
    operating, naming = report.operating, report.naming
    chosen = "best F1 on this set" if operating.chosen_here else f"best here {number_text(operating.best_threshold)}"
    table.add_row("threshold", number_text(operating.threshold), "", chosen)
    counts = (naming.right, naming.found - naming.right, sum(naming.missed.values()), sum(naming.background.values()))
    told_counts = "right SKU {}, wrong SKU {}, missed {}; too many {}".format(*counts)
    table.add_row("products", str(report.boxes), "", told_counts)
    return table


def metric_table(metrics: Sequence[Metric], *, heads: bool) -> Table:
    """A table of name, value, interval and meaning of metrics, to which rows may be added. heads: of the head ones."""
    table = _table("", "value", "95 %", "")
    for metric in metrics:
        if metric.head or not heads:
            table.add_row(metric.name, number_text(metric.value), _range(metric.interval), metric.meaning)
    notes = [metric.interval.note for metric in metrics if metric.interval is not None and metric.interval.note]
    if notes:
        table.caption = notes[0]
        table.caption_justify = "left"
    return table


def _mistakes(report: Report) -> Table:
    """Costs alone: AP has no threshold, so its counts are not those of the line above the threshold."""
    table = _table("mistakes", "costs AP50")
    for error in sorted(report.errors, key=lambda error: -error.gain):
        table.add_row(error.name, number_text(error.gain))
    return table


def _classes(report: Report) -> Table:
    table = _table("worst SKUs", "boxes", "AP", "AP50")
    for row in report.classes[:MAX_CLASSES]:
        table.add_row(row.key or row.name, str(row.boxes), number_text(row.ap), number_text(row.ap50))
    return table


def _confusions(report: Report) -> Table:
    table = _table("SKU", "times", "taken for")
    for one in report.naming.confusions[:MAX_CONFUSIONS]:
        table.add_row(one.true, str(one.count), one.found)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(columns):
        numeric = name in ("value", "costs AP50", "boxes", "AP", "AP50", "times")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=place == 0)
    return table


def number_text(value: float) -> str:
    """A number at three digits, a dash for nan."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def _range(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return "–" if math.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"
