"""The decision on a crop by its scores: known, unknown, or for review by a person.

versions/ID/decision.json    threshold and margin, and the data they were chosen on
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import FileModel
from detectors.recognition.embedder.retrieval import UNKNOWN, Ranking, choose_threshold, margins
from detectors.recognition.gallery.index import open_index
from detectors.recognition.gallery.open import MISSING, Gallery
from detectors.recognition.gallery.parts import read_gallery_model
from detectors.recognition.gallery.search import NearestSkus
from detectors.recognition.gallery.versions import VERSIONS

NOTE = "decision.json"
# Target precision of products that are named without review.
WANTED_RIGHT = 0.98
# Margin used if none was chosen on photos.
USUAL_MARGIN = 0.03
# Number of SKUs whose views are used in place of photos if there are none.
TRIED_SKUS = 300


class Verdict(IntEnum):
    """The decision on a crop."""

    UNKNOWN = 0
    REVIEW = 1
    KNOWN = 2


class Decision(FileModel):
    """The content of decision.json. threshold: minimum score of known products. margin: lead over the second SKU below
    which a product is for review. chosen_on: description of the data that both were chosen on."""

    threshold: float = Field(ge=-1, le=1.5, allow_inf_nan=False)
    margin: float = Field(ge=0, le=2, allow_inf_nan=False)
    chosen_on: str = Field(max_length=1000)


def judge(nearest: NearestSkus, decision: Decision) -> NDArray[np.int8]:
    """Return (Q,) the Verdict on each crop."""
    known = (nearest.skus[:, 0] != MISSING) & (nearest.scores[:, 0] >= decision.threshold)
    clear = nearest.margins >= decision.margin
    verdicts = np.where(known, np.where(clear, Verdict.KNOWN, Verdict.REVIEW), Verdict.UNKNOWN)
    return verdicts.astype(np.int8)


def settle_decision(gallery: Gallery, *, threshold: float | None = None, margin: float | None = None) -> Decision:
    """Return the decision of a version; `threshold` and `margin` override the stored values."""
    stored = read_decision(gallery) or decide_on_views(gallery)
    given = {name: value for name, value in (("threshold", threshold), ("margin", margin)) if value is not None}
    if not given:
        return stored
    return stored.model_copy(update={**given, "chosen_on": f"{stored.chosen_on}; {' and '.join(given)} given by hand"})


def choose_decision(ranking: Ranking, chosen_on: str) -> Decision:
    """Choose threshold and margin on labelled queries. Raises SynthError if these do not suffice."""
    threshold = choose_threshold(ranking)
    if not np.isfinite(threshold):
        found = f"{int(ranking.known.sum())} known, {int((~ranking.known).sum())} unknown"
        hint = "give photos of several SKUs of the gallery"
        raise SynthError(
            "cannot choose a threshold from these images",
            code="threshold-undetermined",
            where=chosen_on,
            found=found,
            hint=hint,
        )
    return Decision(threshold=threshold, margin=_choose_margin(ranking, threshold), chosen_on=chosen_on)


def first_decision(gallery: Gallery, learned: float) -> Decision:
    """Return the decision for a new gallery. learned: threshold from the embedder's validation, nan if it had none."""
    if not np.isfinite(learned):
        return decide_on_views(gallery)
    chosen_on = "the embedder's validation: 'synth gallery tune' chooses on photographs"
    return Decision(threshold=learned, margin=USUAL_MARGIN, chosen_on=chosen_on)


def decide_on_views(gallery: Gallery, *, seed: int = 0) -> Decision:
    """Choose a decision without photos: each view of some SKUs is a query against all other views.

    The threshold tends to be too high, since renders are closer to each other than photos are to renders.
    """
    chosen_on = "views of the gallery itself: 'synth gallery tune' chooses on photographs"
    ranking = _rank_views(gallery, seed)
    threshold = choose_threshold(ranking)
    if not np.isfinite(threshold):
        return Decision(threshold=0.5, margin=USUAL_MARGIN, chosen_on="nothing: too few views")
    return Decision(threshold=threshold, margin=USUAL_MARGIN, chosen_on=chosen_on)


