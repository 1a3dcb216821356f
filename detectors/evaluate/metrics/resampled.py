"""Average precisions of many detectors on the same resamples of the images, for intervals of means and differences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Ints, align
from detectors.evaluate.metrics.bootstrap import on_resamples, resample_weights
from detectors.evaluate.metrics.compare import ranked_detections
from detectors.evaluate.metrics.curves import Ranked, average_precision, mean_over_classes, shorten


def resampled_precisions(
    truth: ImageSet, found: Sequence[Predictions], *, rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """Return (R + 1, N, 2) AP and AP50 of N detectors on R resamples of the groups of images; first on all images."""
    ranked = [shorten(ranked_detections(align(truth, one))) for one in found]
    drawn = (np.ones(len(truth), np.int64), *resample_weights(truth.groups, rng=rng, resamples=resamples))
    return np.stack(list(on_resamples(partial(_precisions, ranked), drawn)))


def _precisions(ranked: Sequence[Ranked], weights: Ints) -> NDArray[np.float64]:
    tables = [average_precision(one, weights) for one in ranked]
    return np.array([[mean_over_classes(table), mean_over_classes(table[0])] for table in tables])
