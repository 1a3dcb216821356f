"""Validation during an embedder's training: retrieval of held-out crops among training crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.data.mix import stream
from detectors.recognition.embedder.crop_store import CropSource, prepared_crops
from detectors.recognition.embedder.load import Embedder
from detectors.recognition.embedder.metrics import RETRIEVAL_METRICS, RetrievalEvidence
from detectors.recognition.embedder.retrieval import Ranking, choose_threshold, rank_skus
from detectors.recognition.embedder.sampling import EmbedderStream, Pools

# Gallery views and queries per SKU.
VIEWS, QUERIES = 8, 20
# Maximum number of gallery views and of queries, unless there are more SKUs: takes a few minutes at most.
MOST = 40_000


@dataclass(frozen=True)
class Validation:
    """Crops to search for (`query_rows` of source `queries`) and to search among (`gallery_rows` of `gallery`)."""

    gallery: CropSource
    gallery_rows: NDArray[np.int64]
    queries: CropSource
    query_rows: NDArray[np.int64]

    @classmethod
    def of(cls, gallery: CropSource, queries: CropSource, *, classes: int, seed: int) -> Validation:
        """Sample a few gallery views and queries of every SKU."""
        return cls(
            gallery,
            some_of_each(gallery.labels, classes, VIEWS, seed=seed),
            queries,
            some_of_each(queries.labels, classes, QUERIES, seed=seed + 1),
        )


def some_of_each(labels: NDArray, classes: int, most: int, *, seed: int) -> NDArray[np.int64]:
    """Sample up to `most` crops of each class, fewer if there are very many classes; returns ascending indices."""
    pools = Pools.of(labels, classes)
    most = max(1, min(most, MOST // max(classes, 1)))
    rng = stream(seed, EmbedderStream.LIMIT)
    chosen = [rng.permutation(pools.crops(label))[:most] for label in range(classes)]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


def rank_held_out(embedder: Embedder, validation: Validation) -> Ranking:
    """Rank the gallery's SKUs for the held-out crops."""
    gallery = embedder.embed(prepared_crops(validation.gallery, validation.gallery_rows, embedder.margin))
    queries = embedder.embed(prepared_crops(validation.queries, validation.query_rows, embedder.margin))
    labels = validation.gallery.labels[validation.gallery_rows]
    return rank_skus(gallery, labels, queries, validation.queries.labels[validation.query_rows])


def score_held_out(embedder: Embedder, validation: Validation) -> dict[str, float]:
    """Return the head metrics of ranks and scores, and the threshold for unknown products, on the held-out crops."""
    ranking = rank_held_out(embedder, validation)
    evidence = RetrievalEvidence(ranking)
    heads = {name: kind for name, kind in RETRIEVAL_METRICS.items() if kind.head and "." not in name}
    scores = {name: float(kind.compute(evidence)) for name, kind in heads.items()}
    return scores | {"threshold": choose_threshold(ranking)}


def score_classifier(embedder: Embedder, head: dict, validation: Validation) -> float:
    """Return the accuracy of a softmax classifier on the held-out crops."""
    import torch

    from detectors.recognition.embedder.softmax import classify

    squares = embedder.squares(prepared_crops(validation.queries, validation.query_rows, embedder.margin))
    named = [classify(embedder.points(one), head, most=1)[0][:, 0].cpu() for one in squares]
    truth = torch.from_numpy(validation.queries.labels[validation.query_rows].astype(np.int64))
    return float((torch.cat(named) == truth).float().mean()) if named else float("nan")
