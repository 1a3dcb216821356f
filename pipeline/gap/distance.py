"""Distances of distributions of two sets of pictures, with what photographs differ among themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.evaluate.metrics.bootstrap import FEW_GROUPS, Interval
from pipeline.gap.factors import FACTORS, Factor
from pipeline.gap.measure import FactorValues, Floats, Ints

# Photographs, of both halves together, below which nothing is said of a distribution.
FEWEST = 4
HALVINGS = 100


@dataclass(frozen=True)
class FactorDistance:
    """How far renders are from photographs in one factor, on the factor's scale.

    distance: Wasserstein distance with its 95 % interval. among: the same between halves of the photographs, median.
    real, rendered: medians. spreads: standard deviations of both. values: numbers of values of both.
    """

    factor: Factor
    distance: Interval
    among: float
    real: float
    rendered: float
    spreads: tuple[float, float]
    values: tuple[int, int]

    @property
    def shift(self) -> float:
        """How far the median of renders lies above that of photographs."""
        return self.rendered - self.real

    @property
    def ratio(self) -> float:
        """The distance in units of what photographs differ among themselves, or of the least that is worth naming."""
        return self.distance.value / max(self.among, self.factor.least)


def wasserstein(first: Floats, first_weights: Floats, second: Floats, second_weights: Floats) -> Floats:
    """Return Wasserstein-1 distances (R,) of weighted samples: values (N,) and (M,), weights (R, N) and (R, M).

    The area between both distribution functions. NaN where a side has no weight.
    """
    order = np.argsort(values := np.concatenate([first, second]), kind="stable")
    count = len(first)
    one = np.concatenate([first_weights, np.zeros((len(first_weights), len(second)))], axis=1)[:, order]
    two = np.concatenate([np.zeros((len(second_weights), count)), second_weights], axis=1)[:, order]
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(
            one.cumsum(axis=1) / one.sum(axis=1, keepdims=True) - two.cumsum(axis=1) / two.sum(axis=1, keepdims=True)
        )
    return np.asarray(apart[:, :-1] @ np.diff(values[order]))


def group_draws(groups: Ints, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often each picture counts (R, N): groups drawn with replacement, as many as there are."""
    count = int(groups.max()) + 1
    drawn = rng.integers(0, count, (resamples, count))
    times = np.zeros((resamples, count))
    np.add.at(times, (np.arange(resamples)[:, None], drawn), 1)
    return times[:, groups]


def half_draws(groups: Ints, count: int, rng: np.random.Generator) -> Floats:
    """Return which pictures (R, N) are in the first half, 1 or 0: halves of the groups, of pictures if they are few."""
    units = groups if groups.max() + 1 >= FEWEST else np.arange(len(groups))
    total = int(units.max()) + 1
    picked = rng.permuted(np.tile(np.arange(total) < total // 2, (count, 1)), axis=1)
    return picked[:, units].astype(np.float64)


def factor_distances(
    real: FactorValues, real_groups: Ints, rendered: FactorValues, rendered_groups: Ints, *, resamples: int, seed: int
) -> list[FactorDistance]:
    """Return the distance in every factor that both sets say enough about."""
    rng = np.random.default_rng([seed, 1])
    draws = [group_draws(groups, resamples, rng) for groups in (real_groups, rendered_groups)]
    note, found = _note(real_groups), []
    for factor, among in zip(FACTORS, distances_among(real, real_groups, seed), strict=True):
        (first, owner), (second, other) = real.of(factor), rendered.of(factor)
        if min(len(np.unique(owner)), len(np.unique(other))) < FEWEST:
            continue
        ones = np.ones((1, len(first))), np.ones((1, len(second)))
        value = float(wasserstein(first, ones[0], second, ones[1])[0])
        drawn = wasserstein(first, draws[0][:, owner], second, draws[1][:, other])
        medians = float(np.median(first)), float(np.median(second))
        spreads, counts = (float(first.std()), float(second.std())), (len(first), len(second))
        found.append(FactorDistance(factor, mirrored(value, drawn, note), among, *medians, spreads, counts))
    return found


def distances_among(real: FactorValues, groups: Ints, seed: int) -> list[float]:
    """Return, for each of FACTORS, the median distance between halves of the photographs; NaN where few have values."""
    halves = half_draws(groups, HALVINGS, np.random.default_rng([seed, 5]))
    return [
        float(np.nanmedian(wasserstein(values, halves[:, owner], values, 1 - halves[:, owner])))
        if len(np.unique(owner)) >= FEWEST
        else float("nan")
        for values, owner in zip(real.values, real.owners, strict=True)
    ]


def mirrored(value: float, drawn: Floats, note: str | None = None) -> Interval:
    """Return the basic bootstrap interval of a distance: resamples are farther apart than the sets are."""
    low, high = np.clip(2 * value - np.nanpercentile(drawn, [97.5, 2.5]), 0, None)
    return Interval(value, float(min(low, value)), float(max(high, value)), note)


def _note(groups: Ints) -> str | None:
    count = int(groups.max()) + 1
    return f"rough: only {count} independent groups of photographs" if count < FEW_GROUPS else None


def total_ratio(distances: Sequence[FactorDistance]) -> float:
    """Return the mean over factors of the distance in units of what photographs differ among themselves."""
    return float(np.mean([one.ratio for one in distances])) if distances else float("nan")
