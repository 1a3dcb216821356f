"""The summary of a training for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from assets.plurals import count_of
from assets.progress import rate_text
from detectors.checkpoints.detector import BEST, LAST
from detectors.data.mix import realised
from detectors.data.source import LiveCounts
from detectors.training.engine import Engine


@dataclass(frozen=True)
class TrainSummary:
    """The summary of a training. finished: False if it was interrupted. best: scores of the best epoch.

    drawn: number of samples from each source. images_per_second, waiting, seconds: of this call alone; waiting is the
    fraction of time that the network waited for images. live: what was rendered for it in this call.
    """

    out: Path
    finished: bool
    steps: int
    best: dict[str, float]
    drawn: dict[str, int] = field(default_factory=dict)
    images_per_second: float = 0.0
    waiting: float = 0.0
    seconds: float = 0.0
    live: tuple[LiveCounts, ...] = ()


def summarize(
    engine: Engine, seconds: float, drawn: dict[str, int] | None = None, live: Sequence[LiveCounts] = ()
) -> TrainSummary:
    """Summarize the training of an engine. seconds: duration of this call."""
    history, pace = engine.history, engine.pace
    row = history.fitted or history.best_row(engine.task.scores[0])
    best = engine.task.score_of(row) | ({"epoch": row["epoch"]} if row else {})
    rate = pace.samples / pace.worked if pace.worked else 0.0
    numbers = (rate, pace.waiting, seconds)
    return TrainSummary(engine.settings.out, engine.ended, engine.step, best, drawn or {}, *numbers, tuple(live))


def print_training(console: Console, summary: TrainSummary, next_command: str, *, unit: str = "images") -> None:
    """Print the summary of a training. next_command: suggested if the training is finished."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_row("best", best_text(summary.best))
    if summary.drawn:
        table.add_row("drawn", realised(summary.drawn))
    if summary.seconds:
        pace = f"{summary.images_per_second:.1f} {unit}/s, waiting for {unit} {summary.waiting:.1%} of the time"
        table.add_row("this run", f"{summary.seconds:.0f} s, {pace}")
    for counts in filter(lambda counts: counts.scenes or counts.failed, summary.live):
        table.add_row("rendered", live_text(counts))
        if counts.failed:
            table.add_row(
                "failed", f"{count_of(counts.failed, 'scene')}, replaced by others; the first: {counts.reason}"
            )
    table.add_row("checkpoints", f"{summary.out / BEST}, {summary.out / LAST}")
    console.print(table, highlight=False)
    if not summary.finished:
        console.print("stopped; everything is kept: the same command resumes there", highlight=False)
    else:
        console.print(f"next: {next_command}", highlight=False, markup=False)


def live_text(counts: LiveCounts) -> str:
    """Return what was rendered while training as text."""
    return f"{count_of(counts.scenes, 'scene')}, {rate_text(counts.rate)}"


def best_text(best: dict[str, float]) -> str:
    """Return the scores of the best epoch as text, or why there are none. best: {} before the first epoch ends."""
    if not best:
        return "the first epoch is not finished"
    scores = ", ".join(f"{name} {value:.4f}" for name, value in best.items() if name != "epoch")
    return f"{scores or 'no validation set'} (epoch {best['epoch']:g})"
