"""The table of retrieval metrics: one function and one line each. Reports and the console loop over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.data.mix import TrainingStream, stream
from detectors.evaluate.metrics.align import Ints
from detectors.evaluate.metrics.bootstrap import RESAMPLES
from detectors.evaluate.metrics.table import Metric, MetricKind, measure
from detectors.recognition.embedder.retrieval import Ranking, margins, open_set, score_pair

# Object of a report's JSON that has the metrics without a prefix.
MAIN = "retrieval"


@dataclass(frozen=True, eq=False)
class RetrievalEvidence:
    """What retrieval metrics are computed from, for Q queries.

    threshold: score from which the first SKU is accepted, nan if there is none. named, review: (Q,) whether a gallery
    names the query, and whether a person is to check that; None without a gallery's decisions.
    """

    ranking: Ranking
    threshold: float = math.nan
    named: NDArray[np.bool_] | None = None
    review: NDArray[np.bool_] | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """(Q,) whether the gallery has the query's SKU."""
        return self.ranking.known

    @property
    def rank(self) -> NDArray[np.int64]:
        """(K,) rank of the true SKU of each known query, from 1."""
        return self.ranking.rank[self.known]

    @property
    def lead(self) -> NDArray[np.float32]:
        """(K,) lead of the first SKU over the second for each known query."""
        return margins(self.ranking)[self.known]

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(Q,) whether the first SKU's score reaches the threshold."""
        return self.ranking.scores[:, 0] >= self.threshold

    @cached_property
    def open_set(self) -> tuple[float, float]:
        """AUROC and false positive rate of known against unknown queries."""
        return open_set(*score_pair(self.ranking))


@dataclass(frozen=True)
class Retrieval:
    """Retrieval metrics and what they were measured on.

    queries: number of queries whose SKU is in the gallery; unknown: number of others. skus, views: of the gallery.
    simulated: there were no unknown products, so each query without its own SKU stood in for one. threshold: nan if
    there is none. metrics: in the order of the table.
    """

    queries: int
    unknown: int
    skus: int
    views: int
    simulated: bool
    threshold: float
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric:
        """Return the metric of a name. Raises KeyError if it was not measured."""
        return {metric.name: metric for metric in self.metrics}[name]

    def parts(self) -> dict[str, dict[str, float] | None]:
        """Return the objects of a report's JSON: "at.right" is `right` of `at`; names without prefix are of MAIN."""
        facts = ("queries", "unknown", "skus", "views", "simulated")
        parts: dict[str, dict[str, float]] = {MAIN: {name: getattr(self, name) for name in facts}}
        parts["at"] = {} if math.isnan(self.threshold) else {"threshold": self.threshold}
        for metric in self.metrics:
            part, key = _place(metric.name)
            parts.setdefault(part, {})[key] = metric.value
        return {part: numbers or None for part, numbers in parts.items()}


def measure_retrieval(
    evidence: RetrievalEvidence,
    kinds: Mapping[str, MetricKind],
    groups: NDArray[np.int32],
    *,
    skus: int,
    views: int,
    seed: int,
) -> Retrieval:
    """Compute the metrics in the order of the table, without those that need a threshold or decisions that are lacking.

    groups: (Q,) of the queries, such as photos of one arrangement; intervals come from resampling these.
    """
    lacking = {"at": math.isnan(evidence.threshold), "review": evidence.review is None}
    kinds = {name: kind for name, kind in kinds.items() if not lacking.get(_place(name)[0], False)}
    known, rng = evidence.known, stream(seed, TrainingStream.BOOTSTRAP)
    return Retrieval(
        queries=int(known.sum()),
        unknown=int((~known).sum()),
        skus=skus,
        views=views,
        simulated=bool(known.all()),
        threshold=evidence.threshold,
        metrics=measure(evidence, kinds, groups[known], rng=rng, resamples=RESAMPLES),
    )


def _place(name: str) -> tuple[str, str]:
    part, _, key = name.rpartition(".")
    return part or MAIN, key


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _mean_of_known(meaning: str, values: Callable[[RetrievalEvidence], NDArray], *, head: bool = True) -> MetricKind:
    """Return the mean of a value of known queries, (K,), with its interval."""

    def weighted(evidence: RetrievalEvidence) -> Callable[[Ints], float]:
        of_query = values(evidence).astype(np.float64)
        return lambda weights: float((weights * of_query).sum() / weights.sum()) if len(weights) else math.nan

    return MetricKind(meaning, lambda evidence: _mean(values(evidence)), weighted, head=head)


LEADS = (-1.0, 2.0)
# In the order in which they are shown. Names are those of reports' JSON: "at.right" is `right` in the object `at`.
# `at.` needs a threshold and `review.` a gallery's decisions. Heads without either are logged during training, too.
RETRIEVAL_METRICS: Mapping[str, MetricKind] = {
    "top1": _mean_of_known("Known products whose SKU ranks first (top-1).", lambda found: found.rank == 1),
    "top5": _mean_of_known("Known products whose SKU is among the first five (top-5).", lambda found: found.rank <= 5),
    "mrr": _mean_of_known("Mean of 1 / rank of the true SKU (MRR).", lambda found: 1 / found.rank),
    "margin_right": MetricKind(
        "Mean lead of the first SKU over the second where the first is right.",
        lambda found: _mean(found.lead[found.rank == 1]),
        limits=LEADS,
    ),
    "margin_wrong": MetricKind(
        "Mean lead of the first SKU over the second where the first is wrong.",
        lambda found: _mean(found.lead[found.rank != 1]),
        limits=LEADS,
        lower_is_better=True,
    ),
    "auroc": MetricKind(
        "How well scores separate known from unknown products (AUROC).", lambda found: found.open_set[0], head=True
    ),
    "fpr95": MetricKind(
        "Unknown products that score as high as 95 % of the known ones (FPR at 95 % TPR).",
        lambda found: found.open_set[1],
        lower_is_better=True,
        head=True,
    ),
    "at.accepted": _mean_of_known(
        "Known products at or above the threshold.", lambda found: found.accepted[found.known]
    ),
    "at.right": _mean_of_known(
        "Known products at or above the threshold whose SKU ranks first.",
        lambda found: found.accepted[found.known] & (found.rank == 1),
    ),
    "at.refused": MetricKind(
        "Unknown products below the threshold.", lambda found: _mean(~found.accepted[~found.known]), head=True
    ),
    "review.share": MetricKind(
        "Named products that are for review.",
        lambda found: _mean(found.review[found.named]),
        lower_is_better=True,
        head=True,
    ),
    "review.right_clear": MetricKind(
        "Products named without review that are named correctly.",
        lambda found: _mean((found.ranking.rank == 1)[found.named & ~found.review]),
        head=True,
    ),
    "review.right_review": MetricKind(
        "Products for review that are named correctly by the gallery.",
        lambda found: _mean((found.ranking.rank == 1)[found.review]),
        head=True,
    ),
    "review.right": MetricKind(
        "All products that are named correctly without review, or correctly rejected.",
        lambda found: _mean(np.where(found.named, (found.ranking.rank == 1) & ~found.review, ~found.known)),
        head=True,
    ),
}
