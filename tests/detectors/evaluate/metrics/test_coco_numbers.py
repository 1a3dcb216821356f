"""The COCO numbers against pycocotools, run on the plain dictionaries that anybody would write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.evaluate.metrics.coco_numbers import coco_numbers
from support.errors import raises
from support.evaluate_cases import classes_of, image_set, predictions, random_case
from support.sets.plain_coco import CASES, assert_same, plain_coco


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equal_to_pycocotools(case: dict) -> None:
    for seed in range(3):
        truth, found = random_case(rng=np.random.default_rng(seed), **case)
        assert_same(coco_numbers(truth, found), plain_coco(truth, found))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 5), st.integers(0, 40), st.integers(0, 40))
def test_any_set(seed: int, images: int, classes: int, boxes: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = random_case(rng=rng, images=images, classes=classes, boxes=boxes, extra=extra)
    assert_same(coco_numbers(truth, found), plain_coco(truth, found))


def test_nothing_found_is_zero_and_no_box_of_a_size_is_nan() -> None:
    classes = classes_of(2)
    truth = image_set(2, [(0, 1, [10, 10, 20, 20])], classes)
    numbers = coco_numbers(truth, predictions([], classes))
    assert numbers["AP"] == numbers["APs"] == numbers["AR100"] == numbers["ARs"] == 0
    assert all(np.isnan(numbers[name]) for name in ("APm", "APl", "ARm", "ARl"))


def test_classes_are_matched_by_key() -> None:
    """A detector that lists its classes the other way round is as good as ever."""
    truth = image_set(1, [(0, 0, [0, 0, 50, 50]), (0, 1, [60, 60, 120, 120])], classes_of(2))
    turned = classes_of(2).keys[::-1]
    rows = [(0, 1, [0.0, 0.0, 50.0, 50.0], 0.9), (0, 0, [60.0, 60.0, 120.0, 120.0], 0.8)]
    found = predictions(rows, type(truth.classes)(turned, turned))
    assert coco_numbers(truth, found)["AP"] == pytest.approx(1)


def test_detections_of_another_set_are_refused() -> None:
    truth = image_set(1, [], classes_of(1))
    with raises("predictions-mismatch"):
        coco_numbers(truth, predictions([(3, 0, [0, 0, 1, 1], 0.5)], classes_of(1)))
