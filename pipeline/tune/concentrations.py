"""Where failures concentrate, beyond chance: permutation tests over scenes, corrected for all comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Adjusted p below which a concentration is taken for real, and the scenes or products that it takes at least.
SIGNIFICANT, FEWEST = 0.05, 8
PERMUTATIONS = 2000
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Concentration:
    """Failures in one part of the scenes, or of one product. rate, elsewhere: failures for each product.

    p: chance of so large an excess anywhere among all comparisons if failures were spread by chance. excess: failures
    above what that part would have at the rate of all.
    """

    name: str
    part: int
    scenes: int
    rate: float
    elsewhere: float
    excess: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether there are more failures than chance explains."""
        return self.p < SIGNIFICANT and self.excess > 0


def concentrations_in(
    names: Sequence[str], thirds: Ints, failures: Floats, products: Floats, *, seed: int
) -> list[Concentration]:
    """Test each third of each condition, those with the smallest p first.

    thirds: (N, K) third of each of N scenes in each of K conditions, -1 where a scene has no value. failures, products:
    (N,) of each scene. Scenes are permuted, and the largest statistic of all thirds is compared (max-T): Westfall and
    Young, "Resampling-Based Multiple Testing", 1993.
    """
    parts = [(k, third) for k in range(len(names)) for third in range(3)]
    members = np.array([thirds[:, k] == third for k, third in parts], np.float64).reshape(len(parts), len(failures))
    overall = float(failures.sum()) / max(float(products.sum()), 1.0)
    residuals = failures - overall * products
    rng = np.random.default_rng([seed, 9])
    shuffled = rng.permuted(np.tile(residuals, (PERMUTATIONS, 1)), axis=1)
    counts = members.sum(axis=1)
    usable = (counts >= FEWEST) & (counts <= len(failures) - FEWEST)
    p = _adjusted(members @ residuals, members @ shuffled.T, counts, usable)
    found = [
        _concentration(names[k], third, members[i], failures, products, float(members[i] @ residuals), p[i])
        for i, (k, third) in enumerate(parts)
        if usable[i]
    ]
    return sorted(found, key=lambda one: (one.p, -one.excess))


def _adjusted(values: Floats, drawn: Floats, counts: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Return p of each value (P,) against the largest of all in each permutation (P, R), each in its own deviations."""
    if not usable.any():
        return np.ones(len(values))
    spread = np.maximum(drawn.std(axis=1), 1e-12)
    largest = (drawn / spread[:, None])[usable].max(axis=0)
    return (1 + (largest[None, :] >= (values / spread)[:, None] - 1e-9).sum(axis=1)) / (1 + drawn.shape[1])


def _concentration(
    name: str, part: int, inside: Floats, failures: Floats, products: Floats, excess: float, p: float
) -> Concentration:
    rates = [float(w @ failures) / max(float(w @ products), 1.0) for w in (inside, 1 - inside)]
    return Concentration(name, part, int(inside.sum()), rates[0], rates[1], excess, float(p))


def concentrations_of_skus(
    skus: Sequence[str], scenes: Ints, missed: NDArray[np.bool_], *, seed: int
) -> list[Concentration]:
    """Test each SKU among the products of all scenes, those with the smallest p first.

    skus, scenes, missed: of each product (A,). Products are permuted within their scene, so that hard scenes are not
    held against what they show.
    """
    if not len(skus):
        return []
    keys, label = np.unique(np.asarray(skus), return_inverse=True)
    order = np.argsort(scenes, kind="stable")
    label, scenes, missed = label[order], scenes[order], missed[order].astype(np.float64)
    sizes = np.bincount(scenes)
    residuals = missed - (np.bincount(scenes, missed) / np.maximum(sizes, 1))[scenes]
    rng = np.random.default_rng([seed, 10])
    drawn = np.stack(
        [
            np.bincount(label, residuals[np.lexsort((rng.random(len(label)), scenes))], len(keys)).astype(np.float64)
            for _ in range(PERMUTATIONS // 2)
        ],
        axis=1,
    )
    counts = np.bincount(label, minlength=len(keys)).astype(np.float64)
    values, usable = np.bincount(label, residuals, len(keys)).astype(np.float64), counts >= FEWEST
    p = _adjusted(values, drawn, counts, usable)
    hits = np.bincount(label, missed, minlength=len(keys))
    found = [
        Concentration(
            str(keys[i]),
            -1,
            int(counts[i]),
            float(hits[i] / counts[i]),
            float((hits.sum() - hits[i]) / max(counts.sum() - counts[i], 1)),
            float(values[i]),
            float(p[i]),
        )
        for i in range(len(keys))
        if usable[i]
    ]
    return sorted(found, key=lambda one: (one.p, -one.excess))
