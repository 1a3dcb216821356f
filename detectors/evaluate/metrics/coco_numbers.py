"""The twelve COCO box numbers, with memory that does not grow with the number of classes.

hotcoco computes them where it is installed, pycocotools (about a hundred times slower) elsewhere: the same numbers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, Bools, Floats, Ints, align

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
# Square pixels; the borders of small, medium and large, with COCO's own end.
SIZES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
# The arrays of one evaluation take 0.2 MB a class; 170,000 classes at once would take 33 GB. Over 64 the memory is new
# each time, and clearing it takes four times as long as the evaluation (measured with 17,000 classes).
CLASSES_AT_ONCE = 32


@dataclass(frozen=True)
class CocoRun:
    """The COCO numbers of every class that occurs in the truth.

    labels: (K,) int64. boxes: (K,) int64, how many each has. values: (12, K) in the order of NAMES, nan where a class
    has no box of that size.
    """

    labels: Ints
    boxes: Ints
    values: Floats

    def numbers(self) -> dict[str, float]:
        """The twelve numbers: means over the classes in which each is defined, nan where there is none."""
        return {name: _mean(row) for name, row in zip(NAMES, self.values, strict=True)}

    def of_class(self, name: str) -> dict[int, float]:
        """One of the twelve numbers by label."""
        return dict(zip(self.labels.tolist(), self.values[NAMES.index(name)].tolist(), strict=True))


@dataclass(frozen=True)
class Columns:
    """Boxes for COCO's tools. image, category: (N,) int64. xywh: (N, 4). area, score: (N,). crowd: (N,) bool."""

    image: Ints
    category: Ints
    xywh: Floats
    area: Floats
    crowd: Bools
    score: Floats

    def between(self, first: int, last: int) -> Columns:
        """The rows with first <= category < last, of columns sorted by category."""
        begin, end = np.searchsorted(self.category, [first, last])
        return Columns(*(column[begin:end] for column in vars(self).values()))


Engine = Callable[[Columns, Columns], tuple[Floats, Floats]]


def coco_numbers(truth: ImageSet, found: Predictions) -> dict[str, float]:
    """AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl as pycocotools gives them for boxes.

    nan where a number is not defined (there is no box of that size). Ignored boxes are crowds of their class, or of
    every class where their class is unknown. Sizes are those of ImageSet.areas.
    Source: Lin et al. 2014, "Microsoft COCO"; cocodataset.org/#detection-eval.
    """
    return run_coco(align(truth, found)).numbers()


def run_coco(data: Aligned, engine: Engine | None = None) -> CocoRun:
    """The twelve numbers by class. engine: what evaluates some classes, by default the fastest one installed."""
    engine = engine or (with_hotcoco if importlib.util.find_spec("hotcoco") else with_pycocotools)
    labels = data.counted()
    truth, found = _truth_columns(data, labels), _found_columns(data, labels)
    values = _values_of_nothing(truth, len(labels))
    for first in range(0, len(labels), CLASSES_AT_ONCE):
        last = min(first + CLASSES_AT_ONCE, len(labels))
        some_found = found.between(first, last)
        if len(some_found.image):
            some_truth = truth.between(first, last)
            present = np.unique(some_found.category)
            kept = np.isin(some_truth.category, present)
            values[:, present] = _summarize(*engine(Columns(*(c[kept] for c in vars(some_truth).values())), some_found))
    counted = truth.category[~truth.crowd]
    return CocoRun(labels, np.bincount(counted, minlength=len(labels)), values)


