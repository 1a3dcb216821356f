"""Everything that is said about a detector on one image set, as one value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assets.notebook import block, drawing, line, rectangle, table, words
from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, align
from detectors.evaluate.metrics.bootstrap import RESAMPLES, Interval
from detectors.evaluate.metrics.breakdown import BoxGroup, break_down, taken_boxes
from detectors.evaluate.metrics.checkout import Checkout
from detectors.evaluate.metrics.coco_numbers import NAMES
from detectors.evaluate.metrics.confusion import Naming
from detectors.evaluate.metrics.corners import CORNER_METRICS, gather_corners
from detectors.evaluate.metrics.curves import Curve, OperatingPoint
from detectors.evaluate.metrics.evidence import Evidence, gather
from detectors.evaluate.metrics.pixels import MASK_METRICS, gather_pixels
from detectors.evaluate.metrics.table import METRICS, Metric, MetricKind, measure
from detectors.evaluate.metrics.tide import ErrorKind, error_kinds

CURVE_POINTS = 200
# In Jupyter: classes, lowest AP first, and pixels of the curve.
SHOWN_CLASSES, CURVE_PX = 10, 200.0


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
class FindingNumbers:
    """All classes as one: AP and AP50. naming: the share of found boxes that get the right name."""

    ap: float
    ap50: float
    found: int
    naming: float


@dataclass(frozen=True)
class Report:
    """A detector on one image set. Numbers that are not defined are nan; `to_json` writes them as null.

    name: of the image set. metrics: in the order in which they are shown.
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
    metrics: tuple[Metric, ...]
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

    @property
    def coco(self) -> dict[str, float]:
        """The twelve COCO numbers by name."""
        return coco_of(self.metrics)

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals by the names of the metrics that have one."""
        return {metric.name: metric.interval for metric in self.metrics if metric.interval is not None}

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: the metrics with their intervals, precision over recall, the classes by AP."""
        rows = [
            (one.name, one.value, "" if one.interval is None else f"{one.interval.low:.3g} to {one.interval.high:.3g}")
            for one in self.metrics
        ]
        classes = [(one.key, one.name, one.boxes, one.ap, one.found) for one in self.classes[:SHOWN_CLASSES]]
        points = zip(self.curve.recall, self.curve.precision, strict=True)
        curve = line([(CURVE_PX * recall, CURVE_PX * (1 - precision)) for recall, precision in points])
        axes = (rectangle(0, 0, CURVE_PX, CURVE_PX, "#fff"), curve, words(4, CURVE_PX - 4, "precision over recall"))
        return block(
            f"{self.name}: {self.images} images, {self.boxes} boxes, {self.detections} detections",
            drawing(CURVE_PX, CURVE_PX, axes),
            table(("metric", "value", "95 % interval"), rows),
            table(("class", "name", "boxes", "AP", "found"), classes),
        )

    def to_json(self) -> str:
        """The report as JSON: the same report gives the same bytes, what is not defined is null."""
        intervals = {name: asdict(interval) for name, interval in self.intervals.items()}
        return json_text({**asdict(self), "coco": self.coco, "intervals": intervals})


def coco_of(metrics: tuple[Metric, ...]) -> dict[str, float]:
    """The twelve COCO numbers among some metrics."""
    values = {metric.name: metric.value for metric in metrics}
    return {name: values[name] for name in NAMES}


def evaluate(
    truth: ImageSet,
    found: Predictions,
    *,
    threshold: float | None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    metrics: Mapping[str, MetricKind] = METRICS,
) -> Report:
    """Everything about these detections. threshold: the score to believe; None takes the best F1 on this set.

    metrics: METRICS, with others beside them if need be. Raises SynthError where the detections do not belong to the
    images.
    """
    data = align(truth, found)
    evidence = gather(data, threshold)
    finding, naming, operating = evidence.finding, evidence.naming, evidence.operating
    measured = measure(evidence, metrics, data.groups, rng=rng, resamples=resamples)
    pixels = gather_pixels(truth, found, data, operating.threshold)
    if pixels is not None:
        measured += measure(pixels, MASK_METRICS, data.groups, rng=rng, resamples=resamples)
    corners = gather_corners(truth, found, data, evidence.matches, operating.threshold)
    if corners is not None:
        measured += measure(corners, CORNER_METRICS, data.groups, rng=rng, resamples=resamples)
    return Report(
        name=truth.name,
        images=len(truth),
        groups=len(np.unique(truth.groups)),
        boxes=int((~data.ignored).sum()),
        ignored=int(data.ignored.sum()),
        detections=len(found),
        metrics=measured,
        operating=operating,
        finding=FindingNumbers(finding.ap, finding.ap50, naming.found, naming.share),
        checkout=evidence.checkout,
        parts=break_down(data, evidence.candidates, evidence.matches, truth, operating.threshold),
        errors=error_kinds(data, evidence.matches),
        naming=naming,
        curve=_thin(evidence.curve),
        classes=_by_class(evidence),
        other_classes=_others(data),
        unknown_classes=_unknown(data, found),
    )


def _thin(curve: Curve) -> Curve:
    """At most CURVE_POINTS points, evenly along the detections, the ends among them."""
    if len(curve.scores) <= CURVE_POINTS:
        return curve
    rows = np.linspace(0, len(curve.scores) - 1, CURVE_POINTS).round().astype(np.int64)
    return Curve(*(column[rows] for column in vars(curve).values()))


def _by_class(evidence: Evidence) -> tuple[ClassNumbers, ...]:
    data, coco = evidence.data, evidence.by_class
    taken = taken_boxes(data, evidence.matches, evidence.operating.threshold)
    hits = np.bincount(data.truth.label[taken & ~data.ignored], minlength=len(data.classes))[coco.labels]
    columns = (coco.labels, coco.boxes, coco.of_class("AP"), coco.of_class("AP50"), hits / coco.boxes)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    keys, names = data.classes.keys, data.classes.names
    classes = [ClassNumbers(keys[label], names[label], *numbers) for label, *numbers in rows]
    return tuple(sorted(classes, key=lambda row: (row.ap, row.key)))


def _others(data: Aligned) -> dict[str, int]:
    labels, counts = np.unique(data.found.label[data.found.label >= data.known], return_counts=True)
    return {data.classes.keys[label]: int(count) for label, count in zip(labels, counts, strict=True)}


def _unknown(data: Aligned, found: Predictions) -> dict[str, int]:
    known = set(found.classes.keys)
    labels, counts = np.unique(data.truth.label[~data.ignored], return_counts=True)
    pairs = zip((data.classes.keys[label] for label in labels), counts.tolist(), strict=True)
    return {key: count for key, count in pairs if key not in known}


def json_text(content: Any) -> str:
    """Content as JSON in which equal content has equal bytes; numbers that are not defined are null."""
    return json.dumps(_plain(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


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
