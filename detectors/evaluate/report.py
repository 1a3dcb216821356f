"""Everything that is said about a detector on one image set, as one value."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assets.errors import SynthError
from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, align
from detectors.evaluate.metrics.bootstrap import RESAMPLES, Interval, head_intervals
from detectors.evaluate.metrics.breakdown import BoxGroup, break_down, taken_boxes
from detectors.evaluate.metrics.checkout import Checkout, checkout, count_products
from detectors.evaluate.metrics.coco_numbers import CocoRun, run_coco
from detectors.evaluate.metrics.confusion import Naming, find_products, judge, name_products
from detectors.evaluate.metrics.curves import Curve, pooled_curve, rank
from detectors.evaluate.metrics.matching import Matches, find_candidates, match
from detectors.evaluate.metrics.tide import ErrorKind, error_kinds

# Where no score is any better than another (nothing found): the usual middle.
FALLBACK_THRESHOLD = 0.5
CURVE_POINTS = 200


@dataclass(frozen=True)
class ClassNumbers:
    """One class that occurs in the truth. found: the share of its boxes found and named above the threshold."""

    key: str
    name: str
    boxes: int
    ap: float
    ap50: float
    found: float


@dataclass(frozen=True)
class OperatingPoint:
    """The score above which detections are believed, and what comes of it at an overlap of 0.5.

    chosen_here: the threshold is the best for this very set, which flatters it a little.
    best_threshold, best_f1: the best there is on this set.
    """

    threshold: float
    chosen_here: bool
    precision: float
    recall: float
    f1: float
    best_threshold: float
    best_f1: float


@dataclass(frozen=True)
class FindingNumbers:
    """All classes as one: AP and AP50. naming: the share of found boxes that get the right name."""

    ap: float
    ap50: float
    found: int
    naming: float


@dataclass(frozen=True)
class Report:
    """A detector on one image set. Numbers that are not defined are nan; `to_json` writes them as null.

    name: of the image set. coco: the twelve COCO numbers. intervals: the head numbers with 95 % intervals.
    curve: precision and recall of all classes together at an overlap of 0.5, at up to 200 scores.
    parts: by size, relative size, visibility, truncation. classes: lowest AP first.
    other_classes: detections of classes that the truth does not know, by key. unknown_classes: boxes of classes that
    the detector does not know, by key.
    """

    name: str
    images: int
    groups: int
    boxes: int
    ignored: int
    detections: int
    coco: dict[str, float]
    intervals: dict[str, Interval]
    operating: OperatingPoint
    finding: FindingNumbers
    checkout: Checkout
    parts: dict[str, tuple[BoxGroup, ...]]
    errors: tuple[ErrorKind, ...]
    naming: Naming
    curve: Curve
    classes: tuple[ClassNumbers, ...]
    other_classes: dict[str, int]
    unknown_classes: dict[str, int]

    def to_json(self) -> str:
        """The report as JSON: the same report gives the same bytes, what is not defined is null."""
        return json.dumps(_plain(asdict(self)), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def evaluate(
    truth: ImageSet,
    found: Predictions,
    *,
    threshold: float | None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Report:
    """Everything about these detections. threshold: the score to believe; None takes the best F1 on this set.

    Raises SynthError where the detections do not belong to the images.
    """
    data = align(truth, found)
    candidates = find_candidates(data)
    matches = match(data, candidates)
    ranked = rank(data, matches)
    curve = pooled_curve(ranked)
    operating = _operate(curve, threshold)
    finding = find_products(data)
    naming = name_products(data, judge(data, finding, operating.threshold))
    counts = count_products(data, matches, operating.threshold)
    coco = run_coco(data, candidates)
    return Report(
        name=truth.name,
        images=len(truth),
        groups=len(np.unique(truth.groups)),
        boxes=int((~data.ignored).sum()),
        ignored=int(data.ignored.sum()),
        detections=len(found),
        coco=coco.numbers(),
        intervals=head_intervals(data, ranked, finding, counts, rng=rng, resamples=resamples),
        operating=operating,
        finding=FindingNumbers(finding.ap, finding.ap50, naming.found, naming.share),
        checkout=checkout(data, counts),
        parts=break_down(data, candidates, matches, truth, operating.threshold),
        errors=error_kinds(data, matches),
        naming=naming,
        curve=_thin(curve),
        classes=_by_class(data, coco, matches, operating.threshold),
        other_classes=_others(data),
        unknown_classes=_unknown(data, found),
    )


def evaluate_sources(
    cases: Sequence[tuple[ImageSet, Predictions]],
    *,
    threshold: float | None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> dict[str, Report]:
    """One report per image set, by its name. Raises SynthError where two sets have the same name."""
    names = [truth.name for truth, _ in cases]
    if len(set(names)) < len(names):
        raise SynthError(
            "two image sets have the same name", code="name-duplicate", found=", ".join(names), hint="give each its own"
        )
    return {
        truth.name: evaluate(truth, found, threshold=threshold, rng=rng, resamples=resamples) for truth, found in cases
    }


def _operate(curve: Curve, threshold: float | None) -> OperatingPoint:
    best, best_f1 = curve.best()
    chosen = threshold if threshold is not None else FALLBACK_THRESHOLD if math.isnan(best) else best
    # The last score that is still believed; nothing is where every score is lower.
    place = int(np.searchsorted(-curve.scores, -chosen, "right")) - 1
    values = (curve.precision, curve.recall, curve.f1)
    precision, recall, f1 = (float(v[place]) for v in values) if place >= 0 else (math.nan, 0.0, 0.0)
    return OperatingPoint(float(chosen), threshold is None, precision, recall, f1, best, best_f1)


def _thin(curve: Curve) -> Curve:
    """At most CURVE_POINTS points, evenly along the detections, the ends among them."""
    if len(curve.scores) <= CURVE_POINTS:
        return curve
    rows = np.linspace(0, len(curve.scores) - 1, CURVE_POINTS).round().astype(np.int64)
    return Curve(*(column[rows] for column in vars(curve).values()))


def _by_class(data: Aligned, coco: CocoRun, matches: Matches, threshold: float) -> tuple[ClassNumbers, ...]:
    taken, counted = taken_boxes(data, matches, threshold), ~data.ignored
    size = len(data.classes)
    hits = np.bincount(data.truth.label[taken & counted], minlength=size)
    boxes = np.bincount(data.truth.label[counted], minlength=size)
    share = hits / np.maximum(boxes, 1)
    ap, ap50 = coco.of_class("AP"), coco.of_class("AP50")
    keys, names = data.classes.keys, data.classes.names
    rows = [
        ClassNumbers(keys[label], names[label], int(boxes[label]), ap[label], ap50[label], float(share[label]))
        for label in coco.labels.tolist()
    ]
    return tuple(sorted(rows, key=lambda row: (row.ap, row.key)))


def _others(data: Aligned) -> dict[str, int]:
    labels, counts = np.unique(data.found.label[data.found.label >= data.known], return_counts=True)
    return {data.classes.keys[label]: int(count) for label, count in zip(labels, counts, strict=True)}


def _unknown(data: Aligned, found: Predictions) -> dict[str, int]:
    known = set(found.classes.keys)
    labels, counts = np.unique(data.truth.label[~data.ignored], return_counts=True)
    pairs = zip((data.classes.keys[label] for label in labels), counts.tolist(), strict=True)
    return {key: count for key, count in pairs if key not in known}


def _plain(value: Any) -> Any:
    """Values that JSON knows; floats at nine digits, so that the last bit of a sum does not change a file."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value
