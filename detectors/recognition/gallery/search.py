"""Find the nearest SKUs of crops: nearest rows of a gallery, grouped by SKU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.recognition.gallery.index import Index
from detectors.recognition.gallery.open import MISSING, Gallery

# Candidates per wanted SKU, since approximate scores, or those of single views, may rank SKUs differently.
CANDIDATES = 4


@dataclass(frozen=True, eq=False)
class NearestSkus:
    """The best SKUs of Q queries.

    skus: (Q, k) int32 positions in the gallery, best first, MISSING where there are no more.
    scores: (Q, k) float32, cosine of the angle to the SKU's nearest view, -1 for MISSING.
    """

    skus: NDArray[np.int32]
    scores: NDArray[np.float32]

    @property
    def margins(self) -> NDArray[np.float32]:
        """(Q,) lead of the best score over the second; 2 if there is no second."""
        if self.scores.shape[1] < 2:
            return np.full(len(self.scores), 2.0, np.float32)
        alone = self.skus[:, 1] == MISSING
        return np.where(alone, np.float32(2.0), self.scores[:, 0] - self.scores[:, 1])

    def take(self, span: slice) -> NearestSkus:
        """Return the results of some of the queries."""
        return NearestSkus(self.skus[span], self.scores[span])


def find_skus(
    gallery: Gallery, index: Index, queries: NDArray[np.float32], *, k: int = 5, best: int = 1
) -> NearestSkus:
    """Find the k nearest SKUs of Q queries, (Q, dim) float32 unit vectors.

    best: number of best views whose mean is the score of a SKU. Scores are exact with any index; the index only
    determines the candidates. With an exact index and best = 1 the result is exact, as no SKU has more rows than
    `most_rows`.
    """
    wanted = k if index.kind == "exact" and best == 1 else k * CANDIDATES
    _, rows = index.search(queries, wanted * gallery.most_rows)
    candidates = [_some_owners(gallery, found, wanted) for found in rows]
    scores = _scores(gallery, queries, candidates, best)
    named = np.full((len(queries), k), MISSING, np.int32)
    best_scores = np.full((len(queries), k), -1.0, np.float32)
    for query, (some, values) in enumerate(zip(candidates, scores, strict=True)):
        order = np.lexsort((some, -values))[:k]
        named[query, : len(order)], best_scores[query, : len(order)] = some[order], values[order]
    return NearestSkus(named, best_scores)


def _some_owners(gallery: Gallery, rows: NDArray[np.int64], most: int) -> NDArray[np.int32]:
    """Return the distinct SKUs of rows, best first, up to `most`."""
    owners = gallery.owners[rows[rows != MISSING]]
    _, place = np.unique(owners, return_index=True)
    return owners[np.sort(place)][:most]


def _scores(
    gallery: Gallery, queries: NDArray[np.float32], candidates: list[NDArray[np.int32]], best: int
) -> list[NDArray[np.float32]]:
    """Compute the score of each candidate of each query; the vectors of all are fetched together."""
    sizes = np.array([len(some) for some in candidates], np.int64)
    skus = np.concatenate([np.zeros(0, np.int32), *candidates])
    if not len(skus):
        return [np.zeros(0, np.float32) for _ in candidates]
    counts = gallery.counts[skus]
    ends = np.cumsum(counts)
    starts = ends - counts
    rows = np.asarray(np.repeat(gallery.first[skus] - starts, counts) + np.arange(ends[-1]), np.int64)
    asked = np.repeat(np.repeat(np.arange(len(queries)), sizes), counts)
    views = np.einsum("ij,ij->i", gallery.vectors(rows), queries[asked])
    if best == 1:
        scores = np.maximum.reduceat(views, starts)
    else:
        scores = np.array([np.sort(part)[::-1][:best].mean() for part in np.split(views, ends[:-1])], np.float32)
    return list(np.split(scores, np.cumsum(sizes)[:-1]))
