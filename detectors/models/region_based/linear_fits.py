"""Linear fits on features of windows: support vector machines with hard negatives, and ridge regression of boxes.

As in R-CNN (Girshick et al. 2014, arXiv 1311.2524, section 2.3 and appendix C).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
# Negatives on the right side of the margin by this much are dropped after a fit: they do not support it.
EASY_MARGIN = -1.2
# Steps of L-BFGS at most; features of this scale need a tenth of that.
MAX_STEPS = 300


@dataclass(frozen=True)
class SvmSettings:
    """C: weight of violations of the margin. positive_weight: of those of positives, beside that.

    refit: new negatives of a class after which its machine is fitted again while negatives are collected.
    """

    c: float = 1e-3
    positive_weight: float = 2.0
    refit: int = 2000


class Machines(NamedTuple):
    """Linear support vector machines, one per class. weights: (C, D) float32. biases: (C,) float32."""

    weights: Floats
    biases: Floats


class ImageNegatives(NamedTuple):
    """The windows of an image. features: (R, D). negative: (R, C) whether a window is a negative of a class."""

    features: Floats
    negative: NDArray[np.bool_]


def fit_svm(positives: Floats, negatives: Floats, settings: SvmSettings, start: Floats | None = None) -> Floats:
    """Return the (D + 1,) weights, the bias last, that minimise |w|^2 / 2 + C sum_i s_i max(0, 1 - y_i (w x_i + b))^2.

    s: the weight of positives, 1 for negatives. The bias is not regularised. start: where to begin. By L-BFGS.
    """
    from scipy.optimize import minimize

    rows = np.concatenate([positives, negatives])
    sign = np.concatenate([np.ones(len(positives)), -np.ones(len(negatives))])
    cost = settings.c * np.where(sign > 0, settings.positive_weight, 1.0)

    def objective(both: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = both[:-1], both[-1]
        missing = np.maximum(0.0, 1 - sign * (rows @ weights.astype(np.float32) + bias))
        slope = -2 * cost * sign * missing
        gradient = np.append(weights + (slope.astype(np.float32) @ rows), slope.sum())
        return float(weights @ weights / 2 + (cost * missing**2).sum()), gradient

    first = np.zeros(rows.shape[1] + 1) if start is None else start.astype(np.float64)
    found = minimize(objective, first, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS})
    return found.x.astype(np.float32)


class _Mining:
    """The machines while negatives are collected. Negatives that several classes share are kept once."""

    def __init__(self, positives: list[Floats], settings: SvmSettings) -> None:
        self.positives, self.settings = positives, settings
        size = positives[0].shape[1]
        self.machines = np.zeros((len(positives), size + 1), np.float32)
        self.pool: dict[int, Floats] = {}
        self.kept: list[list[int]] = [[] for _ in positives]
        self.new = [0] * len(positives)
        self.fitted = [False] * len(positives)
        self.seen = 0

    def margins(self, features: Floats) -> Floats:
        """Return the (R, C) margins."""
        return features @ self.machines[:, :-1].T + self.machines[:, -1]

    def add(self, image: ImageNegatives) -> None:
        """Collect the negatives of an image that a machine takes for positives or that lie within its margin."""
        hard = image.negative & (self.margins(image.features) > -1)
        for row in np.flatnonzero(hard.any(axis=1)):
            self.pool[self.seen + int(row)] = image.features[row].copy()
        for label in np.flatnonzero(hard.any(axis=0)):
            rows = np.flatnonzero(hard[:, label])
            self.kept[label] += (self.seen + rows).tolist()
            self.new[label] += len(rows)
        self.seen += len(image.features)
        for label in np.flatnonzero(hard.any(axis=0)):
            if not self.fitted[label] or self.new[label] >= self.settings.refit:
                self.fit(int(label))

    def fit(self, label: int) -> None:
        """Fit the machine of a class, and drop negatives that are easy for it."""
        self.new[label] = 0
        if not len(self.positives[label]) or not self.kept[label]:
            return
        negatives = np.stack([self.pool[number] for number in self.kept[label]])
        start = self.machines[label] if self.fitted[label] else None
        self.machines[label] = fit_svm(self.positives[label], negatives, self.settings, start)
        self.fitted[label] = True
        margins = negatives @ self.machines[label, :-1] + self.machines[label, -1]
        pairs = zip(self.kept[label], margins, strict=True)
        self.kept[label] = [number for number, margin in pairs if margin > EASY_MARGIN]
        used = set().union(*self.kept)
        self.pool = {number: row for number, row in self.pool.items() if number in used}


def mine_svms(positives: list[Floats], images: Iterable[ImageNegatives], settings: SvmSettings) -> Machines:
    """Fit a machine per class to its positives and to hard negatives, in one pass over the images.

    positives: (N, D) for each class. A negative is hard if the machine so far gives it a margin over -1. Classes
    without positives get a machine whose margin is always -10.
    """
    mining = _Mining(positives, settings)
    for image in images:
        mining.add(image)
    for label in range(len(positives)):
        mining.fit(label)
    weights, biases = mining.machines[:, :-1].copy(), mining.machines[:, -1].copy()
    biases[[not fitted for fitted in mining.fitted]] = -10.0
    return Machines(weights, biases)


def fit_ridge(features: Floats, targets: Floats, penalty: float) -> Floats:
    """Return the (T, D + 1) weights of ridge regression, the bias last: W = argmin |t - b - W x|^2 + penalty |W|^2.

    features: (N, D). targets: (N, T), whose mean is the bias b. Solved in whichever of D and N is smaller.
    """
    mean = targets.mean(axis=0, dtype=np.float64)
    rows, rest = features.astype(np.float64), targets - mean
    count, size = rows.shape
    if size <= count:
        weights = np.linalg.solve(rows.T @ rows + penalty * np.eye(size), rows.T @ rest)
    else:
        weights = rows.T @ np.linalg.solve(rows @ rows.T + penalty * np.eye(count), rest)
    return np.concatenate([weights.T, mean[:, None]], axis=1).astype(np.float32)
