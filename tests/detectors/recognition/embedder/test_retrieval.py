"""Retrieval by hand-made vectors, against loops, and at the edges; thresholds and open sets by counting pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.recognition.embedder import retrieval
from detectors.recognition.embedder.metrics import RETRIEVAL_METRICS, Retrieval, RetrievalEvidence, measure_retrieval
from detectors.recognition.embedder.retrieval import (
    UNKNOWN,
    Ranking,
    by_sku,
    choose_threshold,
    confusions,
    margins,
    open_set,
    rank_skus,
)

Floats = NDArray[np.float32]
AT = ("at.accepted", "at.right", "at.refused")


def unit(rng: np.random.Generator, count: int, dim: int = 4) -> Floats:
    vectors = rng.normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measured(ranking: Ranking, threshold: float = math.nan) -> Retrieval:
    groups = np.arange(len(ranking.truth), dtype=np.int32)
    return measure_retrieval(RetrievalEvidence(ranking, threshold), RETRIEVAL_METRICS, groups, skus=2, views=2, seed=0)


def values_of(ranking: Ranking, *names: str, threshold: float = math.nan) -> tuple[float, ...]:
    found = measured(ranking, threshold)
    return tuple(found.metric(name).value for name in names)


def at_angles(*degrees: float) -> Floats:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def slow_ranking(gallery: Floats, labels: NDArray, queries: Floats, truth: NDArray) -> list[tuple[int, list[int]]]:
    """(rank of the truth, SKUs by falling score) of each query, one after another."""
    rows = []
    for query, own in zip(queries, truth.tolist(), strict=True):
        score = {}
        for view, label in zip(gallery, labels.tolist(), strict=True):
            score[label] = max(score.get(label, -2.0), float(query @ view))
        order = sorted(score, key=lambda label: -score[label])
        rows.append((order.index(own) + 1 if own in score else 0, order))
    return rows


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 9), st.sampled_from([1, 40, 1 << 24]))
def test_ranks_are_those_of_a_loop(seed: int, views: int, skus: int, block: int) -> None:
    """Whatever the size of a block; labels with gaps; some queries of SKUs that are not there."""
    rng = np.random.default_rng(seed)
    labels, truth = rng.integers(0, skus, views) * 3, rng.integers(0, skus + 2, 8) * 3
    gallery, queries = unit(rng, views), unit(rng, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BLOCK_VALUES", block)
        ranking = rank_skus(gallery, labels, queries, truth)
    for place, (rank, order) in enumerate(slow_ranking(gallery, labels, queries, truth)):
        assert ranking.rank[place] == rank and ranking.known[place] == (rank > 0)
        assert ranking.skus[place].tolist() == order[:5]
        assert ranking.truth[place] == (truth[place] if rank else UNKNOWN)


def test_numbers_on_paper() -> None:
    """Four SKUs at 0, 30, 60, 90 degrees; five queries at 2, 20, 40, 88 and 10 degrees, the last of SKU 3."""
    gallery, labels = at_angles(0, 30, 60, 90), np.arange(4)
    ranking = rank_skus(gallery, labels, at_angles(2, 20, 40, 88, 10), np.array([0, 0, 2, 3, 3]))
    assert ranking.rank.tolist() == [1, 2, 2, 1, 4]
    top1, top5, mrr, margin_right, margin_wrong = values_of(
        ranking, "top1", "top5", "mrr", "margin_right", "margin_wrong"
    )
    assert (top1, top5) == (0.4, 1.0)
    assert mrr == pytest.approx((1 + 0.5 + 0.5 + 1 + 0.25) / 5)
    lead = [
        math.cos(math.radians(a)) - math.cos(math.radians(b))
        for a, b in [(2, 28), (10, 20), (10, 20), (2, 28), (10, 20)]
    ]
    assert margins(ranking) == pytest.approx(lead, abs=1e-6)
    assert margin_right == pytest.approx((lead[0] + lead[3]) / 2, abs=1e-6)
    assert margin_wrong == pytest.approx(lead[1], abs=1e-6)
    assert measured(ranking).simulated and measured(ranking).unknown == 0
    rows = {row.sku: (row.queries, row.right, row.taken_for, row.times) for row in by_sku(ranking)}
    assert rows == {0: (2, 1, 1, 1), 2: (1, 0, 1, 1), 3: (2, 1, 0, 1)}
    assert by_sku(ranking)[0].sku == 2
    assert sorted(confusions(ranking)) == [(0, 1, 1), (2, 1, 1), (3, 0, 1)]


def test_an_embedder_that_sees_no_difference_finds_nothing() -> None:
    same = np.tile(np.array([[1.0, 0.0]], np.float32), (6, 1))
    ranking = rank_skus(same, np.arange(6), same, np.arange(6))
    assert values_of(ranking, "top1", "auroc") == (0.0, 0.5) and set(ranking.rank.tolist()) == {6}
    assert all(true != named for true, named, _ in confusions(ranking))


def test_more_views_never_lower_the_score_of_the_truth() -> None:
    rng = np.random.default_rng(5)
    gallery, labels, queries = unit(rng, 80), np.repeat(np.arange(10), 8), unit(rng, 20)
    truth = rng.integers(0, 10, 20)
    few, many = (
        rank_skus(gallery[keep], labels[keep], queries, truth) for keep in (np.arange(80) % 8 < 2, slice(None))
    )
    assert (many.own >= few.own).all()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=25), st.lists(st.integers(0, 6), min_size=1, max_size=25))
def test_open_set_is_what_counting_pairs_gives(known: list[int], unknown: list[int]) -> None:
    auroc, fpr = open_set(np.array(known, np.float32), np.array(unknown, np.float32))
    wins = sum((k > u) + 0.5 * (k == u) for k in known for u in unknown)
    assert auroc == pytest.approx(wins / len(known) / len(unknown))
    passing = [t for t in known if sum(k >= t for k in known) >= 0.95 * len(known)]
    assert fpr == pytest.approx(sum(u >= max(passing) for u in unknown) / len(unknown))


def test_open_set_at_its_ends() -> None:
    high, low = np.array([0.8, 0.9], np.float32), np.array([0.1, 0.2], np.float32)
    assert open_set(high, low) == (1.0, 0.0) and open_set(low, high) == (0.0, 1.0)
    assert all(math.isnan(value) for value in open_set(high, low[:0]))


def ranking_of(own: list[float], other: list[float], unknown: list[float]) -> Ranking:
    """Known queries with a score of their SKU and the best other; unknown queries with a best score."""
    truth = np.array([0] * len(own) + [UNKNOWN] * len(unknown))
    a = np.array(own + [math.nan] * len(unknown), np.float32)
    b = np.array(other + unknown, np.float32)
    wins = a > b
    first = np.where(wins, 0, 1)
    skus = np.stack([first, 1 - first], axis=1)
    scores = np.stack([np.fmax(a, b), np.where(np.isnan(a), -1, np.fmin(a, b))], axis=1)
    rank = np.where(truth == UNKNOWN, 0, np.where(wins, 1, 2))
    return Ranking(truth, rank, skus, scores, a, b)


def test_threshold_lies_between_what_is_right_and_what_is_not() -> None:
    held = ranking_of([0.9, 0.8, 0.7], [0.3, 0.2, 0.1], [0.4, 0.35])
    threshold = choose_threshold(held)
    assert 0.4 < threshold < 0.7
    assert values_of(held, *AT, threshold=threshold) == (1.0, 1.0, 1.0)
    wrong = ranking_of([0.9, 0.2], [0.3, 0.85], [0.5])
    assert values_of(wrong, *AT, threshold=0.6) == (1.0, 0.5, 1.0)


def test_without_unknown_products_each_query_stands_in_for_one() -> None:
    ranking = ranking_of([0.9, 0.8], [0.3, 0.2], [])
    assert measured(ranking).simulated and values_of(ranking, "auroc") == (1.0,)
    assert 0.3 < choose_threshold(ranking) < 0.8
    assert np.isnan(values_of(ranking, "at.refused", threshold=0.5))


def test_nothing_asked_is_nothing_said() -> None:
    ranking = rank_skus(at_angles(0, 90), np.arange(2), np.zeros((0, 2), np.float32), np.zeros(0, int))
    assert (
        measured(ranking).queries == 0
        and np.isnan(values_of(ranking, "top1"))
        and by_sku(ranking) == []
        and confusions(ranking) == []
    )
    assert math.isnan(choose_threshold(ranking))
