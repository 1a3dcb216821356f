"""How well vectors find their SKU again in a gallery: ranks, and whether scores tell known from unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
UNKNOWN = -1
# SKUs listed for each query.
MOST = 5
# Similarities held at a time: 64 MiB.
BLOCK_VALUES = 1 << 24


@dataclass(frozen=True)
class Ranking:
    """What a gallery says to Q queries. A SKU scores as its nearest view does (cosine).

    truth: (Q,) the SKU, UNKNOWN (-1) where it is none of the gallery's. rank: (Q,) place of the truth, from 1; 0 where
    unknown. Others of the same score come before it: an embedder that sees no difference finds nothing.
    skus, scores: (Q, M) the best SKUs by falling score. own, other: (Q,) best score of the truth and of all other SKUs;
    own is nan where unknown.
    """

    truth: Ints
    rank: Ints
    skus: Ints
    scores: Floats
    own: Floats
    other: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """(Q,) queries whose SKU is in the gallery."""
        return self.truth != UNKNOWN


def rank_skus(gallery: Floats, labels: NDArray, queries: Floats, truth: NDArray, *, most: int = MOST) -> Ranking:
    """Compares every query with every view, by blocks. All vectors are of length 1.

    gallery: (N, D). labels: (N,) the SKU of each view. queries: (Q, D). truth: (Q,) a SKU, or one that the gallery
    lacks for a product that it does not know. Exact: for measuring, not for serving.
    """
    views = gallery
    if (np.diff(labels) < 0).any():
        # Only where it must be: a gallery of 170,000 SKUs is 2.8 GB, and this a second one.
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
    # The truth itself is counted among those that score as much.
    rank = np.where(is_known, (scores >= own[:, None]).sum(axis=1), 0)
    top = np.take_along_axis(scores, best, axis=1)
    without = scores
    without[rows[is_known], place[is_known]] = -np.inf
    return rank, best, top, own, without.max(axis=1)


@dataclass(frozen=True)
class Retrieval:
    """Numbers of a Ranking. queries: those whose SKU is in the gallery; unknown: the others.

    top1, top5: share of known queries whose SKU is first, among five. mrr: mean of 1 / rank. margin_right,
    margin_wrong: mean lead of the best SKU over the second where it is right, and where it is wrong. auroc, fpr95: see
    `open_set`; simulated says that for want of unknown products each query stood in for one, its own SKU left out.
    """

    queries: int
    unknown: int
    skus: int
    views: int
    top1: float
    top5: float
    mrr: float
    margin_right: float
    margin_wrong: float
    auroc: float
    fpr95: float
    simulated: bool


def measure(ranking: Ranking, *, skus: int, views: int) -> Retrieval:
    """The numbers; nan where nothing can be said. skus, views: of the gallery."""
    known = ranking.known
    rank = ranking.rank[known]
    right = rank == 1
    lead = margins(ranking)[known]
    believed, doubted = score_pair(ranking)
    auroc, fpr95 = open_set(believed, doubted)
    return Retrieval(
        queries=int(known.sum()),
        unknown=int((~known).sum()),
        skus=skus,
        views=views,
        top1=_mean(right),
        top5=_mean(rank <= 5),
        mrr=_mean(1 / rank),
        margin_right=_mean(lead[right]),
        margin_wrong=_mean(lead[~right]),
        auroc=auroc,
        fpr95=fpr95,
        simulated=bool(known.all()),
    )


def margins(ranking: Ranking) -> Floats:
    """(Q,) how far the best SKU leads the second; its whole score where there is no second."""
    if ranking.scores.shape[1] < 2:
        return ranking.scores[:, 0]
    return ranking.scores[:, 0] - ranking.scores[:, 1]


def score_pair(ranking: Ranking) -> tuple[Floats, Floats]:
    """Best scores of known queries, and of unknown ones.

    Where all are known, each stands in for an unknown product by the best score of the other SKUs: what the gallery
    would say if it had never heard of it.
    """
    known = ranking.known
    return ranking.scores[known, 0], ranking.other[known] if known.all() else ranking.scores[~known, 0]


def open_set(known: NDArray, unknown: NDArray) -> tuple[float, float]:
    """Area under the ROC curve of a score that should be higher for known products, and the share of unknown ones that
    pass where 95 % of the known ones do. Nan where either has none.
    """
    if not len(known) or not len(unknown):
        return float("nan"), float("nan")
    rising = np.sort(unknown)
    below, up_to = (np.searchsorted(rising, known, side=side) for side in ("left", "right"))
    auroc = float((below + up_to).mean() / 2 / len(unknown))
    # As many known ones as make 95 % lie at or above this score.
    threshold = np.sort(known)[len(known) - int(np.ceil(0.95 * len(known)))]
    return auroc, float((unknown >= threshold).mean())


def choose_threshold(ranking: Ranking) -> float:
    """The score from which on the best SKU is to be believed: where right answers kept, less wrong ones and unknown
    products let through, are the most. To be chosen on validation queries, never on those that are reported.
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
    # Halfway to the score below, so that neither side lies on the edge.
    return float(candidates[best] if best == 0 else (candidates[best - 1] + candidates[best]) / 2)


@dataclass(frozen=True)
class AtThreshold:
    """What a threshold does. accepted: share of known queries at or above it. right: share of known queries that are
    accepted and named rightly. refused: share of unknown queries below it; nan where there are none.
    """

    threshold: float
    accepted: float
    right: float
    refused: float


def at_threshold(ranking: Ranking, threshold: float) -> AtThreshold:
    """The shares at a threshold that was chosen elsewhere."""
    known, passing = ranking.known, ranking.scores[:, 0] >= threshold
    return AtThreshold(
        threshold,
        _mean(passing[known]),
        _mean(passing[known] & (ranking.rank[known] == 1)),
        _mean(~passing[~known]),
    )


@dataclass(frozen=True)
class SkuRow:
    """One SKU: its queries, how many were named rightly, and what it was taken for most often (UNKNOWN: nothing)."""

    sku: int
    queries: int
    right: int
    taken_for: int
    times: int


def by_sku(ranking: Ranking) -> list[SkuRow]:
    """A row for each SKU that was asked for, the worst first."""
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
    """(true SKU, SKU it was taken for, times), the most frequent first."""
    wrong = ranking.known & (ranking.rank != 1)
    named = _named(ranking)
    pairs, times = np.unique(np.stack([ranking.truth[wrong], named[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-times, kind="stable")[:most]
    return [(int(pairs[place, 0]), int(pairs[place, 1]), int(times[place])) for place in order]


def _named(ranking: Ranking) -> Ints:
    """(Q,) the SKU that each query was named."""
    # A tie at the top is an error as well, and its first entry may be the truth: the second is what it looks like.
    second = ranking.skus[:, min(1, ranking.skus.shape[1] - 1)]
    tied = (ranking.rank > 1) & (ranking.skus[:, 0] == ranking.truth)
    return np.where(tied, second, ranking.skus[:, 0])


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