def with_hotcoco(truth: Columns, found: Columns) -> tuple[Floats, Floats]:
    """Precision (10, 101, K, 4, 3) and recall (10, K, 4, 3) of the K classes in `truth`, -1 where not defined."""
    from hotcoco import COCO, COCOeval

    images, categories = _listed(truth, found)
    known = COCO.from_arrays(
        images, categories, truth.image, truth.category, truth.xywh, area=truth.area, iscrowd=truth.crowd
    )
    answer = known.load_res(np.column_stack([found.image, found.xywh, found.score, found.category]))
    evaluation = COCOeval(known, answer, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    result: Any = evaluation.eval
    return result["precision"], result["recall"]


def with_pycocotools(truth: Columns, found: Columns) -> tuple[Floats, Floats]:
    """The same from pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, categories = _listed(truth, found)
    rows = zip(truth.image, truth.category, truth.xywh.tolist(), truth.area, truth.crowd, strict=True)
    annotations = [
        # Its matching takes annotation 0 for no match, so ids begin at 1.
        {"id": n, "image_id": int(i), "category_id": int(c), "bbox": box, "area": float(a), "iscrowd": int(crowd)}
        for n, (i, c, box, a, crowd) in enumerate(rows, 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {"info": {}, "images": images, "categories": categories, "annotations": annotations}
        known.createIndex()
        answer = known.loadRes(np.column_stack([found.image, found.xywh, found.score, found.category]))
        evaluation = COCOeval(known, answer, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def xywh_from_xyxy(boxes: Floats) -> Floats:
    """(N, 4) x, y, width, height, as COCO writes boxes."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _truth_columns(data: Aligned, labels: Ints) -> Columns:
    place, rows = _places(labels, data.truth.label)
    nameless = np.flatnonzero(data.truth.label < 0)
    if len(nameless):
        extra_rows, extra_place = _in_every_class(data, labels, nameless)
        rows, place = np.concatenate([rows, extra_rows]), np.concatenate([place, extra_place])
    order = np.lexsort((rows, place))
    rows, place = rows[order], place[order]
    boxes = data.truth.take(rows)
    return Columns(boxes.image, place, xywh_from_xyxy(boxes.xyxy), boxes.area, data.ignored[rows], np.zeros(len(rows)))


def _found_columns(data: Aligned, labels: Ints) -> Columns:
    place, rows = _places(labels, data.found.label)
    order = np.argsort(place, kind="stable")
    rows, place = rows[order], place[order]
    boxes = data.found.take(rows)
    crowd = np.zeros(len(rows), bool)
    return Columns(boxes.image, place, xywh_from_xyxy(boxes.xyxy), boxes.area, crowd, data.scores[rows])


def _places(labels: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Place in `labels` of every wanted label that is there, and its row."""
    place = np.searchsorted(labels, wanted)
    rows = np.flatnonzero(np.append(labels, -1)[place] == np.where(wanted < 0, -2, wanted))
    return place[rows], rows


def _in_every_class(data: Aligned, labels: Ints, nameless: Ints) -> tuple[Ints, Ints]:
    """Rows and classes of boxes of unknown class: in every class that was found in their image.

    In other classes they would change nothing: a crowd is no box to be found.
    """
    place, rows = _places(labels, data.found.label)
    pairs = np.unique(np.stack([data.found.image[rows], place]), axis=1)
    begin = np.searchsorted(pairs[0], data.truth.image[nameless], "left")
    count = np.searchsorted(pairs[0], data.truth.image[nameless], "right") - begin
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(nameless, count), pairs[1, np.repeat(begin, count) + within]


def _values_of_nothing(truth: Columns, classes: int) -> Floats:
    """(12, K) numbers of a detector that finds nothing: 0 where there is a box of that size, else nan."""
    values = np.full((12, classes), np.nan)
    kept = ~truth.crowd
    for (low, high), rows in zip(SIZES, ((0, 1, 2, 6, 7, 8), (3, 9), (4, 10), (5, 11)), strict=True):
        inside = truth.category[kept & (truth.area >= low) & (truth.area <= high)]
        values[np.ix_(rows, np.unique(inside))] = 0
    return values


def _summarize(precision: Floats, recall: Floats) -> Floats:
    """(12, K) from the tables of an evaluation."""
    mean = precision[..., 2].mean(axis=1)
    rows = [mean[:, :, 0].mean(axis=0), mean[0, :, 0], mean[5, :, 0], *mean[:, :, 1:].mean(axis=0).T]
    rows += [*recall[:, :, 0, :].mean(axis=0).T, *recall[:, :, 1:, 2].mean(axis=0).T]
    values = np.stack(rows)
    # Not defined is -1 at every threshold and recall, so its mean is -1 as well.
    return np.where(values < 0, np.nan, values)


def _listed(truth: Columns, found: Columns) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    images = np.union1d(truth.image, found.image).tolist()
    categories = np.unique(truth.category).tolist()
    return [{"id": image} for image in images], [{"id": label, "name": str(label)} for label in categories]


def _mean(row: Floats) -> float:
    return float(np.nanmean(row)) if not np.isnan(row).all() else float("nan")
