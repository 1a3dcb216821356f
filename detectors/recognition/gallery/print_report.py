"""Print the report of a gallery's evaluation."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from assets.plurals import count_of, counts_of
from detectors.recognition.gallery.evaluate import GalleryReport

MAX_MISTAKES = 5
COUNTING = ("AP", "AP50", "list accuracy", "ACD", "mCCD", "mCIoU")


def print_report(console: Console, report: GalleryReport) -> None:
    """Print a report in about twenty lines."""
    console.print(
        f"{report.name}: {count_of(report.boxes, 'product')} in {count_of(report.images, 'image')}; "
        f"gallery {report.version}, {counts_of(SKU=report.retrieval.skus, view=report.retrieval.views, spec=',')}",
        highlight=False,
        markup=False,
    )
    console.print(_naming(report), highlight=False)
    console.print(_counting(report), highlight=False)
    for true, called, times in report.mistakes[:MAX_MISTAKES]:
        console.print(f"  {times} x {true} called {called}", highlight=False, markup=False)


def _naming(report: GalleryReport) -> Table:
    found, at, review, decision = report.retrieval, report.at, report.review, report.decision
    simulated = "; there are none, so each known one stood in for one" if found.simulated else ""
    table = _table("naming labelled boxes", "value", "")
    table.add_row("top-1", _share(found.top1), f"of {found.queries} products that the gallery has")
    table.add_row("top-5", _share(found.top5), "the right SKU is among the five best")
    table.add_row(
        "AUROC", _number(found.auroc), f"how well scores separate {found.unknown} unknown products{simulated}"
    )
    table.add_row("threshold", _number(decision.threshold), f"chosen on {decision.chosen_on}")
    table.add_row("accepted", _share(at.accepted), "known products at or above it")
    table.add_row("refused", _share(at.refused), "unknown products below it")
    table.add_row("for review", _share(review.share), f"of named products: a lead under {decision.margin:.3f}")
    table.add_row("right, clear", _share(review.right_clear), "of those named without review")
    table.add_row("right, in review", _share(review.right_review), "of those for review, as named by the gallery")
    table.add_row("right alone", _share(review.right), "of all: named correctly without review, or correctly rejected")
    return table


def _counting(report: GalleryReport) -> Table:
    parts = [part for part in (report.given, report.found) if part is not None]
    table = _table("counting", *("labelled boxes", "detector's boxes")[: len(parts)], "")
    for row in zip(*(part.metrics for part in parts), strict=True):
        if row[0].name in COUNTING:
            table.add_row(row[0].name, *(_number(metric.value) for metric in row), row[0].meaning)
    table.caption = "unknown products count as one more SKU"
    table.caption_justify = "left"
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in (columns[0], "") else "right")
    return table


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
