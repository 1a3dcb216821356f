"""Print the report of a gallery's evaluation."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from assets.plurals import count_of, counts_of
from detectors.evaluate.print_report import metric_table, number_text
from detectors.recognition.gallery.evaluate import GalleryReport

MAX_MISTAKES = 5
COUNTING = ("AP", "AP50", "list accuracy", "ACD", "mCCD", "mCIoU")


def print_report(console: Console, report: GalleryReport) -> None:
    """Print a report in about thirty lines."""
    found = report.retrieval
    unknown = "none, so each known one stood in for one" if found.simulated else f"{found.unknown} of them"
    console.print(
        f"{report.name}: {count_of(report.boxes, 'product')} in {count_of(report.images, 'image')}, {found.queries} of "
        f"them in the gallery; gallery {report.version}, {counts_of(SKU=found.skus, view=found.views, spec=',')}",
        highlight=False,
        markup=False,
    )
    console.print(f"unknown products: {unknown}", highlight=False)
    console.print(_naming(report), highlight=False)
    console.print(_counting(report), highlight=False)
    for true, called, times in report.mistakes[:MAX_MISTAKES]:
        console.print(f"  {times} x {true} called {called}", highlight=False, markup=False)


def _naming(report: GalleryReport) -> Table:
    table = metric_table(report.retrieval.metrics, heads=True)
    table.title, table.title_justify = "naming labelled boxes", "left"
    decision = report.decision
    table.add_row("threshold", number_text(decision.threshold), "", f"chosen on {decision.chosen_on}")
    table.add_row("margin", number_text(decision.margin), "", "a smaller lead over the second SKU is for review")
    return table


def _counting(report: GalleryReport) -> Table:
    parts = [part for part in (report.given, report.found) if part is not None]
    table = _table("counting", *("labelled boxes", "detector's boxes")[: len(parts)], "")
    for row in zip(*(part.metrics for part in parts), strict=True):
        if row[0].name in COUNTING:
            table.add_row(row[0].name, *(number_text(metric.value) for metric in row), row[0].meaning)
    table.caption = "unknown products count as one more SKU"
    table.caption_justify = "left"
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in (columns[0], "") else "right")
    return table
