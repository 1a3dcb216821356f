"""The history of a training, and its plot."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.files.atomic import write_atomic


@dataclass
class History:
    """Results of the epochs so far, kept when resuming. rows: one per epoch. stale: epochs since the best.

    fitted: the row of the best epoch once the model is fitted to it, None before.

    sums: of each loss over the `steps` of the current epoch.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = -1.0
    stale: int = 0
    stopped: bool = False
    fitted: dict[str, float] | None = None
    sums: Counter[str] = field(default_factory=Counter)
    steps: int = 0

    def add_losses(self, losses: dict[str, float]) -> None:
        """Add the losses of a step to the sums of the current epoch."""
        self.sums.update(losses)
        self.steps += 1

    def take_losses(self) -> dict[str, float]:
        """Return the mean losses of the current epoch, and reset the sums for the next one."""
        means = {f"train {name}": value / self.steps for name, value in sorted(self.sums.items())}
        self.sums, self.steps = Counter(), 0
        return means

    def best_row(self, score: str) -> dict[str, float]:
        """Return the row of the best epoch, of the last one if there are no scores, {} before the first."""
        return max(self.rows, key=lambda row: row.get(score, row["step"]), default={})


def plot_curves(rows: Sequence[dict[str, float]], out: Path, *, scores: Sequence[str]) -> None:
    """Plot losses and validation scores over the epochs as a PNG. rows: as in History."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot(left, rows, [name for name in rows[-1] if name.startswith("train ")], "loss")
    _plot(right, rows, [name for name in scores if name in rows[-1]], "validation")
    right.set_ylim(0, 1)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(out, buffer.getvalue())


def _plot(axes: object, rows: Sequence[dict[str, float]], names: Sequence[str], title: str) -> None:
    for name in names:
        there = [row for row in rows if name in row]
        label = name.removeprefix("train ")
        axes.plot([row["epoch"] for row in there], [row[name] for row in there], marker=".", label=label)  # type: ignore[attr-defined]
    axes.set_title(title if names else f"{title}: no validation set")  # type: ignore[attr-defined]
    axes.set_xlabel("epoch")  # type: ignore[attr-defined]
    axes.grid(alpha=0.3)  # type: ignore[attr-defined]
    if names:
        axes.legend(fontsize=8)  # type: ignore[attr-defined]
