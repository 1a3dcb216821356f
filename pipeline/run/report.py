"""Report at the end of a run: what was made, where it is, what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from assets.plurals import count_of
from assets.progress import duration_text, rate_text
from pipeline.run.render import RunSummary

MAX_FAILURES_LISTED = 5


def print_summary(console: Console, summary: RunSummary) -> None:
    """Print a table of the data set, failures if there were any, and the next commands."""
    rate = f", {rate_text(summary.made / summary.seconds)}" if summary.made and summary.seconds else ""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("data set", str(summary.out))
    table.add_row("scenes", f"{summary.found + summary.made} of {summary.scenes} finished")
    if not summary.interrupted:
        table.add_row("images", f"{summary.images}")
        table.add_row("annotations", f"{summary.annotations}")
        table.add_row("SKUs seen", f"{summary.skus} of {summary.catalog_size}")
    table.add_row("this run", f"{count_of(summary.made, 'scene')} in {duration_text(summary.seconds)}{rate}")
    if summary.again:
        table.add_row("tried twice", f"{count_of(summary.again, 'scene')}, after an error in their process")
    console.print(table, highlight=False)
    if summary.failures:
        _print_failures(console, summary)
    console.print(_next_step(summary), highlight=False, markup=False, soft_wrap=True)


def _next_step(summary: RunSummary) -> str:
    if summary.interrupted:
        return "stopped; everything finished is kept: the same command resumes there and writes the COCO files"
    return f"next: synth verify {summary.out}; synth preview {summary.out}"


def _print_failures(console: Console, summary: RunSummary) -> None:
    scenes = count_of(len(summary.failures), "scene")
    console.print(f"{scenes} failed; see {summary.out}/failures.jsonl", style="red", highlight=False)
    for outcome in summary.failures[:MAX_FAILURES_LISTED]:
        console.print(f"  scene {outcome.index}: {outcome.reason}", highlight=False, markup=False)
    console.print("the same command retries them", highlight=False)
