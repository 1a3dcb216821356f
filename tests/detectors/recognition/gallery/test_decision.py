"""Known, unknown, or for a person to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.recognition.embedder.retrieval import Ranking, rank_skus
from detectors.recognition.gallery.decision import (
    USUAL_MARGIN,
    WANTED_RIGHT,
    Decision,
    Verdict,
    choose_decision,
    decide_on_views,
    first_decision,
    inherit_decision,
    judge,
    read_decision,
    settle_decision,
    write_decision,
)
from detectors.recognition.gallery.open import MISSING, open_gallery
from detectors.recognition.gallery.search import NearestSkus
from detectors.recognition.gallery.versions import add_version, use_version
from support.errors import raises
from support.gallery import cases

HALF = Decision(threshold=0.5, margin=0.1, chosen_on="this test")


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([0.9, 0.2], Verdict.KNOWN),
        ([0.5, 0.2], Verdict.KNOWN),  # the threshold itself counts
        ([0.49, 0.1], Verdict.UNKNOWN),
        ([0.9, 0.85], Verdict.REVIEW),
        ([0.4, 0.39], Verdict.UNKNOWN),  # close, but of no product that is known
        ([-1.0, -1.0], Verdict.UNKNOWN),
    ],
)
def test_verdicts(scores: list[float], verdict: Verdict) -> None:
    nearest = NearestSkus(np.array([[0, 1]], np.int32), np.array([scores], np.float32))
    assert judge(nearest, HALF).tolist() == [verdict]


def test_the_only_sku_of_a_gallery_needs_no_lead() -> None:
    nearest = NearestSkus(np.array([[0, MISSING]], np.int32), np.array([[0.7, -1.0]], np.float32))
    assert judge(nearest, HALF).tolist() == [Verdict.KNOWN]


def ranking(scores: NDArray, right: NDArray, unknown: int = 0) -> Ranking:
    """Queries with these (Q, 2) scores; the last `unknown` of them show products that the gallery lacks."""
    known = np.arange(len(scores)) < len(scores) - unknown
    rank = np.where(known, np.where(right, 1, 2), 0)
    own = np.where(known, np.where(right, scores[:, 0], scores[:, 1]), np.nan)
    other = np.where(right & known, scores[:, 1], scores[:, 0])
    skus = np.tile([0, 1], (len(scores), 1))
    return Ranking(np.where(known, np.where(right, 0, 1), -1), rank, skus, scores.astype(np.float32), own, other)


def test_the_threshold_parts_known_from_unknown() -> None:
    scores = np.array([[0.9, 0.3], [0.8, 0.2], [0.85, 0.1], [0.4, 0.35], [0.3, 0.2]])
    decision = choose_decision(ranking(scores, np.array([True] * 5), unknown=2), "five")
    assert 0.4 < decision.threshold < 0.8 and decision.margin == 0.0


@given(st.lists(st.tuples(st.floats(0.5, 1.0), st.floats(0.0, 0.3), st.booleans()), min_size=3, max_size=60))
def test_what_is_named_without_review_is_right_as_often_as_wanted(cases_: list[tuple[float, float, bool]]) -> None:
    scores = np.array([[best, best - lead] for best, lead, _ in cases_])
    right = np.array([right for *_, right in cases_])
    if not right.any():
        return
    made = ranking(scores, right)
    decision = choose_decision(made, "chance")
    nearest = NearestSkus(made.skus.astype(np.int32), made.scores)
    clear = judge(nearest, decision) == Verdict.KNOWN
    # With no lead at which enough are right the usual one is taken, and promises nothing.
    if clear.any() and decision.margin != USUAL_MARGIN:
        leads = nearest.margins[clear]
        ties = (leads == leads.min()).sum() > 1
        assert ties or right[clear].mean() >= WANTED_RIGHT


def test_nothing_right_tells_no_threshold() -> None:
    with raises("threshold-undetermined"):
        choose_decision(ranking(np.array([[0.9, 0.8]]), np.array([False])), "one photograph")


def test_views_stand_in_for_photographs(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 100)
    decision = decide_on_views(gallery)
    vectors = gallery.vectors(np.arange(300))
    similar = vectors @ vectors.T
    own = np.array([similar[row][gallery.owners == gallery.owners[row]] for row in range(300)])
    second = np.sort(own, axis=1)[:, -2]  # the best is the view itself
    assert (second >= decision.threshold).mean() > 0.8
    assert decision == decide_on_views(gallery)


def test_galleries_of_one_view_have_nothing_to_go_by(tmp_path: Path) -> None:
    assert "too few views" in decide_on_views(cases.make_gallery(tmp_path, 5, views=1)).chosen_on


def test_the_embedder_s_own_threshold_comes_first(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 20)
    assert first_decision(gallery, 0.61).threshold == 0.61
    assert first_decision(gallery, float("nan")) == decide_on_views(gallery)


def test_a_decision_is_kept_inherited_and_overruled(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 20)
    write_decision(gallery, HALF)
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of([cases.part_of(tmp_path, range(30))])))
    child = open_gallery(tmp_path)
    assert read_decision(child) is None
    inherit_decision(child, gallery)
    assert read_decision(child) == HALF == settle_decision(child)
    assert settle_decision(child, threshold=0.7).threshold == 0.7
    assert settle_decision(child, threshold=0.7).margin == HALF.margin
    assert "by hand" in settle_decision(child, margin=0.2).chosen_on


def test_ranks_of_the_slow_measure_choose_the_same(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 60)
    queries = cases.unit(cases.vectors_of(range(60))[::3] + 0.3)
    made = rank_skus(gallery.vectors(np.arange(180)), gallery.owners, queries, np.arange(60))
    assert 0 < choose_decision(made, "slow").threshold < 1
