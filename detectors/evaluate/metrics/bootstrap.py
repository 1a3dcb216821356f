"""How far a number would move with other photographs of the same kind: resampling images, or groups of them.

Photographs of one arrangement are no independent evidence: where images come in groups, groups are drawn.
Source: Davison and Hinkley 1997, section 5.2, basic bootstrap intervals (the percentiles mirrored at the value).

Why mirrored: AP is a little too high on a small set, since the best of few precisions is taken at every recall, and
resamples have fewer different images still. In 150 trials with a simulated detector the AP of a very large set lay in
the mirrored interval of 100 images with 8 boxes each in 85 % (10 classes) and 51 % (50 classes), in the plain
percentile interval in 45 % and 0 %. With few boxes per class either is too sure of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.metrics.align import Aligned, Floats, Ints
from detectors.evaluate.metrics.checkout import Counts
from detectors.evaluate.metrics.confusion import Localization
from detectors.evaluate.metrics.curves import Ranked, average_precision, mean_over_classes, shorten

RESAMPLES = 1000
# With fewer the same few pictures are drawn over and over: 2 groups give 3 different sets.
FEW_GROUPS = 10
HEAD_NUMBERS = ("AP", "AP50", "finding AP50", "list accuracy")


@dataclass(frozen=True)
class Interval:
    """A number and where 95 of 100 such test sets would put it.

    low, high are nan where that cannot be said. note: why, or why it is only rough.
    """

    value: float
    low: float
    high: float
    note: str | None = None


def resample_weights(
    groups: NDArray[np.int32], *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Iterator[Ints]:
    """(N,) how often each image is drawn, again and again: groups drawn with replacement, as many as there are."""
    numbers, place = np.unique(groups, return_inverse=True)
    for _ in range(resamples):
        drawn = rng.integers(0, len(numbers), len(numbers))
        yield np.bincount(drawn, minlength=len(numbers))[place]


def bootstrap(
    value: Floats,
    statistic: Callable[[Ints], Floats],
    groups: NDArray[np.int32],
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    limits: tuple[float, float] = (0.0, 1.0),
) -> tuple[Interval, ...]:
    """95 % intervals of S numbers from the same resamples.

    value: (S,) on all images. statistic: (N,) weights to (S,) numbers. groups: (N,). limits: of the numbers.
    """
    count = len(np.unique(groups))
    if count < 2:
        nothing = "no interval: it takes at least two independent groups of images"
        return tuple(Interval(float(one), np.nan, np.nan, nothing) for one in value)
    note = f"rough: only {count} independent groups of images" if count < FEW_GROUPS else None
    draws = np.stack([statistic(weights) for weights in resample_weights(groups, rng=rng, resamples=resamples)])
    return tuple(_interval(float(one), draws[:, column], limits, note) for column, one in enumerate(value))


def head_statistic(ranked: Ranked, finding: Localization, counts: Counts) -> Callable[[Ints], Floats]:
    """AP, AP50, AP50 of finding and list accuracy as functions of image weights."""
    ranked, found = shorten(ranked), shorten(at_half(finding.ranked))
    right = counts.right()

    def statistic(weights: Ints) -> Floats:
        table = average_precision(ranked, weights)
        accuracy = float(weights[right].sum() / weights.sum()) if weights.sum() else float("nan")
        half = average_precision(found, weights)
        return np.array([mean_over_classes(table), mean_over_classes(table[0]), mean_over_classes(half), accuracy])

    return statistic


def head_intervals(
    data: Aligned,
    ranked: Ranked,
    finding: Localization,
    counts: Counts,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> dict[str, Interval]:
    """The head numbers with their intervals, by name."""
    statistic = head_statistic(ranked, finding, counts)
    value = statistic(np.ones(data.images, np.int64))
    intervals = bootstrap(value, statistic, data.groups, rng=rng, resamples=resamples)
    return dict(zip(HEAD_NUMBERS, intervals, strict=True))


def at_half(ranked: Ranked) -> Ranked:
    """The same at an overlap of 0.5 alone."""
    return Ranked(**{**vars(ranked), "right": ranked.right[:1], "wrong": ranked.wrong[:1]})


def _interval(value: float, draws: Floats, limits: tuple[float, float], note: str | None) -> Interval:
    draws = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(draws):
        return Interval(value, np.nan, np.nan, "no interval: there is nothing to measure it on")
    low, high = np.clip(2 * value - np.percentile(draws, [97.5, 2.5]), *limits)
    return Interval(value, float(low), float(high), note)
