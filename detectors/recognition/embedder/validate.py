"""How well an embedder that is being trained finds held-out crops among crops it is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.recognition.embedder.crop_store import CropSource, prepared_crops
from detectors.recognition.embedder.load import Embedder
from detectors.recognition.embedder.retrieval import Ranking, choose_threshold, measure, rank_skus
from detectors.recognition.embedder.sampling import EmbedderStream, Pools, stream

# Views of a SKU in the gallery of a validation, and queries of a SKU.
VIEWS, QUERIES = 8, 20
# Crops embedded for either at most, as long as every SKU has one: minutes at the most.
MOST = 40_000


@dataclass(frozen=True)
class Validation:
    """Crops to look for (`held`, `asked`) and crops to find them among (`trained`, `shown`)."""

    trained: CropSource
    shown: NDArray[np.int64]
    held: CropSource
    asked: NDArray[np.int64]

    @classmethod
    def of(cls, trained: CropSource, held: CropSource, *, classes: int, seed: int) -> Validation:
        """A few crops of every SKU, drawn."""
        return cls(
            trained,
            some_of_each(trained.labels, classes, VIEWS, seed=seed),
            held,
            some_of_each(held.labels, classes, QUERIES, seed=seed + 1),
        )


def some_of_each(labels: NDArray, classes: int, most: int, *, seed: int) -> NDArray[np.int64]:
    """Up to `most` crops of each class, fewer where there are very many classes, rising."""
    pools = Pools.of(labels, classes)
    most = max(1, min(most, MOST // max(classes, 1)))
    rng = stream(seed, EmbedderStream.LIMIT)
    chosen = [rng.permutation(pools.crops(label))[:most] for label in range(classes)]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


def rank_held_out(embedder: Embedder, validation: Validation) -> Ranking:
    """The ranking of the held-out crops."""
    gallery = embedder.embed(prepared_crops(validation.trained, validation.shown, embedder.margin))
    queries = embedder.embed(prepared_crops(validation.held, validation.asked, embedder.margin))
    labels = validation.trained.labels[validation.shown]
    return rank_skus(gallery, labels, queries, validation.held.labels[validation.asked])


def score_held_out(embedder: Embedder, validation: Validation) -> dict[str, float]:
    """top1, top5, mrr, auroc and the threshold for unknown products, of the held-out crops."""
    ranking = rank_held_out(embedder, validation)
    views = len(validation.shown)
    found = measure(ranking, skus=len(np.unique(validation.trained.labels[validation.shown])), views=views)
    names = ("top1", "top5", "mrr", "auroc", "fpr95")
    return {name: getattr(found, name) for name in names} | {"threshold": choose_threshold(ranking)}


def score_classifier(embedder: Embedder, head: dict, validation: Validation) -> float:
    """Share of the held-out crops that a softmax classifier names rightly."""
    import torch

    from detectors.recognition.embedder.softmax import classify

    squares = embedder.squares(prepared_crops(validation.held, validation.asked, embedder.margin))
    named = [classify(embedder.points(one), head, most=1)[0][:, 0].cpu() for one in squares]
    truth = torch.from_numpy(validation.held.labels[validation.asked].astype(np.int64))
    return float((torch.cat(named) == truth).float().mean()) if named else float("nan")
