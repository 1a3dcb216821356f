"""`synth gap`: how far a rendered set is from photographs, and which keys of its recipe to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.progress import Reporter, StepProgress
from pipeline.gap.advice import KeyAdvice, advise
from pipeline.gap.calibration import Calibration, GapRow, add_row, calibrate, read_rows
from pipeline.gap.classifier import DomainClassifier, classify_domains
from pipeline.gap.crops import Crops, cut_crops
from pipeline.gap.distance import FactorDistance, factor_distances, total_ratio
from pipeline.gap.kernel import KernelDistance, kernel_distance, nearest
from pipeline.gap.measure import FactorValues, Floats, measure_all
from pipeline.gap.pictures import PictureSet, read_set
from pipeline.gap.proxy import ProxyScore, proxy_score, score_run
from pipeline.gap.settings import GapSettings
from pipeline.target.fit import FindBoxes, open_detector
from pipeline.target.photos import USUAL_AREA, common_size_of

# Sides of the squares that whole pictures and crops are described at, pixels.
PICTURE_PX, OBJECT_PX = 224, 96


@dataclass(frozen=True)
class Neighbours:
    """Pairs of a picture and the nearest of the other set: numbers of both, and the cosine of their features."""

    pairs: Sequence[tuple[int, int, float]]


@dataclass(frozen=True, eq=False)
class GapReport:
    """All that is said of the distance of a rendered set from photographs.

    size: width and height of the pictures compared. factors: by falling ratio. of_renders, of_photos: the nearest
    photograph of each render, and the other way round; None without features. notes: messages for the user.
    """

    settings: GapSettings
    real: PictureSet
    rendered: PictureSet
    values: tuple[FactorValues, FactorValues]
    size: tuple[int, int]
    factors: Sequence[FactorDistance]
    advice: Sequence[KeyAdvice]
    classifier: DomainClassifier | None
    kernels: Sequence[KernelDistance]
    of_renders: Neighbours | None
    of_photos: Neighbours | None
    proxy: ProxyScore | None
    calibration: Calibration | None
    notes: Sequence[str]

    @property
    def total(self) -> float:
        """The mean over factors of the distance in units of what photographs differ among themselves."""
        return total_ratio(self.factors)

    def measures(self) -> dict[str, float]:
        """Return every measure as one number, larger for farther, by its name."""
        found = {one.factor.name: one.ratio for one in self.factors} | {"mean of factors": self.total}
        if self.classifier is not None:
            found["classifier AUC"] = self.classifier.auc.value
        found |= {f"kernel distance of {one.what}": one.distance.value for one in self.kernels}
        if self.proxy is not None:
            found["1 - proxy AP"] = 1 - self.proxy.ap.value
        return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def measure_gap(settings: GapSettings, reporter: Reporter) -> GapReport:
    """Compare a rendered set with photographs. Raises SynthError where either cannot be read."""
    settings.out.parent.mkdir(parents=True, exist_ok=True)  # a path that cannot be written shows now, not at the end
    find_boxes = open_detector(settings.detector, settings.device) if settings.detector else None
    notes: list[str] = []
    real, rendered = _read_both(settings, reporter, notes)
    real, rendered, boxes = _with_boxes(real, rendered, find_boxes, notes)
    size = common_size_of([one.pixels for one in real.pictures])
    side = float(np.sqrt(size[0] * size[1]))
    values = tuple(measure_all(one.pictures, side=side, detail=not boxes) for one in (real, rendered))
    seed, resamples = settings.seed, settings.resamples
    factors = factor_distances(values[0], real.groups, values[1], rendered.groups, resamples=resamples, seed=seed)
    crops = [cut_crops(one.pictures, boxes=boxes, seed=seed) for one in (real, rendered)]
    classifier = classify_domains(
        crops[0], real.groups, crops[1], rendered.groups, of_boxes=boxes, resamples=resamples, seed=seed
    )
    kernels, near = _compare_features(settings, reporter, real, rendered, crops, notes)
    report = GapReport(
        settings,
        real,
        rendered,
        (values[0], values[1]),
        size,
        sorted(factors, key=lambda one: -one.ratio),
        advise(rendered.recipe, factors) if rendered.recipe is not None else (),
        classifier,
        kernels,
        near[0] if near else None,
        near[1] if near else None,
        _proxy(settings, real, size, reporter, notes),
        None,
        notes,
    )
    return replace(report, calibration=_calibrated(report, reporter))


def _read_both(settings: GapSettings, reporter: Reporter, notes: list[str]) -> tuple[PictureSet, PictureSet]:
    """Read both sets and bring them to one size: that of the smaller pictures."""
    sets = []
    for place, key in ((settings.real, settings.group_key), (settings.synth, None)):
        sets.append(
            read_set(
                place, most=settings.pictures, seed=settings.seed, area=USUAL_AREA, reporter=reporter, group_key=key
            )
        )
    for one in sets:
        notes += [f"{one.where}: {line}" for line in one.notes]
    area = min(float(np.median([np.prod(p.pixels.shape[:2]) for p in one.pictures])) for one in sets)
    real, rendered = (one.shrunk(area) for one in sets)
    if rendered.recipe is None:
        notes.append("the set does not say by which recipe it was rendered: no keys are named")
    return real, rendered


def _with_boxes(
    real: PictureSet, rendered: PictureSet, find_boxes: FindBoxes | None, notes: list[str]
) -> tuple[PictureSet, PictureSet, bool]:
    """Return both sets with boxes of one kind, and whether there are any: labels of both, else those of a detector."""
    if real.labelled and rendered.labelled and find_boxes is None:
        return real, rendered, True
    if find_boxes is None:
        notes.append("without boxes on both sides nothing is said of objects: give --detector RUN")
        return real, rendered, False
    notes.append("boxes of the detector on both sides, its misses included")
    found = [one.with_boxes(find_boxes([picture.pixels for picture in one.pictures])) for one in (real, rendered)]
    return found[0], found[1], True


def _compare_features(
    settings: GapSettings,
    reporter: Reporter,
    real: PictureSet,
    rendered: PictureSet,
    crops: Sequence[Crops],
    notes: list[str],
) -> tuple[list[KernelDistance], tuple[Neighbours, Neighbours] | None]:
    """Return kernel distances of pictures and crops, and the nearest pictures; nothing where there are no weights."""
    if settings.weights == "none":
        notes.append("no kernel distance and no nearest pictures: --weights none")
        return [], None
    from detectors.predict.features import open_features

    try:
        network = open_features(settings.weights, device=settings.device)
    except SynthError as error:
        if settings.weights != "packaged" or error.code != "dependency-missing":
            raise
        notes.append("no kernel distance and no nearest pictures: the packaged weights are not installed")
        return [], None
    wholes = [[picture.pixels for picture in one.pictures] for one in (real, rendered)]
    parts = [list(one.pixels) for one in crops]
    total = sum(map(len, (*wholes, *parts)))
    with StepProgress(reporter.console, "describing", total=total, unit="pictures") as progress:
        pictures = [network.describe(images, PICTURE_PX, progress.count) for images in wholes]
        objects = [network.describe(images, OBJECT_PX, progress.count) for images in parts]
    groups = real.groups, rendered.groups
    options = {"resamples": settings.resamples, "seed": settings.seed}
    found = [
        kernel_distance("pictures", pictures[0], groups[0], pictures[1], groups[1], **options),
        _of_crops(objects, groups, crops, options),
    ]
    both = Neighbours(_pairs(pictures[1], pictures[0])), Neighbours(_pairs(pictures[0], pictures[1]))
    return [one for one in found if one is not None], both


def _of_crops(
    objects: Sequence[Floats],
    groups: tuple[NDArray[np.int64], NDArray[np.int64]],
    crops: Sequence[Crops],
    options: dict[str, int],
) -> KernelDistance | None:
    if not all(map(len, crops)):
        return None
    owners = [of_picture[one.owners] for of_picture, one in zip(groups, crops, strict=True)]
    return kernel_distance("crops", objects[0], owners[0], objects[1], owners[1], **options)


def _pairs(queries: Floats, others: Floats) -> list[tuple[int, int, float]]:
    place, cosine = nearest(queries, others)
    return [(number, int(place[number]), float(cosine[number])) for number in np.argsort(cosine)]


def _proxy(
    settings: GapSettings, real: PictureSet, size: tuple[int, int], reporter: Reporter, notes: list[str]
) -> ProxyScore | None:
    if not settings.proxy_steps:
        return None
    if real.labels is None:
        notes.append("no proxy AP: the photographs have no labels")
        return None
    weights = settings.weights
    return proxy_score(
        settings.synth,
        real.labels,
        steps=settings.proxy_steps,
        aspect=size[0] / size[1],
        weights=weights,
        seed=settings.seed,
        device=settings.device,
        reporter=reporter,
    )


def _calibrated(report: GapReport, reporter: Reporter) -> Calibration | None:
    """Return what the table of earlier gaps says, after this one has joined it where a run was given."""
    settings = report.settings
    if settings.calibration is None:
        return None
    if settings.run is None:
        return calibrate(read_rows([settings.calibration]))
    if report.real.labels is None:
        raise SynthError("--run needs labelled photographs", code="option-missing", where=str(settings.real))
    ap, _ = score_run(settings.run, report.real.labels, device=settings.device)
    low, high = (None if np.isnan(end) else end for end in (ap.low, ap.high))
    name = settings.name or str(settings.synth).rstrip("/").rpartition("/")[2]
    row = GapRow(name=name, real=str(settings.real), measures=report.measures(), ap=ap.value, low=low, high=high)
    reporter.say(f"AP {ap.value:.3f} of {settings.run} joins {settings.calibration}")
    return calibrate(add_row(settings.calibration, row))
