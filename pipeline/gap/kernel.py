"""Kernel distance between two sets in a feature space, and the nearest pictures of the other set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.evaluate.metrics.bootstrap import Interval
from pipeline.gap.distance import HALVINGS, group_draws, half_draws
from pipeline.gap.measure import Floats, Ints


@dataclass(frozen=True)
class KernelDistance:
    """Squared maximum mean discrepancy of features, times 1000. what: pictures or objects. among: between halves of
    photographs, median, about 0 where they are alike."""

    what: str
    distance: Interval
    among: float


def polynomial_kernel(first: Floats, second: Floats) -> Floats:
    """Return (N, M) kernel values (x . y / D + 1)^3 of features (N, D) and (M, D).

    The kernel of KID: Binkowski et al., "Demystifying MMD GANs", ICLR 2018.
    """
    return np.asarray((first @ second.T / first.shape[1] + 1) ** 3)


def kernel_distance(
    what: str, real: Floats, real_groups: Ints, rendered: Floats, rendered_groups: Ints, *, resamples: int, seed: int
) -> KernelDistance | None:
    """Return the unbiased squared MMD of features (N, D) and (M, D); None where pairs of groups are missing.

    Pairs inside one group, such as photographs of one arrangement, count for nothing: they are no independent samples.
    groups: (N,) and (M,), of each row. The interval is that of percentiles over resampled groups.
    """
    if min(len(np.unique(groups)) for groups in (real_groups, rendered_groups)) < 2:
        return None
    rng = np.random.default_rng([seed, 4])
    inside = [_pairs(side, groups) for side, groups in ((real, real_groups), (rendered, rendered_groups))]
    across = polynomial_kernel(real, rendered)
    value = float(_mmd(inside, across, np.ones((1, len(real))), np.ones((1, len(rendered))))[0])
    draws = [group_draws(groups, resamples, rng) for groups in (real_groups, rendered_groups)]
    low, high = np.nanpercentile(_mmd(inside, across, *draws), [2.5, 97.5])
    half = half_draws(real_groups, HALVINGS, rng)
    kernel, apart = inside[0]
    full = polynomial_kernel(real, real)
    halves = _mmd([(kernel, apart), (kernel, apart)], np.where(apart, full, 0), half, 1 - half, apart)
    among = float(np.nanmedian(halves)) if np.isfinite(halves).any() else float("nan")
    interval = Interval(1000 * value, 1000 * float(min(low, value)), 1000 * float(max(high, value)))
    return KernelDistance(what, interval, 1000 * among)


def _pairs(features: Floats, groups: Ints) -> tuple[Floats, Floats]:
    """Return kernel values of pairs (N, N), 0 inside of groups, and 1 where a pair counts."""
    apart = (groups[:, None] != groups[None, :]).astype(np.float64)
    return polynomial_kernel(features, features) * apart, apart


def _mmd(
    inside: list[tuple[Floats, Floats]], across: Floats, first: Floats, second: Floats, counted: Floats | None = None
) -> Floats:
    """Return squared MMDs (R,) for weights (R, N) and (R, M); NaN without pairs. counted: pairs across that count."""
    with np.errstate(invalid="ignore", divide="ignore"):
        own = [
            np.einsum("rn,nm,rm->r", w, kernel, w, optimize=True) / np.einsum("rn,nm,rm->r", w, apart, w, optimize=True)
            for w, (kernel, apart) in zip((first, second), inside, strict=True)
        ]
        total = np.einsum("rn,nm,rm->r", first, across, second, optimize=True)
        pairs = (
            first.sum(axis=1) * second.sum(axis=1)
            if counted is None
            else np.einsum("rn,nm,rm->r", first, counted, second, optimize=True)
        )
        return np.asarray(own[0] + own[1] - 2 * total / pairs)


def nearest(queries: Floats, others: Floats) -> tuple[Ints, Floats]:
    """Return for each query (N, D) the place (N,) of the other with the smallest angle, and its cosine (N,)."""
    units = [one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9) for one in (queries, others)]
    cosines = units[0] @ units[1].T
    place = cosines.argmax(axis=1)
    return place.astype(np.int64), cosines[np.arange(len(queries)), place]
