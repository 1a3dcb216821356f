"""Distances between distributions: against scipy, by hand, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from pipeline.gap.classifier import fit_logistic, weighted_auc
from pipeline.gap.distance import factor_distances, group_draws, half_draws, wasserstein
from pipeline.gap.factors import FACTORS, OBJECTS, SIDE
from pipeline.gap.kernel import kernel_distance, nearest, polynomial_kernel
from pipeline.gap.measure import FactorValues
from pipeline.target.measure import BRIGHTNESS

PLACE = {factor.name: place for place, factor in enumerate(FACTORS)}


def values_of(count: int, seed: int, *, per_picture: int = 3, **shifts: float) -> FactorValues:
    """Normal values of every factor, those of objects several in a picture; shifts: by the name of a factor."""
    rng = np.random.default_rng(seed)
    values, owners = [], []
    for factor in FACTORS:
        owner = np.repeat(np.arange(count), per_picture if factor.per_object else 1)
        values.append(rng.normal(size=len(owner)) * factor.least + shifts.get(factor.name, 0.0) * factor.least)
        owners.append(owner)
    return FactorValues(values, owners)


def test_factors_have_names_of_their_own_and_keys() -> None:
    assert len(PLACE) == len(FACTORS)
    assert all(factor.effects and factor.least > 0 for factor in FACTORS)


def test_weighted_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=17), rng.normal(1.0, 2.0, size=9)
    second[3] = first[5]  # a value of both
    weights, others = rng.integers(0, 4, (5, 17)).astype(float), rng.integers(1, 4, (5, 9)).astype(float)
    found = wasserstein(first, weights, second, others)
    expected = [wasserstein_distance(first, second, *pair) for pair in zip(weights, others, strict=True)]
    assert found == pytest.approx(expected)
    ones = np.ones((1, 17))
    assert wasserstein(first, ones, first + 2.5, ones)[0] == pytest.approx(2.5)
    assert np.isnan(wasserstein(first, 0 * ones, second, np.ones((1, 9)))[0])


def test_a_factor_that_is_pushed_away_is_the_farthest_and_sets_of_one_kind_are_not_apart() -> None:
    groups = np.arange(40)
    real = values_of(40, 0)
    for name in (BRIGHTNESS.name, SIDE.name):
        found = factor_distances(real, groups, values_of(40, 1, **{name: 6.0}), groups, resamples=50, seed=0)
        worst = max(found, key=lambda one: one.ratio)
        assert worst.factor.name == name and worst.ratio == pytest.approx(6, abs=1.2)
        assert worst.shift == pytest.approx(6 * worst.factor.least, rel=0.25) and worst.distance.low > 0
        others = [one.ratio for one in found if one.factor.name != name]
        assert max(others) < 1
    same = factor_distances(real, groups, real, groups, resamples=50, seed=0)
    assert [one.distance.value for one in same] == [0.0] * len(FACTORS)
    assert all(one.distance.low == 0 for one in same)


def test_factors_that_few_pictures_have_are_left_out() -> None:
    real, groups = values_of(8, 0), np.arange(8)
    place = PLACE[OBJECTS.name]
    short = FactorValues(
        [value[:3] if i == place else value for i, value in enumerate(real.values)],
        [owner[:3] if i == place else owner for i, owner in enumerate(real.owners)],
    )
    found = factor_distances(short, groups, real, groups, resamples=20, seed=0)
    assert OBJECTS.name not in {one.factor.name for one in found} and len(found) == len(FACTORS) - 1


def test_draws_keep_groups_together() -> None:
    groups = np.repeat(np.arange(6), 5)
    rng = np.random.default_rng(0)
    for draws in (group_draws(groups, 30, rng), half_draws(groups, 30, rng)):
        assert (draws.reshape(30, 6, 5) == draws.reshape(30, 6, 5)[:, :, :1]).all()
    assert (group_draws(groups, 30, rng).sum(axis=1) == 30).all()
    assert (half_draws(groups, 30, rng).sum(axis=1) == 15).all()
    # Two groups have one pair of halves: then pictures are halved.
    assert len(np.unique(half_draws(np.repeat([0, 1], 5), 30, rng), axis=0)) > 2


def test_areas_under_curves_by_counting_pairs() -> None:
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8, 0.2]), np.array([0, 0, 1, 1, 1])
    # Of six pairs: 0.4 and 0.8 over 0.1, 0.8 over 0.4, 0.2 over 0.1 are right, 0.4 and 0.4 is half, one is wrong.
    weights = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 1, 1], [2, 1, 1, 1, 1], [1, 1, 0, 0, 0]], float)
    found = weighted_auc(scores, labels, weights)
    assert found[:3] == pytest.approx([4.5 / 6, 1.0, 7.5 / 9]) and np.isnan(found[3])


def test_logistic_regression_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [150, 50])
    features = rng.normal(size=(200, 4))
    features[:, 2] += 3.0 * labels
    middle, width, weights = fit_logistic(features, labels)
    scores = (features - middle) / width @ weights[1:] + weights[0]
    assert np.abs(weights[1:]).argmax() == 2
    # Both sides weigh alike: as many of each are on the wrong side of 0.
    assert (scores[labels == 0] > 0).mean() == pytest.approx((scores[labels == 1] < 0).mean(), abs=0.06)


def test_kernel_distances_by_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(6, 5)), rng.normal(0.5, 1.0, size=(7, 5))
    groups, others = np.array([0, 0, 1, 2, 3, 4]), np.arange(7)
    found = kernel_distance("pictures", first, groups, second, others, resamples=50, seed=0)
    assert found is not None

    def mean_of(rows: np.ndarray, columns: np.ndarray, of: np.ndarray, to: np.ndarray | None) -> float:
        pairs = [
            (rows[i] @ columns[j] / 5 + 1) ** 3
            for i in range(len(rows))
            for j in range(len(columns))
            if to is None or of[i] != to[j]
        ]
        return float(np.mean(pairs))

    own = mean_of(first, first, groups, groups) + mean_of(second, second, others, others)
    assert found.distance.value == pytest.approx(1000 * (own - 2 * mean_of(first, second, groups, None)))
    assert kernel_distance("pictures", first, 0 * groups, second, others, resamples=50, seed=0) is None


def test_kernel_distances_of_one_distribution_are_about_zero_and_of_two_are_not() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(40, 2, 20, 8))
    groups = np.arange(20)
    near, far = (
        [
            kernel_distance("pictures", a, groups, b + shift, groups, resamples=20, seed=0)
            for a, b in pairs[: 40 if not shift else 4]
        ]
        for shift in (0.0, 1.0)
    )
    values = [one.distance.value for one in near if one is not None]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(one.distance.value for one in far if one is not None) > max(values)


def test_nearest_is_by_angle() -> None:
    queries, others = np.array([[1.0, 0.1], [0.0, 3.0]]), np.array([[0.0, 0.5], [9.0, 0.0]])
    place, cosine = nearest(queries, others)
    assert place.tolist() == [1, 0] and cosine == pytest.approx([1 / np.hypot(1, 0.1), 1.0])
    assert polynomial_kernel(queries, others).shape == (2, 2)
