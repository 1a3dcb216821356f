"""Evaluation in a stream against pycocotools and against the evaluation in memory, on all kinds of sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.data.class_match import PRODUCT
from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics import stream, stream_rows
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.coco_numbers import coco_numbers, run_coco
from detectors.evaluate.metrics.matching import find_candidates
from detectors.evaluate.metrics.stream import StreamedCoco
from detectors.evaluate.metrics.stream_rows import ROW, RowSpool
from detectors.evaluate.report import evaluate
from support.evaluate_cases import classes_of, image_set, predictions, random_case
from support.sets.plain_coco import CASES, assert_same, plain_coco


def own_classes(truth: ImageSet, found: Predictions) -> Predictions:
    """The detections of classes that the truth knows, by the truth's labels."""
    place = {key: label for label, key in enumerate(truth.classes.keys)}
    labels = np.array([place.get(key, -1) for key in found.classes.keys])[found.labels]
    kept = labels >= 0
    rows = (found.images[kept], found.boxes[kept], labels[kept].astype(np.int32), found.scores[kept])
    return Predictions(truth.classes, *rows)


def some_images(truth: ImageSet, found: Predictions, first: int, last: int) -> tuple[ImageSet, Predictions]:
    inside = (found.images >= first) & (found.images < last)
    rows = (found.boxes[inside], found.labels[inside], found.scores[inside])
    return truth.take(np.arange(first, last)), Predictions(found.classes, found.images[inside] - first, *rows)


def streamed(
    truth: ImageSet, found: Predictions, folder: Path, at_once: int = 2, threshold: float = 0.5
) -> StreamedCoco:
    known = own_classes(truth, found)
    coco = StreamedCoco(folder, len(truth.classes), threshold=threshold)
    for first in range(0, len(truth), at_once):
        coco.add(*some_images(truth, known, first, min(first + at_once, len(truth))))
    return coco


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equal_to_pycocotools(case: dict, tmp_path: Path) -> None:
    for seed in range(3):
        truth, found = random_case(rng=np.random.default_rng(seed), **case)
        run = streamed(truth, found, tmp_path / str(seed)).finish()
        assert_same(run.numbers(), plain_coco(truth, found))


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 4),
)
def test_any_set_in_any_pieces(seed: int, images: int, classes: int, boxes: int, extra: int, at_once: int) -> None:
    """With blocks of three rows and files of a few, so that every class is gone through in many pieces."""
    import tempfile

    truth, found = random_case(
        rng=np.random.default_rng(seed), images=images, classes=classes, boxes=boxes, extra=extra
    )
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(stream, "BLOCK", 3)
        patch.setattr(stream_rows, "AT_ONCE", 7)
        patch.setattr(stream_rows, "PARTS", 2)
        run = streamed(truth, found, Path(folder), at_once).finish()
    data = align(truth, found)
    whole = run_coco(data, find_candidates(data))
    np.testing.assert_array_equal(run.labels, whole.labels)
    np.testing.assert_array_equal(run.boxes, whole.boxes)
    np.testing.assert_allclose(run.values, whole.values, atol=1e-9)


def test_thousands_of_classes(tmp_path: Path) -> None:
    truth, found = random_case(rng=np.random.default_rng(1), images=300, classes=3000, boxes=6000, extra=3000)
    assert_same(streamed(truth, found, tmp_path, at_once=50).finish().numbers(), coco_numbers(truth, found))


def test_one_class_for_all(tmp_path: Path) -> None:
    truth, found = random_case(rng=np.random.default_rng(2), images=40, classes=6, boxes=400, extra=300)
    found = Predictions(PRODUCT, found.images, found.boxes, np.zeros_like(found.labels), found.scores)
    products = truth.relabelled(PRODUCT)
    assert_same(streamed(products, found, tmp_path).finish().numbers(), coco_numbers(truth, found))


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    classes = classes_of(2)
    truth = image_set(2, [(0, 1, [10, 10, 20, 20])], classes)
    nothing = predictions([], classes)
    run = streamed(truth, nothing, tmp_path / "a").finish()
    assert_same(run.numbers(), coco_numbers(truth, nothing))
    empty = streamed(image_set(3, [], classes), nothing, tmp_path / "b")
    assert np.isnan(empty.finish().numbers()["AP"]) and np.isnan(empty.operating().recall)


def test_precision_and_recall_at_the_threshold_are_those_of_the_report(tmp_path: Path) -> None:
    for seed in range(4):
        truth, found = random_case(rng=np.random.default_rng(seed), images=20, boxes=80, extra=60)
        known = own_classes(truth, found)
        report = evaluate(truth, known, threshold=0.4, rng=np.random.default_rng(0), resamples=2)
        coco = streamed(truth, known, tmp_path / str(seed), threshold=0.4)
        ours, theirs = coco.operating(), report.operating
        for name in ("precision", "recall", "f1", "best_f1"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-9), name
        # Scores are rounded to tenths here, so steps of a thousandth lose nothing.
        assert ours.best_threshold == pytest.approx(theirs.best_threshold, abs=1.1e-3)
        by_key = {row.key: row.found for row in report.classes}
        shares = coco.found / np.maximum(coco.boxes[0], 1)
        assert all(shares[truth.classes.keys.index(key)] == pytest.approx(share) for key, share in by_key.items())


SCORES = st.sampled_from([0.5, 0.5 + 1e-12, 0.25]) | st.floats(-2, 2)


@given(st.lists(st.tuples(st.integers(0, 3), SCORES, st.integers(-2, 2)), max_size=60), st.integers(1, 9))
def test_rows_come_back_by_falling_score(rows: list[tuple[int, float, int]], at_once: int) -> None:
    """Whatever fits into memory, equal scores by id of the image, then in the order they came (told by `right`)."""
    import tempfile

    table = np.zeros(len(rows), ROW)
    for place, (label, score, image) in enumerate(rows):
        table[place]["label"], table[place]["score"], table[place]["right"][0] = label, score, place
        table[place]["image"] = image
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(stream_rows, "AT_ONCE", at_once)
        patch.setattr(stream_rows, "PARTS", 2)
        spool = RowSpool(Path(folder))
        for first in range(0, len(table), 4):
            spool.add(table[first : first + 4])
        parts = [list(blocks) for blocks in spool.parts()]
    assert all(len(block) <= at_once for blocks in parts for block in blocks)
    read = [np.concatenate(blocks) for blocks in parts]
    expected = [table[table["label"] % 2 == part] for part in (0, 1)]
    expected = [part[np.lexsort((part["image"], -part["score"]))] for part in expected if len(part)]
    assert len(read) == len(expected)
    for ours, theirs in zip(read, expected, strict=True):
        np.testing.assert_array_equal(ours["right"], theirs["right"])
