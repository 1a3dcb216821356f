"""Ranks of SKUs in a gallery, and how well scores separate known from unknown products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
UNKNOWN = -1
# Default number of SKUs listed for each query.
MOST = 5
# Similarities computed at a time: 64 MiB.
BLOCK_VALUES = 1 << 24


@dataclass(frozen=True)
class Ranking:
    """A gallery's ranking for Q queries. The score of a SKU is the cosine of its nearest view.

    truth: (Q,) the true SKU, UNKNOWN (-1) if the gallery lacks it. rank: (Q,) of the true SKU, from 1; 0 if unknown.
    Ties rank before the true SKU, so that an embedder without any discrimination scores nothing.
    skus, scores: (Q, M) the best SKUs by falling score. own, other: (Q,) score of the true SKU, nan if unknown, and the
    best score of all others.
    """

    truth: Ints
    rank: Ints
    skus: Ints
    scores: Floats
    own: Floats
    other: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """(Q,) whether the gallery has the query's SKU."""
        return self.truth != UNKNOWN


def rank_skus(gallery: Floats, labels: NDArray, queries: Floats, truth: NDArray, *, most: int = MOST) -> Ranking:
    """Rank SKUs by comparing every query with every view, in blocks; exact, for evaluation only.

    gallery: (N, D) unit vectors. labels: (N,) the SKU of each view. queries: (Q, D) unit vectors. truth: (Q,) the SKU
    of each query; one that is not in `labels` counts as unknown.
    """
    views = gallery
    if (np.diff(labels) < 0).any():
        # Only if needed, because this copies the gallery: 2.8 GB for 170,000 SKUs.
        order = np.argsort(labels, kind="stable")
        views, labels = gallery[order], labels[order]
    known, first = np.unique(labels, return_index=True)
    place = np.searchsorted(known, truth)
    place = np.where(known[np.minimum(place, len(known) - 1)] == truth, place, UNKNOWN)
    rows = max(1, BLOCK_VALUES // max(len(views), 1))
    blocks = [
        _rank_block(views, first, queries[start : start + rows], place[start : start + rows], most)
        for start in range(0, len(queries), rows)
    ]
    if not blocks:
        blocks = [_rank_block(views, first, queries, place, most)]
    rank, skus, scores, own, other = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    return Ranking(np.where(place == UNKNOWN, UNKNOWN, truth).astype(np.int64), rank, known[skus], scores, own, other)


def _rank_block(views: Floats, first: Ints, queries: Floats, place: Ints, most: int) -> tuple[NDArray, ...]:
    scores = np.maximum.reduceat(queries @ views.T, first, axis=1)
    rows, is_known = np.arange(len(queries)), place != UNKNOWN
    most = min(most, scores.shape[1])
    best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable"), 1)
    own = np.where(is_known, scores[rows, place], np.float32(np.nan))
    # The true SKU is itself among those with at least its score.
    rank = np.where(is_known, (scores >= own[:, None]).sum(axis=1), 0)
    top = np.take_along_axis(scores, best, axis=1)
    without = scores
    without[rows[is_known], place[is_known]] = -np.inf
    return rank, best, top, own, without.max(axis=1)


def margins(ranking: Ranking) -> Floats:
    """Return (Q,) the lead of the best SKU over the second; its score if there is no second."""
    if ranking.scores.shape[1] < 2:
        return ranking.scores[:, 0]
    return ranking.scores[:, 0] - ranking.scores[:, 1]


def score_pair(ranking: Ranking) -> tuple[Floats, Floats]:
    """Return the best scores of known queries, and of unknown ones.

    If all are known, unknown ones are simulated by the best score of all other SKUs: what the query would score if its
    SKU were not in the gallery.
    """
    known = ranking.known
    return ranking.scores[known, 0], ranking.other[known] if known.all() else ranking.scores[~known, 0]


def open_set(known: NDArray, unknown: NDArray) -> tuple[float, float]:
    """Return the area under the ROC curve of known against unknown scores, and the false positive rate at 95 % recall.

    Both are nan if there are no known or no unknown scores.
    """
    if not len(known) or not len(unknown):
        return float("nan"), float("nan")
    rising = np.sort(unknown)
    below, up_to = (np.searchsorted(rising, known, side=side) for side in ("left", "right"))
    auroc = float((below + up_to).mean() / 2 / len(unknown))
    # The highest threshold that at least 95 % of the known scores reach.
    threshold = np.sort(known)[len(known) - int(np.ceil(0.95 * len(known)))]
    return auroc, float((unknown >= threshold).mean())


def choose_threshold(ranking: Ranking) -> float:
    """Choose the threshold from which the best SKU is accepted, to be called with validation queries only.

    It maximizes the acceptance rate of right answers minus that of wrong answers and unknown products.
    """
    believed, doubted = score_pair(ranking)
    right = believed[ranking.rank[ranking.known] == 1]
    wrong = np.concatenate([believed[ranking.rank[ranking.known] != 1], doubted])
    if not len(right) or not len(wrong):
        return float("nan")
    candidates = np.unique(np.concatenate([right, wrong]))
    kept = 1 - np.searchsorted(np.sort(right), candidates) / len(right)
    passed = 1 - np.searchsorted(np.sort(wrong), candidates) / len(wrong)
    best = int(np.argmax(kept - passed))
    # Halfway to the next lower score, so that the threshold coincides with no score.
    return float(candidates[best] if best == 0 else (candidates[best - 1] + candidates[best]) / 2)


@dataclass(frozen=True)
class SkuRow:
    """Results of a SKU: number of queries, number of right answers, most frequent confusion (UNKNOWN if none)."""

    sku: int
    queries: int
    right: int
    taken_for: int
    times: int


def by_sku(ranking: Ranking) -> list[SkuRow]:
    """Return a row for each SKU with queries, the worst first."""
    named_as = _named(ranking)
    rows = []
    for sku in np.unique(ranking.truth[ranking.known]):
        named = named_as[ranking.truth == sku]
        wrong, times = np.unique(named[named != sku], return_counts=True)
        most = int(np.argmax(times)) if len(times) else UNKNOWN
        taken_for = (int(wrong[most]), int(times[most])) if len(times) else (UNKNOWN, 0)
        rows.append(SkuRow(int(sku), len(named), int((named == sku).sum()), *taken_for))
    return sorted(rows, key=lambda row: (row.right / row.queries, -row.queries, row.sku))


def confusions(ranking: Ranking, *, most: int = 20) -> list[tuple[int, int, int]]:
    """Return (true SKU, named SKU, count), the most frequent first."""
    wrong = ranking.known & (ranking.rank != 1)
    named = _named(ranking)
    pairs, times = np.unique(np.stack([ranking.truth[wrong], named[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-times, kind="stable")[:most]
    return [(int(pairs[place, 0]), int(pairs[place, 1]), int(times[place])) for place in order]


def _named(ranking: Ranking) -> Ints:
    """Return (Q,) the SKU named for each query."""
    # A tie at the top counts as an error; if the true SKU comes first in it, the second is what it was confused with.
    second = ranking.skus[:, min(1, ranking.skus.shape[1] - 1)]
    tied = (ranking.rank > 1) & (ranking.skus[:, 0] == ranking.truth)
    return np.where(tied, second, ranking.skus[:, 0])
