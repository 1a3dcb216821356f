"""Metrics of masks on two images of 4 x 2 pixels, whose confusion matrix and segments are counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as codec

from detectors.data.image_set import IGNORED, ImageSet, Packed, Predictions
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.pixels import MASK_METRICS, PixelEvidence, gather_pixels
from detectors.evaluate.report import evaluate
from detectors.evaluate.results import read_results, write_results
from support.errors import raises
from support.evaluate_cases import classes_of, image_set, predictions

CLASSES = classes_of(2)


def rle(rows: list[str]) -> bytes:
    return codec.encode(np.asfortranarray([[one == "#" for one in row] for row in rows], np.uint8))["counts"]


def truth_of(
    masks: list[tuple[int, int, list[str]]], *, images: int = 2, true_labels: list[int] | None = None
) -> ImageSet:
    """image, label and mask of each product; all boxes are the whole image."""
    rows = [(image, label, [0.0, 0, 4, 2]) for image, label, _ in masks]
    truth = image_set(images, rows, CLASSES, size=(4, 2), true_labels=true_labels)
    return replace(truth, masks=Packed.of([rle(mask) for _, _, mask in masks]))


def found_of(masks: list[tuple[int, int, list[str], float]], *, pixelwise: bool = False) -> Predictions:
    masks = sorted(masks, key=lambda row: (row[0], -row[3]))
    plain = predictions([(image, label, [0.0, 0, 4, 2], score) for image, label, _, score in masks], CLASSES)
    return replace(plain, masks=Packed.of([rle(mask) for _, _, mask, _ in masks]), pixelwise=pixelwise)


def gathered(truth: ImageSet, found: Predictions, threshold: float = 0.5) -> PixelEvidence:
    evidence = gather_pixels(truth, found, align(truth, found), threshold)
    assert evidence is not None
    return evidence


def values(evidence: PixelEvidence) -> dict[str, float]:
    return {name: kind.compute(evidence) for name, kind in MASK_METRICS.items()}


# Image 0: class 0 has 4 pixels, of which 3 are found and one is given to class 1. Image 1: class 1 has 2, found with
# one of background, which leaves 5 of its 6.
TRUTH = truth_of([(0, 0, ["##..", "##.."]), (1, 1, ["#...", "#..."])])
FOUND = found_of([(0, 0, ["##..", "#..."], 0.9), (0, 1, ["....", ".#.."], 0.8), (1, 1, ["##..", "#..."], 0.7)])


def test_the_confusion_matrix_by_hand() -> None:
    """Rows of the truth: background 9 right, 1 as class 1 of 10; class 0 3 and 1 as class 1; class 1 2 of 2."""
    evidence = gathered(TRUTH, FOUND)
    matrix = np.zeros((3, 3), int)
    for _, true, found, count in evidence.pixels:
        matrix[true, found] += count
    assert matrix.tolist() == [[9, 0, 1], [0, 3, 1], [0, 0, 2]]
    got = values(evidence)
    assert got["pixel accuracy"] == pytest.approx(14 / 16)
    assert got["mean accuracy"] == pytest.approx((9 / 10 + 3 / 4 + 1) / 3)
    # 9 / (10 + 9 - 9), 3 / (4 + 3 - 3), 2 / (2 + 4 - 2).
    assert got["mIoU"] == pytest.approx((0.9 + 0.75 + 0.5) / 3)
    assert got["weighted IoU"] == pytest.approx((10 * 0.9 + 4 * 0.75 + 2 * 0.5) / 16)


def test_panoptic_quality_by_hand() -> None:
    """Class 0: one pair of overlap 3 / 4. Class 1: one pair of 2 / 3 and one that nothing matches: PQ 2/3 / 1.5."""
    got = values(gathered(TRUTH, FOUND))
    assert got["PQ"] == pytest.approx((0.75 + (2 / 3) / 1.5) / 2)
    assert got["SQ"] == pytest.approx((0.75 + 2 / 3) / 2)
    assert got["RQ"] == pytest.approx((1 + 1 / 1.5) / 2)


def test_an_overlap_of_half_is_no_match() -> None:
    """One missed and one extra of the same class: TP 0, FP 1, FN 1."""
    got = values(gathered(truth_of([(0, 0, ["##..", "...."])]), found_of([(0, 0, ["#...", "...."], 0.9)])))
    assert (got["PQ"], got["SQ"], got["RQ"]) == (0, 0, 0)


def test_higher_scores_lie_on_top_and_little_that_is_left_is_dropped() -> None:
    """The second mask keeps 2 of 4 pixels and matches half of nothing; the third keeps 1 of 4 and is dropped."""
    truth = truth_of([(0, 0, ["##..", "##.."])], images=1)
    top = (0, 0, ["##..", "##.."], 0.9)
    half, less = (0, 1, [".##.", ".##."], 0.8), (0, 1, [".###", "...."], 0.7)
    with_half = gathered(truth, found_of([top, half]))
    assert with_half.segments[:, 1:].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert gathered(truth, found_of([top, less])).segments[:, 1:].tolist() == [[0, 1, 1], [1, 0, 0]]
    least = (0, 1, ["###.", "...."], 0.7)
    assert gathered(truth, found_of([top, least])).segments[:, 1:].tolist() == [[0, 1, 1]]


def test_ignored_regions_count_for_nothing() -> None:
    """An ignored product on the right: what is found there is neither right nor wrong, and no pixel counts."""
    truth = truth_of([(0, 0, ["#...", "#..."]), (0, IGNORED, ["..##", "..##"])], images=1, true_labels=[0, 1])
    found = found_of([(0, 0, ["#...", "#..."], 0.9), (0, 1, ["..##", "...."], 0.8)])
    evidence = gathered(truth, found)
    assert evidence.pixels[:, 3].sum() == 4 and evidence.segments[:, 1:].tolist() == [[0, 1, 1]]
    assert values(evidence) == pytest.approx(dict.fromkeys(MASK_METRICS, 1))


def test_what_counts_depends_on_the_score_unless_all_of_it_says_what_pixels_are() -> None:
    masks = [(0, 0, ["##..", "##.."], 0.3)]
    assert values(gathered(TRUTH, found_of(masks)))["RQ"] == 0
    assert values(gathered(TRUTH, found_of(masks, pixelwise=True)))["RQ"] == 0.5
    assert values(gathered(TRUTH, found_of([])))["mIoU"] == pytest.approx(10 / 16 / 3)


def test_weights_of_images() -> None:
    """Weighted twice the second image counts as if it were there twice; weights of one change nothing."""
    evidence = gathered(TRUTH, FOUND)
    twice = truth_of([(0, 0, ["##..", "##.."]), (1, 1, ["#...", "#..."]), (2, 1, ["#...", "#..."])], images=3)
    again = [(2, 1, ["##..", "#..."], 0.7)]
    rows = [(0, 0, ["##..", "#..."], 0.9), (0, 1, ["....", ".#.."], 0.8), (1, 1, ["##..", "#..."], 0.7), *again]
    more = gathered(twice, found_of(rows))
    for name, kind in MASK_METRICS.items():
        assert kind.weighted is not None
        assert kind.weighted(evidence)(np.array([1, 1])) == pytest.approx(kind.compute(evidence)), name
        assert kind.weighted(evidence)(np.array([1, 2])) == pytest.approx(kind.compute(more)), name


def test_reports_have_them_where_there_are_masks() -> None:
    rng = np.random.default_rng(0)
    report = evaluate(TRUTH, FOUND, threshold=0.5, rng=rng, resamples=20)
    written = {metric["name"]: metric for metric in json.loads(report.to_json())["metrics"]}
    assert set(MASK_METRICS) <= set(written) and written["mIoU"]["interval"]["value"] == pytest.approx(2.15 / 3)
    plain = evaluate(TRUTH, replace(FOUND, masks=None), threshold=0.5, rng=rng, resamples=20)
    assert not set(MASK_METRICS) & {metric.name for metric in plain.metrics}
    without = replace(TRUTH, masks=Packed.of([b"", b""]))
    assert not set(MASK_METRICS) & {metric.name for metric in evaluate(without, FOUND, threshold=0.5, rng=rng).metrics}


def test_results_come_back_with_their_masks(tmp_path: Path) -> None:
    ids = {key: label + 1 for label, key in enumerate(CLASSES.keys)}
    write_results(tmp_path / "found.json", FOUND, TRUTH, ids)
    again = read_results(tmp_path / "found.json", TRUTH, ids)
    assert values(gathered(TRUTH, again)) == values(gathered(TRUTH, FOUND))
    rows = json.loads((tmp_path / "found.json").read_text())
    rows[1]["segmentation"]["counts"] = "0"
    (tmp_path / "found.json").write_text(json.dumps(rows))
    with raises("predictions-mismatch", problems="do not fill the image"):
        read_results(tmp_path / "found.json", TRUTH, ids)