def read_decision(gallery: Gallery) -> Decision | None:
    """Read the stored decision of a version, None if there is none."""
    return read_gallery_model(Decision, _path(gallery))


def write_decision(gallery: Gallery, decision: Decision) -> None:
    """Store the decision of a version."""
    write_atomic(_path(gallery), (decision.model_dump_json(indent=1) + "\n").encode())


def inherit_decision(gallery: Gallery, parent: Gallery) -> None:
    """Copy the decision of the version that a new one was made from."""
    stored = read_decision(parent)
    if stored is not None and read_decision(gallery) is None:
        write_decision(gallery, stored)


def ranking_of(
    gallery: Gallery, nearest: NearestSkus, queries: NDArray[np.float32], truth: NDArray, *, best: int = 1
) -> Ranking:
    """Convert search results to a Ranking, for the metrics of detectors/recognition/embedder/metrics.py.

    truth: (Q,) position in the gallery, UNKNOWN for products that it lacks. best: as in `find_skus`. A true SKU that is
    not among the results ranks right after them.
    """
    known = truth != UNKNOWN
    own = np.full(len(truth), np.nan, np.float32)
    for place in np.flatnonzero(known):
        views = gallery.vectors(gallery.rows_of(int(truth[place]))) @ queries[place]
        own[place] = np.sort(views)[::-1][:best].mean()
    is_truth = nearest.skus == truth[:, None]
    # Ties rank before the true SKU, as in `rank_skus`.
    rank = ((nearest.scores >= own[:, None]) & ~is_truth & (nearest.skus != MISSING)).sum(axis=1) + 1
    others = np.where(is_truth, -np.inf, nearest.scores).max(axis=1)
    return Ranking(
        truth.astype(np.int64),
        np.where(known, rank, 0),
        nearest.skus.astype(np.int64),
        nearest.scores,
        own,
        others.astype(np.float32),
    )


def _choose_margin(ranking: Ranking, threshold: float) -> float:
    """Return the smallest margin at which the accepted answers without review reach WANTED_RIGHT precision."""
    accepted = ranking.scores[:, 0] >= threshold
    lead = margins(ranking)
    order = np.argsort(-lead[accepted], kind="stable")
    leads, right = lead[accepted][order], (ranking.rank == 1)[accepted][order]
    good = np.flatnonzero(np.cumsum(right) >= WANTED_RIGHT * np.arange(1, len(right) + 1))
    if not len(good):
        return USUAL_MARGIN
    return 0.0 if good[-1] == len(right) - 1 else float(max(leads[good[-1]], 0.0))


def _rank_views(gallery: Gallery, seed: int) -> Ranking:
    rng = np.random.default_rng([seed, TRIED_SKUS])
    chosen = np.sort(rng.choice(len(gallery), min(TRIED_SKUS, len(gallery)), replace=False))
    rows = np.concatenate([gallery.rows_of(int(sku)) for sku in chosen])
    queries, truth = gallery.vectors(rows), gallery.owners[rows].astype(np.int64)
    scores, found = open_index(gallery).search(queries, 2 * gallery.most_rows + 1)
    owners = np.where(found == MISSING, MISSING, gallery.owners[found])
    scores = np.where((found == rows[:, None]) | (owners == MISSING), -1.0, scores)
    own = np.where(owners == truth[:, None], scores, -1.0).max(axis=1)
    other = np.where(owners == truth[:, None], -1.0, scores).max(axis=1)
    told = (own > -1) & (other > -1)
    best = np.stack([np.maximum(own, other), np.minimum(own, other)], axis=1)[told].astype(np.float32)
    rank = np.where(own > other, 1, 2)[told]
    skus = np.zeros((int(told.sum()), 2), np.int64)
    return Ranking(truth[told], rank, skus, best, own[told].astype(np.float32), other[told].astype(np.float32))


def _path(gallery: Gallery) -> Path:
    return gallery.folder / VERSIONS / gallery.version / NOTE
