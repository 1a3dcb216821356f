"""How well gaps foretell AP: rank correlations over recipes whose detectors were evaluated on photographs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import FileModel, parse_model
from assets.limits import DATASET_JSON, read_file
from pipeline.gap.measure import Floats

# Recipes below which no claim is made, and below which nothing can be said at all.
ENOUGH, FEWEST = 6, 4
COMBINED = "all together"
Share = Annotated[float, Field(ge=0, le=1)]


class GapRow(FileModel):
    """One recipe: its measures, larger is farther from photographs, and the AP of a detector trained on it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    real: Annotated[str, Field(max_length=1000)]
    measures: dict[str, float]
    ap: Share
    low: Share | None = None
    high: Share | None = None


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of a measure with AP: -1 foretells it without a mistake, as larger gaps mean less AP.

    low, high: the lowest and highest with one recipe left out.
    """

    measure: str
    rho: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """What gaps are worth as forecasts of AP. recipes: measured. correlations: strongest first, then all together.

    The measures together are judged on recipes that were left out when they were combined.
    """

    recipes: int
    correlations: Sequence[RankCorrelation]

    @property
    def claim(self) -> str:
        """One sentence on what the numbers allow to say."""
        if self.recipes < ENOUGH:
            return f"No claim about AP: {self.recipes} recipes were measured, and fewer than {ENOUGH} say nothing."
        together = next(one for one in self.correlations if one.measure == COMBINED)
        return (
            f"Measured on {self.recipes} recipes: rank correlation with AP on photographs {together.rho:.2f} for all "
            f"measures together, each recipe left out once."
        )


def read_rows(tables: Sequence[Path]) -> list[GapRow]:
    """Read tables of JSON Lines. Raises SynthError with the line that is not a row."""
    rows = []
    for table in tables:
        lines = read_file(table, DATASET_JSON, "the calibration table").splitlines()
        rows += [
            parse_model(GapRow, line, "the row", f"{table}, line {number}")
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
    return rows


def add_row(table: Path, row: GapRow) -> list[GapRow]:
    """Add a row to a table, or replace that of the same name and photographs; return all rows."""
    rows = read_rows([table]) if table.exists() else []
    kept = [one for one in rows if (one.name, one.real) != (row.name, row.real)] + [row]
    lines = (json.dumps(one.model_dump(), ensure_ascii=False) for one in kept)
    write_atomic(table, "".join(f"{line}\n" for line in lines).encode())
    return kept


def calibrate(rows: Sequence[GapRow]) -> Calibration:
    """Return the correlations of every measure that all rows have. Raises SynthError for photographs that differ."""
    if len({row.real for row in rows}) > 1:
        raise SynthError(
            "APs on different photographs cannot be ranked together",
            code="setting-invalid",
            found=", ".join(sorted({row.real for row in rows})),
            hint="keep a table for each set of photographs",
        )
    names = sorted(set.intersection(*(set(row.measures) for row in rows))) if rows else []
    if len(rows) < FEWEST or not names:
        return Calibration(len(rows), ())
    aps = np.array([row.ap for row in rows])
    table = np.array([[row.measures[name] for name in names] for row in rows])
    each = [_correlation(name, table[:, place], aps) for place, name in enumerate(names)]
    each.sort(key=lambda one: (np.isnan(one.rho), -abs(one.rho)))
    return Calibration(len(rows), [*each, _correlation(COMBINED, left_out_scores(table, aps), aps)])


def _correlation(name: str, values: Floats, aps: Floats) -> RankCorrelation:
    without = [spearman(np.delete(values, place), np.delete(aps, place)) for place in range(len(aps))]
    finite = [one for one in without if np.isfinite(one)] or [float("nan")]
    return RankCorrelation(name, spearman(values, aps), min(finite), max(finite))


def spearman(first: Floats, second: Floats) -> float:
    """Return the correlation of the ranks of two columns, ties sharing theirs; NaN if one column is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(column) - (len(column) + 1) / 2 for column in (first, second)]
    scale = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1]) / scale if scale else float("nan")


def left_out_scores(table: Floats, aps: Floats) -> Floats:
    """Return, for each recipe (N,), the gap that all measures (N, K) together say, judged by the other recipes.

    Each measure counts by its correlation with AP among the others, so that one without any has no say. Few recipes
    allow no finer weights: Dawes, "The robust beauty of improper linear models", American Psychologist 34 (1979).
    """
    scores = np.zeros(len(aps))
    for place in range(len(aps)):
        others, known = np.delete(table, place, axis=0), np.delete(aps, place)
        spread = np.maximum(others.std(axis=0), 1e-12)
        weights = np.nan_to_num([spearman(column, known) for column in others.T])
        scores[place] = -float((table[place] - others.mean(axis=0)) / spread @ weights) / max(
            np.abs(weights).sum(), 1e-9
        )
    return scores
