"""The table of metrics: one function and one line each. Reports, pages and the console loop over what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.metrics.align import Floats, Ints
from detectors.evaluate.metrics.bootstrap import Interval, bootstrap
from detectors.evaluate.metrics.curves import at_half, average_precision, mean_over_classes, shorten
from detectors.evaluate.metrics.evidence import Evidence


@dataclass(frozen=True)
class Metric:
    """One number about a detector, embedder or gallery on an image set, nan where it is not defined.

    meaning: one sentence. interval: where 95 of 100 such sets would put it, None where that is not estimated. head:
    whether it stands at the top of reports.
    """

    name: str
    meaning: str
    value: float
    interval: Interval | None
    lower_is_better: bool
    head: bool


@dataclass(frozen=True)
class MetricKind:
    """How a metric is computed.

    compute: from the evidence to the number. weighted: optional, from the evidence to a function of how often each
    image counts, (N,) int64; it gives the metric its interval. limits: of the number. totals: whether `compute` needs
    only what Totals has, so that sets too large for memory have the metric too.
    """

    meaning: str
    compute: Callable[[Any], float]
    weighted: Callable[[Any], Callable[[Ints], float]] | None = None
    limits: tuple[float, float] = (0.0, 1.0)
    lower_is_better: bool = False
    head: bool = False
    totals: bool = False


def measure(
    evidence: Any,
    kinds: Mapping[str, MetricKind],
    groups: NDArray[np.int32],
    *,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[Metric, ...]:
    """The metrics in the order of the table. groups: (N,) of the images. All intervals are of the same resamples."""
    values = {name: float(kind.compute(evidence)) for name, kind in kinds.items()}
    weighted = {name: kind.weighted(evidence) for name, kind in kinds.items() if kind.weighted is not None}

    def statistic(weights: Ints) -> Floats:
        return np.array([number(weights) for number in weighted.values()])

    intervals = bootstrap(
        np.array([values[name] for name in weighted]),
        statistic,
        groups,
        rng=rng,
        resamples=resamples,
        limits=[kinds[name].limits for name in weighted],
    )
    return _as_metrics(kinds, values, dict(zip(weighted, intervals, strict=True)))


def measure_totals(totals: Any, kinds: Mapping[str, MetricKind]) -> tuple[Metric, ...]:
    """The metrics that need only Totals, without intervals."""
    kinds = {name: kind for name, kind in kinds.items() if kind.totals}
    return _as_metrics(kinds, {name: float(kind.compute(totals)) for name, kind in kinds.items()}, {})


def _as_metrics(
    kinds: Mapping[str, MetricKind], values: Mapping[str, float], intervals: Mapping[str, Interval]
) -> tuple[Metric, ...]:
    return tuple(
        Metric(name, kind.meaning, values[name], intervals.get(name), kind.lower_is_better, kind.head)
        for name, kind in kinds.items()
    )


def _coco(name: str) -> Callable[[Any], float]:
    return lambda evidence: evidence.coco[name]


def _weighted_ap(evidence: Evidence) -> Callable[[Ints], float]:
    ranked = shorten(evidence.ranked)
    return lambda weights: mean_over_classes(average_precision(ranked, weights))


def _weighted_ap50(evidence: Evidence) -> Callable[[Ints], float]:
    ranked = shorten(at_half(evidence.ranked))
    return lambda weights: mean_over_classes(average_precision(ranked, weights))


def _weighted_finding(evidence: Evidence) -> Callable[[Ints], float]:
    ranked = shorten(at_half(evidence.finding.ranked))
    return lambda weights: mean_over_classes(average_precision(ranked, weights))


def _weighted_lists(evidence: Evidence) -> Callable[[Ints], float]:
    right = evidence.counts.right()
    return lambda weights: float(weights[right].sum() / weights.sum())


COUNT_LIMITS = (0.0, float("inf"))
# In the order in which they are shown.
METRICS: Mapping[str, MetricKind] = {
    "AP": MetricKind(
        "The right SKU in the right box, mean over SKUs and box overlaps of 50 to 95 %.",
        _coco("AP"),
        _weighted_ap,
        head=True,
        totals=True,
    ),
    "AP50": MetricKind(
        "As AP, where half an overlap of the box is enough.", _coco("AP50"), _weighted_ap50, head=True, totals=True
    ),
    "finding AP50": MetricKind(
        "As AP50, whichever SKU is reported.", lambda found: found.finding.ap50, _weighted_finding, head=True
    ),
    "naming": MetricKind("Products found that get the right SKU.", lambda found: found.naming.share, head=True),
    "list accuracy": MetricKind(
        "Images in which every SKU is counted right (cAcc of RPC).",
        lambda found: found.checkout.cacc,
        _weighted_lists,
        head=True,
    ),
    "recall": MetricKind(
        "Products reported as the right SKU above the threshold.",
        lambda found: found.operating.recall,
        head=True,
        totals=True,
    ),
    "precision": MetricKind(
        "Reports above the threshold that are true.",
        lambda found: found.operating.precision,
        head=True,
        totals=True,
    ),
    "F1": MetricKind(
        "Precision and recall in one number, high only where both are.", lambda found: found.operating.f1, totals=True
    ),
    "ACD": MetricKind(
        "Products counted too many or too few, per image.",
        lambda found: found.checkout.acd,
        limits=COUNT_LIMITS,
        lower_is_better=True,
    ),
    "mCCD": MetricKind(
        "Wrong counts as a share of true ones, mean over SKUs.",
        lambda found: found.checkout.mccd,
        limits=COUNT_LIMITS,
        lower_is_better=True,
    ),
    "mCIoU": MetricKind("How far true and found counts agree, mean over SKUs.", lambda found: found.checkout.mciou),
    "AP75": MetricKind("As AP, where the box must overlap by three quarters.", _coco("AP75"), totals=True),
    "APs": MetricKind("AP on small products, under 32 x 32 pixels.", _coco("APs"), totals=True),
    "APm": MetricKind("AP on middle-sized products.", _coco("APm"), totals=True),
    "APl": MetricKind("AP on large products, over 96 x 96 pixels.", _coco("APl"), totals=True),
    "AR1": MetricKind("Recall with at most 1 detection per image and SKU.", _coco("AR1"), totals=True),
    "AR10": MetricKind("Recall with at most 10 detections per image and SKU.", _coco("AR10"), totals=True),
    "AR100": MetricKind("Recall with at most 100 detections per image and SKU.", _coco("AR100"), totals=True),
    "ARs": MetricKind("Recall on small products.", _coco("ARs"), totals=True),
    "ARm": MetricKind("Recall on middle-sized products.", _coco("ARm"), totals=True),
    "ARl": MetricKind("Recall on large products.", _coco("ARl"), totals=True),
}
