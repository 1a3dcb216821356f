"""Cases small enough to work out on paper: curves, finding and naming, counts, kinds of mistakes, breakdowns."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.data.image_set import IGNORED, Predictions
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.breakdown import break_down
from detectors.evaluate.metrics.checkout import checkout, count_products
from detectors.evaluate.metrics.confusion import Confusion, find_products, judge, name_products, suppress
from detectors.evaluate.metrics.curves import average_precision, pooled_curve, rank, shorten
from detectors.evaluate.metrics.matching import find_candidates, match
from detectors.evaluate.metrics.tide import KINDS, error_kinds
from detectors.evaluate.results import xywh_from_xyxy
from support.evaluate_cases import classes_of, image_set, predictions, random_case

TWO = classes_of(2)
HERE, THERE, FAR = [0.0, 0.0, 40.0, 40.0], [100.0, 100.0, 140.0, 140.0], [150.0, 0.0, 190.0, 40.0]
# Overlap with HERE: 40 * 24 / (40 * 56) = 0.43.
BESIDE = [0.0, 16.0, 40.0, 56.0]


def kinds(truth_rows: list, found_rows: list) -> dict[str, tuple[int, float]]:
    data = align(image_set(1, truth_rows, TWO), predictions(found_rows, TWO))
    errors = error_kinds(data, match(data, find_candidates(data)))
    return {error.name: (error.count, round(error.gain, 6)) for error in errors if error.count}


def test_kinds_of_mistakes_on_paper() -> None:
    one, both = [(0, 0, HERE)], [(0, 0, HERE), (0, 1, THERE)]
    assert kinds(one, [(0, 0, HERE, 0.9)]) == {}
    assert kinds(one, [(0, 1, HERE, 0.9)]) == {"Cls": (1, 1.0)}
    assert kinds(one, [(0, 0, BESIDE, 0.9)]) == {"Loc": (1, 1.0)}
    # The class is wrong and the place too: mending takes it away and the box is still missed.
    assert kinds(one, [(0, 1, BESIDE, 0.9)]) == {"Both": (1, 0.0), "Miss": (1, 0.0)}
    # A second detection before the right one of the other class costs nothing; behind a better one neither.
    assert kinds(one, [(0, 0, HERE, 0.9), (0, 0, HERE, 0.8)]) == {"Dupe": (1, 0.0)}
    # Half the precision at every recall: one wrong before the right one.
    assert kinds(one, [(0, 0, FAR, 0.9), (0, 0, HERE, 0.8)]) == {"Bkg": (1, 0.5)}
    assert kinds(both, [(0, 0, HERE, 0.9)]) == {"Miss": (1, 0.5)}


@pytest.mark.parametrize("seed", range(6))
def test_kinds_of_mistakes_agree_with_hotcoco(seed: int) -> None:
    from hotcoco import COCO, COCOeval

    truth, found = random_case(rng=np.random.default_rng(seed), images=6, boxes=40, extra=40, ignored=0.0)
    known = np.array([found.classes.keys[label] != "foreign" for label in found.labels])
    # Scores all different: where a mended detection goes among equal ones is nobody's rule.
    scores = (found.scores + np.arange(len(found)) / -5000).astype(np.float32)
    columns = (found.images, found.boxes, found.labels, scores)
    found = Predictions(found.classes, *(column[known] for column in columns))
    data = align(truth, found)
    errors = error_kinds(data, match(data, find_candidates(data)))
    t, f = data.truth, data.found
    images = [{"id": image} for image in range(6)]
    categories = [{"id": label, "name": str(label)} for label in range(3)]
    coco = COCO.from_arrays(images, categories, t.image, t.label, xywh_from_xyxy(t.xyxy), area=t.area)
    results = np.column_stack([f.image, xywh_from_xyxy(f.xyxy), data.scores, f.label])
    evaluation = COCOeval(coco, coco.load_res(results), "bbox")
    evaluation.evaluate()
    expected = evaluation.tide_errors()
    assert {error.name: error.count for error in errors} == expected["counts"]
    for error in errors:
        assert error.gain == pytest.approx(expected["delta_ap"][error.name], abs=1e-9)
    assert [error.name for error in errors] == list(KINDS)


def test_finding_apart_from_naming() -> None:
    """Everything is found; one of three is called by the wrong name, although the right one is among the guesses."""
    truth = image_set(2, [(0, 0, HERE), (0, 1, THERE), (1, 1, HERE)], TWO)
    rows = [(0, 0, HERE, 0.9), (0, 0, THERE, 0.8), (0, 1, THERE, 0.7), (1, 1, HERE, 0.6), (1, 0, FAR, 0.5)]
    data = align(truth, predictions([*rows, (1, 0, THERE, 0.1)], TWO))
    finding = find_products(data)
    assert len(finding.kept) == 5  # the second guess at one place is gone
    assert finding.ap50 == pytest.approx(1)
    naming = name_products(data, judge(data, finding, 0.4))
    assert (naming.found, naming.right, naming.share) == (3, 2, pytest.approx(2 / 3))
    assert naming.confusions == (Confusion("sku1", "sku0", 1),)
    assert naming.background == {"sku0": 1}
    assert naming.missed == {}
    assert name_products(data, judge(data, finding, 0.85)).missed == {"sku1": 2}


def test_nms_against_its_slow_twin() -> None:
    _, found = random_case(rng=np.random.default_rng(3), images=3, boxes=60, extra=60)
    truth = image_set(3, [], classes_of(3))
    data = align(truth, found)
    kept: list[int] = []
    for row in np.argsort(-data.scores, kind="stable"):
        x0, y0, x1, y1 = data.found.xyxy[row]
        for other in kept:
            u0, v0, u1, v1 = data.found.xyxy[other]
            shared = max(min(x1, u1) - max(x0, u0), 0) * max(min(y1, v1) - max(y0, v0), 0)
            same = data.found.image[row] == data.found.image[other]
            if same and shared / (data.found.area[row] + data.found.area[other] - shared) > 0.7:
                break
        else:
            kept.append(int(row))
    np.testing.assert_array_equal(suppress(data.found, data.scores), sorted(kept))


def test_pooled_curve_and_best_threshold() -> None:
    truth = image_set(1, [(0, 0, HERE), (0, 1, THERE)], TWO)
    rows = [(0, 0, HERE, 0.9), (0, 0, FAR, 0.8), (0, 1, THERE, 0.8), (0, 1, FAR, 0.2)]
    data = align(truth, predictions(rows, TWO))
    ranked = rank(data, match(data, find_candidates(data)))
    curve = pooled_curve(ranked)
    # The two of score 0.8 stand or fall together.
    np.testing.assert_allclose(curve.scores, [0.9, 0.8, 0.2])
    np.testing.assert_allclose(curve.precision, [1, 2 / 3, 0.5])
    np.testing.assert_allclose(curve.recall, [0.5, 1, 1])
    np.testing.assert_allclose(curve.f1, [2 / 3, 0.8, 2 / 3])
    assert curve.best() == (pytest.approx(0.8), pytest.approx(0.8))


def test_shortening_changes_no_average_precision() -> None:
    for seed in range(10):
        truth, found = random_case(rng=np.random.default_rng(seed), boxes=30, extra=40)
        data = align(truth, found)
        ranked = rank(data, match(data, find_candidates(data)))
        weights = np.random.default_rng(seed).integers(0, 3, len(truth))
        for weight in (None, weights):
            expected = average_precision(ranked, weight)
            np.testing.assert_allclose(average_precision(shorten(ranked), weight), expected, atol=1e-12)


def test_counting_as_in_the_rpc_benchmark() -> None:
    """Image 0 is right; in image 1 one of two sku0 is missing and a sku1 too many; image 2 is empty and stays so."""
    rows = [(0, 0, HERE), (1, 0, HERE), (1, 0, THERE), (1, 1, FAR), (2, IGNORED, HERE)]
    truth = image_set(3, rows, TWO, true_labels=[0, 0, 0, 1, 1])
    seen = [(0, 0, HERE, 0.9), (1, 0, HERE, 0.9), (1, 1, FAR, 0.9), (1, 1, THERE, 0.9), (2, 1, HERE, 0.9)]
    data = align(truth, predictions([*seen, (0, 1, FAR, 0.1)], TWO))
    numbers = checkout(data, count_products(data, match(data, find_candidates(data)), 0.5))
    assert numbers.cacc == pytest.approx(2 / 3)
    assert numbers.acd == pytest.approx(2 / 3)
    assert numbers.mccd == pytest.approx((1 / 3 + 1 / 1) / 2)
    assert numbers.mciou == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_parts_leave_the_other_boxes_out() -> None:
    """Of two boxes of one class the hidden one is missed: its part is 0, that of the other 1."""
    rows = [(0, 0, HERE), (0, 0, THERE), (0, 0, FAR)]
    visibility, truncation = [1.0, 0.2, np.nan], [0.0, 0.1, 0.5]
    truth = image_set(1, rows, TWO, visibility=visibility, truncation=truncation, areas=[1600, 500, 1600])
    data = align(truth, predictions([(0, 0, HERE, 0.9), (0, 0, FAR, 0.3)], TWO))
    candidates = find_candidates(data)
    parts = break_down(data, candidates, match(data, candidates), truth, 0.5)
    numbers = {name: [(part.boxes, part.ap, part.found) for part in bins if part.boxes] for name, bins in parts.items()}
    assert numbers["visibility"] == [(1, 0, 0), (1, pytest.approx(1), 1), (1, pytest.approx(1), 0)]
    assert numbers["truncation"] == [(1, pytest.approx(1), 1), (1, 0, 0), (1, pytest.approx(1), 0)]
    assert numbers["size"] == [(1, 0, 0), (2, pytest.approx(1), 0.5)]
    assert sum(boxes for boxes, _, _ in numbers["relative size"]) == 3
