"""What every retrieval metric must keep: the number worked out on paper, its limits, and that it is shown if added."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from detectors.evaluate.metrics.table import MetricKind
from detectors.recognition.embedder.evaluate import EmbedReport, print_report
from detectors.recognition.embedder.metrics import RETRIEVAL_METRICS, Retrieval, RetrievalEvidence, measure_retrieval
from detectors.recognition.embedder.retrieval import Ranking, rank_skus

# Four SKUs, of which a query shows the similarity to each; the last two queries are of products that are not there.
SCORES = np.array(
    [
        [0.9, 0.1, 0.2, 0.3],
        [0.1, 0.2, 0.3, 0.8],
        [0.2, 0.7, 0.3, 0.1],
        [0.4, 0.3, 0.5, 0.1],
        [0.6, 0.1, 0.2, 0.3],
        [0.1, 0.2, 0.3, 0.1],
    ],
    np.float32,
)
TRUTH = np.array([0, 3, 2, 0, 7, 7])
REVIEW = np.array([False, True, False, False, True, False])
# Ranks of the known ones are 1, 1, 2, 2; best scores 0.9, 0.8, 0.7, 0.5 of known and 0.6, 0.3 of unknown products.
ON_PAPER = {
    "top1": 2 / 4,
    "top5": 1.0,
    "mrr": (1 + 1 + 1 / 2 + 1 / 2) / 4,
    "margin_right": (0.6 + 0.5) / 2,
    "margin_wrong": (0.4 + 0.1) / 2,
    "auroc": 7 / 8,
    "fpr95": 1 / 2,
    "at.accepted": 3 / 4,
    "at.right": 2 / 4,
    "at.refused": 1 / 2,
    "review.share": 2 / 4,
    "review.right_clear": 1 / 2,
    "review.right_review": 1 / 2,
    "review.right": 2 / 6,
}


def ranking_of(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> Ranking:
    """Queries whose cosine with the one view of each SKU is given."""
    skus = scores.shape[1]
    return rank_skus(np.eye(skus, dtype=np.float32), np.arange(skus), scores, truth)


def evidence_of(ranking: Ranking, review: NDArray[np.bool_], threshold: float = 0.55) -> RetrievalEvidence:
    named = ranking.scores[:, 0] >= threshold
    return RetrievalEvidence(ranking, threshold, named, named & review)


def measured(evidence: RetrievalEvidence, **added: MetricKind) -> Retrieval:
    groups = np.arange(len(evidence.known), dtype=np.int32)
    return measure_retrieval(evidence, {**RETRIEVAL_METRICS, **added}, groups, skus=4, views=4, seed=0)


@pytest.mark.parametrize("name", RETRIEVAL_METRICS)
def test_a_metric_has_the_value_worked_out_on_paper(name: str) -> None:
    """A metric that is added to the table gets its line in ON_PAPER."""
    kind = RETRIEVAL_METRICS[name]
    assert re.fullmatch(r"[A-Z].+\.", kind.meaning) and kind.limits[0] < kind.limits[1]
    assert kind.compute(evidence_of(ranking_of(SCORES, TRUTH), REVIEW)) == pytest.approx(ON_PAPER[name], abs=1e-6)


@pytest.mark.parametrize("name", RETRIEVAL_METRICS)
@pytest.mark.parametrize("queries", [0, 30])
def test_values_stay_within_limits_and_weights_of_one_change_nothing(name: str, queries: int) -> None:
    """Without queries nothing is defined."""
    kind, rng = RETRIEVAL_METRICS[name], np.random.default_rng(queries)
    for skus in (1, 6):
        ranking = ranking_of(rng.uniform(-1, 1, (queries, skus)).astype(np.float32), rng.integers(0, 9, queries))
        evidence = evidence_of(ranking, rng.random(queries) < 0.5)
        value = float(kind.compute(evidence))
        assert math.isnan(value) or (queries and kind.limits[0] <= value <= kind.limits[1])
        if kind.weighted is not None:
            again = kind.weighted(evidence)(np.ones(int(evidence.known.sum()), np.int64))
            assert again == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_intervals_count_known_queries_and_hold_the_value() -> None:
    scores, truth = np.tile(SCORES, (20, 1)), np.tile(TRUTH, 20)
    found = measured(RetrievalEvidence(ranking_of(scores, truth)))
    interval = found.metric("top1").interval
    assert interval is not None and 0.3 < interval.low < interval.value == 0.5 < interval.high < 0.7
    assert found.metric("auroc").interval is None


def test_metrics_without_threshold_or_decisions_are_left_out() -> None:
    found = measured(RetrievalEvidence(ranking_of(SCORES, TRUTH)))
    assert [metric.name for metric in found.metrics] == [name for name in RETRIEVAL_METRICS if "." not in name]
    assert found.parts()["at"] is None and "review" not in found.parts()


def test_a_metric_that_is_added_is_shown_everywhere() -> None:
    own = MetricKind("The same whatever is found.", lambda found: 0.4242)
    numbers = measured(evidence_of(ranking_of(SCORES, TRUTH), REVIEW), own=own)
    report = EmbedReport("embedder", "gallery", "queries", numbers, (), (), ())
    assert report.summary()["numbers"]["own"] == 0.4242
    written = json.loads(report.to_json())
    assert written["numbers"]["own"] == 0.4242 and written["at_threshold"]["right"] == 0.5
    assert written["metrics"][-1] == {
        **{"name": "own", "meaning": own.meaning, "value": 0.4242},
        **{"interval": None, "lower_is_better": False, "head": False},
    }
    console = Console(width=160)
    with console.capture() as capture:
        print_report(console, report)
    assert all(text in capture.get() for text in ("own", "0.424", own.meaning, "4 crops of known SKUs"))
