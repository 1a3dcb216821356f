"""Intervals, comparisons and the report as a whole."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.bootstrap import bootstrap, resample_weights
from detectors.evaluate.metrics.compare import compare
from detectors.evaluate.metrics.curves import average_precision, rank
from detectors.evaluate.metrics.matching import find_candidates, match
from detectors.evaluate.report import evaluate
from support.evaluate_cases import classes_of, image_set, predictions, random_case


def repeated(truth: ImageSet, found: Predictions, images: np.ndarray) -> tuple[ImageSet, Predictions]:
    """The set with images left out and repeated, the slow way."""
    rows = [np.flatnonzero(found.images == image) for image in images]
    place = np.repeat(np.arange(len(images)), [len(row) for row in rows])
    row = np.concatenate(rows)
    return truth.take(images), Predictions(found.classes, place, found.boxes[row], found.labels[row], found.scores[row])


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_the_same_as_repeated_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = random_case(rng=rng, images=6, boxes=40, extra=30)
    # Scores all different: among equal ones the order of repeated images would matter.
    scores = (np.argsort(np.argsort(-found.scores, kind="stable")) / -1000 + 1).astype(np.float32)
    found = Predictions(found.classes, found.images, found.boxes, found.labels, scores)
    images = np.sort(rng.integers(0, 6, 6))

    def table(truth: ImageSet, found: Predictions, weights: np.ndarray | None) -> dict[int, np.ndarray]:
        data = align(truth, found)
        ranked = rank(data, match(data, find_candidates(data)))
        values = average_precision(ranked, weights)
        return {label: values[:, place] for place, label in enumerate(ranked.labels.tolist())}

    weighted = table(truth, found, np.bincount(images, minlength=6))
    for label, column in table(*repeated(truth, found, images), None).items():
        np.testing.assert_allclose(weighted[label], column, atol=1e-12)


def test_groups_are_drawn_whole() -> None:
    groups = np.array([7, 7, 3, 3, 3, 9], np.int32)
    draws = np.stack(list(resample_weights(groups, rng=np.random.default_rng(0), resamples=200)))
    assert (draws[:, 0] == draws[:, 1]).all() and (draws[:, 2] == draws[:, 4]).all()
    assert (draws[:, [0, 2, 5]].sum(axis=1) == 3).all()
    assert (draws.max(axis=0) == 3).all()


def test_report_of_a_random_set() -> None:
    truth, found = random_case(rng=np.random.default_rng(5), images=12, boxes=60, extra=40)
    report = evaluate(truth, found, threshold=None, rng=np.random.default_rng(0), resamples=50)
    assert report.intervals["AP"].value == pytest.approx(report.coco["AP"], abs=1e-9)
    assert report.intervals["AP50"].value == pytest.approx(report.coco["AP50"], abs=1e-9)
    assert report.intervals["list accuracy"].value == report.checkout.cacc
    assert report.intervals["finding AP50"].value == pytest.approx(report.finding.ap50, abs=1e-12)
    assert all(one.low <= one.high for one in report.intervals.values())
    assert report.operating.chosen_here and report.operating.f1 == report.operating.best_f1
    assert report.groups == 6 and report.boxes + report.ignored == 60
    assert list(report.other_classes) == ["foreign"]
    assert [row.ap for row in report.classes] == sorted(row.ap for row in report.classes)
    again = evaluate(truth, found, threshold=None, rng=np.random.default_rng(0), resamples=50)
    assert report.to_json() == again.to_json()
    assert json.loads(report.to_json())["boxes"] == report.boxes


NOTHING = {
    "no images": image_set(0, [], classes_of(2)),
    "no boxes": image_set(3, [], classes_of(2)),
    "boxes, one group": image_set(2, [(0, 1, [0, 0, 9, 9])], classes_of(2), groups=[4, 4]),
}


@pytest.mark.parametrize("truth", NOTHING.values(), ids=NOTHING.keys())
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_report_of_nothing_found(truth: ImageSet, threshold: float | None) -> None:
    found = predictions([], classes_of(2))
    report = evaluate(truth, found, threshold=threshold, rng=np.random.default_rng(0), resamples=10)
    told = json.loads(report.to_json())
    assert told["coco"]["AP"] == (0 if len(truth.boxes) else None)
    assert told["operating"]["threshold"] == (0.5 if threshold is None else 0.3)
    assert report.intervals["AP"].note is not None and np.isnan(report.intervals["AP"].low)


def test_detections_without_any_box() -> None:
    found = predictions([(0, 0, [0, 0, 5, 5], 0.5), (1, 1, [0, 0, 5, 5], 0.5)], classes_of(2))
    report = evaluate(NOTHING["no boxes"], found, threshold=0.1, rng=np.random.default_rng(0), resamples=10)
    assert report.naming.background == {"sku0": 1, "sku1": 1}
    assert report.checkout.acd == pytest.approx(2 / 3)
    assert {error.name: error.count for error in report.errors}["Bkg"] in (0, 2)


def test_paired_comparison() -> None:
    """The same run against itself differs by nothing; against one without a class, by that class alone."""
    truth, found = random_case(rng=np.random.default_rng(2), images=24, boxes=120, extra=20)
    same = compare(truth, found, found, rng=np.random.default_rng(0), resamples=50)
    assert (same.ap.value, same.ap.low, same.ap.high, same.sure) == (0, 0, 0, False)
    keep = np.array([found.classes.keys[label] != "sku1" for label in found.labels])
    worse = Predictions(found.classes, found.images[keep], found.boxes[keep], found.labels[keep], found.scores[keep])
    lost = compare(truth, found, worse, rng=np.random.default_rng(0), resamples=50, names=("full", "less"))
    assert lost.ap.high < 0 and lost.sure
    assert lost.classes[0].key == "sku1" and lost.classes[0].after == 0
    assert [change.difference for change in lost.classes[1:]] == [0, 0]
    assert lost.ap.value == pytest.approx(lost.classes[0].difference / 3)


def test_an_interval_of_a_mean_is_the_one_of_the_textbook() -> None:
    """List accuracy is a plain mean over images: its interval has the width of the normal approximation."""
    groups = np.arange(400, dtype=np.int32)
    right = groups % 4 == 0

    def share(weights: np.ndarray) -> np.ndarray:
        return np.array([weights[right].sum() / weights.sum()])

    (interval,) = bootstrap(np.array([0.25]), share, groups, rng=np.random.default_rng(0), limits=[(0.0, 1.0)])
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert interval.low == pytest.approx(0.25 - half, abs=0.008)
    assert interval.high == pytest.approx(0.25 + half, abs=0.008)
    assert interval.note is None
