"""The course of a training as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from assets.files.atomic import write_atomic


def plot_curves(rows: Sequence[dict[str, float]], out: Path, *, scores: Sequence[str] = ("AP", "AP50", "AP75")) -> None:
    """Losses and validation scores over the epochs, as a PNG. rows: one per epoch, as the training keeps them."""
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
