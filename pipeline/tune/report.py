"""What tuning prints and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.target.charts import shown_distance
from pipeline.tune.objective import HeldOut
from pipeline.tune.run import TunedKey, Tuning


@dataclass(frozen=True)
class TuneSummary:
    """What `synth tune --json` prints. factors: held-out ratios before and after. better: which recipe was written."""

    out: Path
    report: Path
    trials: int
    pruned: int
    failed: int
    better: bool
    interrupted: bool
    keys: Sequence[TunedKey]
    held_out: HeldOut | None
    scores: Sequence[float] | None
    factors: Mapping[str, Sequence[float]]
    notes: Sequence[str]


def summarize_tuning(tuning: Tuning) -> TuneSummary:
    """Return the summary of a search."""
    evidence = tuning.evidence
    return TuneSummary(
        out=tuning.settings.out,
        report=tuning.settings.report_path,
        trials=len(tuning.trials),
        pruned=sum(row.state == "pruned" for row in tuning.trials),
        failed=sum(row.state == "failed" for row in tuning.trials),
        better=tuning.better,
        interrupted=tuning.interrupted,
        keys=tuning.keys,
        held_out=evidence.comparison if evidence else None,
        scores=evidence.scores if evidence else None,
        factors=ratios_of(tuning),
        notes=tuning.notes,
    )


def ratios_of(tuning: Tuning) -> dict[str, tuple[float, float]]:
    """Return held-out ratios before and after of the factors that both recipes have, the farthest before first."""
    if tuning.evidence is None:
        return {}
    after = {one.factor.name: one.ratio for one in tuning.evidence.after}
    found = {one.factor.name: (one.ratio, after.get(one.factor.name, np.nan)) for one in tuning.evidence.before}
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def print_tuning(console: Console, tuning: Tuning) -> None:
    """Print ranges, held-out distances and the verdict."""
    keys = Table(box=None)
    for title in ("key", "before", "best trial", "importance"):
        keys.add_column(title)
    for one in tuning.keys:
        keys.add_row(one.key, one.before, one.after, f"{one.importance:.2f}" if np.isfinite(one.importance) else "–")
    if tuning.keys:
        console.print(keys, highlight=False)
    if tuning.evidence is not None:
        console.print(_factors(tuning), highlight=False)
    for line in tuning.notes:
        console.print(line, highlight=False, markup=False)
    if not tuning.interrupted:
        wrote = f"wrote {tuning.settings.out} and {tuning.settings.report_path}"
        console.print(wrote, highlight=False, markup=False)


def _factors(tuning: Tuning) -> Table:
    assert tuning.evidence is not None
    table = Table(box=None, title="on held-out photographs and scenes")
    for title in ("factor", "apart before", "apart after", "times before", "times after"):
        table.add_column(title, justify="left" if title == "factor" else "right")
    after = {one.factor.name: one for one in tuning.evidence.after}
    for one in sorted(tuning.evidence.before, key=lambda one: -one.ratio):
        if other := after.get(one.factor.name):
            shown = [shown_distance(one.factor.statistic, each.distance.value) for each in (one, other)]
            table.add_row(one.factor.name, *shown, f"{one.ratio:.1f}", f"{other.ratio:.1f}")
    return table
