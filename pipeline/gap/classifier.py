"""Can a simple classifier tell rendered crops from photographed ones? 0.5 says that it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.metrics.bootstrap import Interval
from pipeline.gap.crops import FEATURES, Crops, describe_crops
from pipeline.gap.distance import group_draws
from pipeline.gap.measure import Floats, Ints

FOLDS, RIDGE, STEPS = 5, 1.0, 25
# Groups of pictures of a side below which they cannot be held out.
FEWEST_GROUPS = 2
GIVEAWAYS = 5


@dataclass(frozen=True)
class DomainClassifier:
    """A classifier of crops. auc: area under the ROC curve on pictures that it was not trained on.

    crops: of photographs and of renders. of_boxes: whether crops show objects, else random places. giveaways: the
    features with the largest weights, each with how many deviations renders lie above photographs.
    """

    auc: Interval
    crops: tuple[int, int]
    of_boxes: bool
    giveaways: Sequence[tuple[str, float]]


def classify_domains(
    real: Crops, real_groups: Ints, rendered: Crops, rendered_groups: Ints, *, of_boxes: bool, resamples: int, seed: int
) -> DomainClassifier | None:
    """Train and test a classifier of crops, whole groups of pictures held out; None where there are too few.

    Logistic regression on standardised features with a ridge, both sides weighted alike. The interval is that of
    percentiles over resampled groups.
    """
    sides = ((real, real_groups), (rendered, rendered_groups))
    groups = [of_picture[crops.owners] for crops, of_picture in sides]
    if min(len(np.unique(one)) for one in groups) < FEWEST_GROUPS:
        return None
    features = np.concatenate([describe_crops(real), describe_crops(rendered)])
    labels = np.repeat([0, 1], [len(real), len(rendered)])
    rng = np.random.default_rng([seed, 3])
    folds = np.concatenate([_folds(one, rng) for one in groups])
    scores = np.zeros(len(labels))
    for fold in np.unique(folds):
        held = folds == fold
        if len(np.unique(labels[~held])) == 2:
            middle, width, weights = fit_logistic(features[~held], labels[~held])
            scores[held] = (features[held] - middle) / width @ weights[1:] + weights[0]
    draws = [group_draws(of_picture, resamples, rng)[:, crops.owners] for crops, of_picture in sides]
    area = weighted_auc(scores, labels, np.ones((1, len(labels))))[0]
    drawn = weighted_auc(scores, labels, np.concatenate(draws, axis=1))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    interval = Interval(float(area), float(min(low, area)), float(max(high, area)))
    return DomainClassifier(interval, (len(real), len(rendered)), of_boxes, _giveaways(features, labels))


def _folds(groups: Ints, rng: np.random.Generator) -> Ints:
    """Return a fold for each crop: groups are dealt evenly."""
    found, place = np.unique(groups, return_inverse=True)
    return (rng.permutation(len(found)) % FOLDS)[place]


def fit_logistic(features: Floats, labels: Ints) -> tuple[Floats, Floats, Floats]:
    """Return middles, widths and weights (1 + F,), constant first, of a ridge logistic regression, by Newton steps."""
    middle, width = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    columns = np.concatenate([np.ones((len(features), 1)), (features - middle) / width], axis=1)
    shares = 0.5 * len(labels) / np.bincount(labels, minlength=2)[labels]
    ridge = RIDGE * np.eye(columns.shape[1])
    ridge[0, 0] = 1e-6
    weights = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        slope = columns.T @ (shares * (expected - labels)) + ridge @ weights
        curve = (columns * (shares * np.maximum(expected * (1 - expected), 1e-6))[:, None]).T @ columns + ridge
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-6:
            break
    return middle, width, weights


def weighted_auc(scores: Floats, labels: NDArray, weights: Floats) -> Floats:
    """Return areas under the ROC curve (R,) of scores (N,) with labels 0 or 1 and weights (R, N); ties count half."""
    levels, place = np.unique(scores, return_inverse=True)
    both = []
    for label in (0, 1):
        totals = np.zeros((len(weights), len(levels)))
        np.add.at(totals.T, place[labels == label], weights[:, labels == label].T)
        both.append(totals)
    negative, positive = both
    below = negative.cumsum(axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))


def _giveaways(features: Floats, labels: Ints) -> list[tuple[str, float]]:
    *_, weights = fit_logistic(features, labels)
    apart = (features[labels == 1].mean(axis=0) - features[labels == 0].mean(axis=0)) / np.maximum(
        features.std(axis=0), 1e-6
    )
    # What is both weighted and different: a weight alone may make up for another one.
    order = np.argsort(-np.abs(weights[1:] * apart))[:GIVEAWAYS]
    return [(FEATURES[place], float(apart[place])) for place in order]
