"""How far pictures are from photographs, before and after they were refined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.progress import StepProgress
from pipeline.refine.photos import TargetPhotos
from pipeline.refine.samples import SamplePair, in_groups
from pipeline.target.correct import distance
from pipeline.target.fit import StatisticDistance
from pipeline.target.measure import MEASURED
from pipeline.target.photos import read_photo
from pipeline.target.scenes import Measurements, measure_pictures

Pixels = NDArray[np.uint8]
AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class SetDistances:
    """Values of photographs and of pictures before and after, and the distances of the latter from the first."""

    target: Measurements
    before: Measurements
    after: Measurements

    @property
    def distances(self) -> list[StatisticDistance]:
        """Return the distance of each statistic that pictures show."""
        return [
            StatisticDistance(one.name, *(distance(one, self.target, found) for found in (self.before, self.after)))
            for one in MEASURED
        ]


def measure_set(pairs: Iterable[SamplePair], pool: TargetPhotos, photos: int, console: Console) -> SetDistances:
    """Measure pictures before and after, and as many photographs at most, shrunk to their size."""
    before, after, areas = [], [], []
    for some in in_groups(pairs, AT_ONCE):
        before.append(_measure([pair.before for pair in some]))
        after.append(_measure([pair.after for pair in some]))
        areas += [pair.before.shape[0] * pair.before.shape[1] for pair in some]
    area = float(np.median(areas))
    chosen = np.unique(np.linspace(0, len(pool.files) - 1, min(photos, len(pool.files))).round().astype(int))
    target = []
    with StepProgress(console, "measuring", total=len(chosen), unit="photographs") as progress:
        for numbers in in_groups(chosen.tolist(), AT_ONCE):
            target.append(_measure(list(_photos(pool, numbers, area))))
            progress.count(len(numbers))
    return SetDistances(*(Measurements(np.concatenate(values)) for values in (target, before, after)))


def _photos(pool: TargetPhotos, numbers: Sequence[int], area: float) -> Iterable[Pixels]:
    for number in numbers:
        try:
            yield read_photo(pool.folder / pool.files[number], pool.files[number], area).pixels
        except SynthError:  # it was readable when the run began
            continue


def _measure(images: Sequence[Pixels]) -> NDArray[np.float64]:
    return measure_pictures(images, [(None, None)] * len(images)).values
