"""Is one detector better than another on the same images, or is it luck of the draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, Ints, align
from detectors.evaluate.metrics.bootstrap import RESAMPLES, Interval, bootstrap
from detectors.evaluate.metrics.curves import Ranked, average_precision, mean_over_classes, rank, shorten
from detectors.evaluate.metrics.matching import find_candidates, match


@dataclass(frozen=True)
class ClassChange:
    """AP of one class with A and with B."""

    key: str
    name: str
    boxes: int
    before: float
    after: float

    @property
    def difference(self) -> float:
        """Positive where B is better."""
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """B against A on the same images. ap, ap50: B minus A, from resamples that both share.

    classes: worst loss of B first.
    """

    first: str
    second: str
    ap: Interval
    ap50: Interval
    classes: tuple[ClassChange, ...]

    @property
    def sure(self) -> bool:
        """Whether the interval of the AP difference leaves zero out, and is no rough one."""
        return self.ap.note is None and (self.ap.low > 0 or self.ap.high < 0)


def compare(
    truth: ImageSet,
    first: Predictions,
    second: Predictions,
    *,
    rng: np.random.Generator,
    names: tuple[str, str] = ("A", "B"),
    resamples: int = RESAMPLES,
) -> Comparison:
    """B minus A: AP and AP50 with 95 % intervals from a paired bootstrap, and class by class.

    Paired: both are judged on the same resample, so that hard images weigh on both alike.
    """
    data = align(truth, first)
    before, after = ranked_detections(data), ranked_detections(align(truth, second))
    short = shorten(before), shorten(after)

    def difference(weights: Ints) -> np.ndarray:
        tables = [average_precision(ranked, weights) for ranked in short]
        means = [[mean_over_classes(table), mean_over_classes(table[0])] for table in tables]
        return np.subtract(means[1], means[0])

    value = difference(np.ones(len(truth), np.int64))
    ap, ap50 = bootstrap(value, difference, truth.groups, rng=rng, resamples=resamples, limits=[(-1.0, 1.0)] * 2)
    return Comparison(*names, ap, ap50, _by_class(data, before, after))


def ranked_detections(data: Aligned) -> Ranked:
    """Detections matched at every threshold and ordered, for `average_precision`."""
    return rank(data, match(data, find_candidates(data)))


def _by_class(data: Aligned, before: Ranked, after: Ranked) -> tuple[ClassChange, ...]:
    # Both tables have the classes of the same truth in the same order.
    values = [average_precision(ranked).mean(axis=0).tolist() for ranked in (before, after)]
    boxes = np.bincount(before.box_class, minlength=len(before.labels)).tolist()
    rows = zip(before.labels.tolist(), boxes, *values, strict=True)
    classes = data.classes
    changes = [ClassChange(classes.keys[label], classes.names[label], *row) for label, *row in rows]
    return tuple(sorted(changes, key=lambda change: (change.difference, change.key)))
