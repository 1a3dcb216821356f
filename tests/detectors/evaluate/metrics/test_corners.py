"""Metrics of corners: OKS and PCK by hand, average precision as pycocotools gives it for keypoints."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectors.data.image_set import IGNORED, ImageSet, Predictions
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.corners import (
    CORNER_METRICS,
    SIGMA,
    CornerEvidence,
    gather_corners,
    keypoint_similarity,
)
from detectors.evaluate.metrics.matching import find_candidates, match
from detectors.evaluate.report import evaluate
from detectors.evaluate.results import corner_numbers, read_results, write_results
from support.evaluate_cases import classes_of, image_set, predictions

BOX = [10.0, 20.0, 50.0, 40.0]
CORNERS = np.array([[10 + 5 * k, 20 + 2 * k, 2] for k in range(8)], np.float32)


def truth_of(corners: list[np.ndarray], labels: list[int] | None = None) -> ImageSet:
    """One product in each image, of 40 x 20 px, all of it seen."""
    labels = labels or [0] * len(corners)
    truth = image_set(len(corners), [(image, label, BOX) for image, label in enumerate(labels)], classes_of(2))
    return replace(truth, keypoints=np.stack(corners))


def found_of(corners: list[np.ndarray], scores: list[float] | None = None) -> Predictions:
    scores = scores or [0.9] * len(corners)
    plain = predictions([(image, 0, BOX, score) for image, score in enumerate(scores)], classes_of(2))
    return replace(plain, keypoints=np.stack(corners))


def gathered(truth: ImageSet, found: Predictions) -> CornerEvidence:
    data = align(truth, found)
    evidence = gather_corners(truth, found, data, match(data, find_candidates(data)), 0.5)
    assert evidence is not None
    return evidence


def moved(*pixels: float) -> np.ndarray:
    """The corners, the first of them moved to the right by so many pixels each."""
    points = CORNERS.copy()
    points[: len(pixels), 0] += pixels
    return points


def test_similarity_by_hand() -> None:
    """Area 800, k = 0.1, so 2 s^2 k^2 = 16: corners 2 and 4 px off have exp(-4 / 16) and exp(-1), the others 1."""
    expected = (6 + math.exp(-0.25) + math.exp(-1)) / 8
    assert 2 * SIGMA == 0.1
    points = moved(2, 4)[None].astype(float)
    assert keypoint_similarity(truth_of([CORNERS]), points, np.array([0])) == pytest.approx([expected])
    # Corners that are not labelled do not count, whatever is found there.
    some = CORNERS.copy()
    some[1:] = 0
    assert keypoint_similarity(truth_of([some]), points, np.array([0])) == pytest.approx([math.exp(-0.25)])


def test_pck_by_hand() -> None:
    """A tenth of 40 px: of eight corners 4 px are right and 4.1 are wrong; a product that is missed has none right.

    Image 0: 7 of 8. Image 1: found with too low a score. Image 2: ignored.
    """
    truth = truth_of([CORNERS] * 3, [0, 0, IGNORED])
    evidence = gathered(truth, found_of([moved(4, 4.1), CORNERS, CORNERS], [0.9, 0.4, 0.9]))
    assert evidence.right.tolist() == [7, 0, 0] and evidence.labelled.tolist() == [8, 8, 0]
    kind = CORNER_METRICS["PCK"]
    assert kind.compute(evidence) == pytest.approx(7 / 16)
    assert kind.weighted is not None and kind.weighted(evidence)(np.array([3, 1, 1])) == pytest.approx(21 / 32)


def test_perfect_corners() -> None:
    evidence = gathered(truth_of([CORNERS] * 2), found_of([CORNERS] * 2))
    values = {name: kind.compute(evidence) for name, kind in CORNER_METRICS.items()}
    assert values == pytest.approx(dict.fromkeys(CORNER_METRICS, 1))


def random_case(seed: int) -> tuple[ImageSet, Predictions]:
    """Products with corners about their boxes, some without any, some ignored; detections that differ a little."""
    rng = np.random.default_rng(seed)
    rows, corners, found = [], [], []
    for image in range(6):
        for _ in range(rng.integers(1, 5)):
            x, y, w, h = rng.uniform(0, 80), rng.uniform(0, 80), rng.uniform(10, 60), rng.uniform(10, 60)
            label, box = int(rng.integers(3)), [x, y, x + w, y + h]
            real = np.column_stack([x + w * rng.random(8), y + h * rng.random(8), rng.integers(0, 3, 8)])
            real[real[:, 2] == 0] = 0
            rows.append((image, label, box))
            corners.append(real * (rng.random() < 0.8))
            for _ in range(rng.integers(0, 3)):
                near = np.column_stack([real[:, :2] + rng.normal(0, 0.08 * w, (8, 2)), rng.random(8)])
                named = label if rng.random() < 0.8 else int(rng.integers(3))
                found.append((image, named, box, round(float(rng.random()), 1), near))
    truth = replace(image_set(6, rows, classes_of(3)), keypoints=np.array(corners, np.float32))
    found.sort(key=lambda row: (row[0], -row[3]))
    plain = predictions([row[:4] for row in found], classes_of(3))
    return truth, replace(plain, keypoints=np.array([row[4] for row in found], np.float32).reshape(-1, 8, 3))


def reference(truth: ImageSet, found: Predictions) -> tuple[float, float]:
    """AP and AP50 of keypoints by pycocotools, with our sigmas and as many detections as ours."""
    boxes = truth.boxes.astype(float)
    annotations = [
        {
            "id": number + 1,
            "image_id": int(image) + 1,
            "category_id": int(truth.labels[number]) + 1,
            "bbox": [*boxes[number, :2], *(boxes[number, 2:] - boxes[number, :2])],
            "area": float(truth.areas[number]),
            "iscrowd": 0,
            "keypoints": truth.keypoints[number].ravel().astype(float).tolist(),  # type: ignore[index]
            "num_keypoints": int((truth.keypoints[number, :, 2] > 0).sum()),  # type: ignore[index]
        }
        for number, image in enumerate(truth.image_of_box())
    ]
    rows = [
        {
            "image_id": int(found.images[place]) + 1,
            "category_id": int(found.labels[place]) + 1,
            "keypoints": found.keypoints[place].ravel().astype(float).tolist(),  # type: ignore[index]
            "score": float(found.scores[place]),
        }
        for place in range(len(found))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image + 1} for image in range(len(truth))],
            "annotations": annotations,
            "categories": [{"id": label + 1, "name": str(label)} for label in range(3)],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(rows), "keypoints")
        run.params.kpt_oks_sigmas = np.full(8, SIGMA)
        run.params.maxDets = [100]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, 0]  # thresholds, recalls, classes; all sizes
    return tuple(float(part[part > -1].mean()) for part in (precision, precision[:1]))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    truth, found = random_case(seed)
    evidence = gathered(truth, found)
    got = [CORNER_METRICS[name].compute(evidence) for name in ("OKS-AP", "OKS-AP50")]
    assert got == pytest.approx(reference(truth, found), abs=1e-9)
    for name in ("OKS-AP", "OKS-AP50"):
        kind = CORNER_METRICS[name]
        assert kind.weighted is not None
        assert kind.weighted(evidence)(np.ones(6, np.int64)) == pytest.approx(kind.compute(evidence), abs=1e-12)


def test_reports_have_them_where_there_are_corners() -> None:
    truth, found = random_case(0)
    report = evaluate(truth, found, threshold=0.5, rng=np.random.default_rng(0), resamples=20)
    written = {metric["name"]: metric for metric in json.loads(report.to_json())["metrics"]}
    assert set(CORNER_METRICS) <= set(written) and 0 < written["PCK"]["interval"]["value"] < 1
    plain = evaluate(truth, replace(found, keypoints=None), threshold=0.5, rng=np.random.default_rng(0), resamples=20)
    assert not set(CORNER_METRICS) & {metric.name for metric in plain.metrics}


def test_results_come_back_with_their_corners(tmp_path: Path) -> None:
    truth, found = random_case(1)
    ids = {key: label + 1 for label, key in enumerate(truth.classes.keys)}
    write_results(tmp_path / "found.json", found, truth, ids)
    again = read_results(tmp_path / "found.json", truth, ids)
    assert again.masks is None and again.keypoints is not None
    order = np.lexsort((-found.scores, found.images))
    assert again.keypoints[..., :2] == pytest.approx(found.keypoints[order][..., :2], abs=0.006)  # type: ignore[index]
    rows = json.loads((tmp_path / "found.json").read_text())
    rows[0]["keypoints"] = rows[0]["keypoints"][:-1]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    assert read_results(tmp_path / "found.json", truth, ids).keypoints is None


def test_results_have_them_as_coco_has_them() -> None:
    points = np.array([[1.234, 5.678, 0.98761]] * 8, np.float32)
    assert corner_numbers(points)[:4] == [1.23, 5.68, 0.9876, 1.23] and len(corner_numbers(points)) == 24
