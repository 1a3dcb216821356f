"""The points of a curve and what photos add: means over subsets, seeds and resampled photos, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.metrics.bootstrap import FEW_GROUPS, Interval, mirrored_interval

if TYPE_CHECKING:
    from pipeline.experiments.trainings import Cell, Kind, PlannedTraining

Scores = NDArray[np.float64]
Columns = Mapping["PlannedTraining", int]


@dataclass(frozen=True)
class CurvePoint:
    """Detectors of one kind and number of photos. subsets: different ones. ap, ap50: means; low, high: of trainings.

    median: of the AP of the trainings.
    """

    kind: Kind
    photos: int
    subsets: int
    trainings: int
    ap: Interval
    ap50: Interval
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class PhotoGain:
    """What synthetic images add at a number of photos. over_same, over_all: differences of AP to the same photos alone,

    and to all photos alone. times_all: AP as a multiple of that of all photos alone.
    """

    photos: int
    over_same: Interval | None
    over_all: Interval
    times_all: Interval


def curve_points(
    cells: Sequence[Cell], column: Columns, scores: Scores, groups: NDArray[np.int32], rng: np.random.Generator
) -> list[CurvePoint]:
    """Return the points of cells. scores: (R + 1, N, 2) of `resampled_precisions`. column: of each training."""
    points = []
    for cell in cells:
        places = np.array([column[training] for training in cell.trainings])
        means = _resampled_means(scores, [places], rng)[0]
        ap, ap50 = (_interval(means[:, score], groups, (0.0, 1.0)) for score in (0, 1))
        values = scores[0, np.unique(places), 0]
        points.append(
            CurvePoint(
                cell.kind,
                cell.photos,
                len({training.photos for training in cell.trainings}),
                len(values),
                ap,
                ap50,
                float(np.median(values)),
                float(values.min()),
                float(values.max()),
            )
        )
    return points


def photo_gains(
    cells: Sequence[Cell], column: Columns, scores: Scores, groups: NDArray[np.int32], rng: np.random.Generator
) -> list[PhotoGain]:
    """Return what synthetic images add where both kinds are done, and all photos alone are.

    Trainings on the same subset with the same seed are compared with each other, on the same resamples.
    """
    places = {(cell.kind, cell.photos): np.array([column[training] for training in cell.trainings]) for cell in cells}
    counts = [photos for kind, photos in places if kind == "real"]
    if not counts:
        return []
    every = places["real", max(counts)]
    gains = []
    for (kind, photos), with_synthetic in places.items():
        if kind == "real":
            continue
        alone = places.get(("real", photos))
        same = None
        if alone is not None:
            both, single = (
                found[:, 0] for found in _resampled_means(scores, [with_synthetic, alone], rng, paired=True)
            )
            same = _interval(both - single, groups, (-1.0, 1.0))
        both, whole = (found[:, 0] for found in _resampled_means(scores, [with_synthetic, every], rng))
        ratio = both / np.where(whole > 0, whole, np.nan)
        gains.append(
            PhotoGain(
                photos,
                same,
                _interval(both - whole, groups, (-1.0, 1.0)),
                _interval(ratio, groups, (0.0, np.inf)),
            )
        )
    return gains


def _resampled_means(
    scores: Scores, cells: Sequence[NDArray[np.int64]], rng: np.random.Generator, *, paired: bool = False
) -> list[Scores]:
    """Return for each cell (R + 1, 2) means over its trainings, drawn with replacement in all rows but the first.

    paired: the cells' trainings belong together, one by one, and are drawn together.
    """
    means = []
    drawn: NDArray[np.int64] | None = None
    for places in cells:
        if drawn is None or not paired:
            drawn = rng.integers(0, len(places), (len(scores), len(places)))
            drawn[0] = np.arange(len(places))
        means.append(np.take_along_axis(scores, places[drawn][:, :, None], axis=1).mean(axis=1))
    return means


def _interval(values: NDArray[np.float64], groups: NDArray[np.int32], limits: tuple[float, float]) -> Interval:
    """Return the first value with the interval of the others."""
    count = len(np.unique(groups))
    if count < 2:
        return Interval(float(values[0]), np.nan, np.nan, "missing: photos of a single group judge")
    note = f"rough: only {count} independent groups of photos judge" if count < FEW_GROUPS else None
    return mirrored_interval(float(values[0]), values[1:], limits, note)
