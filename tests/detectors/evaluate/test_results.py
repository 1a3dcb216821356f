"""COCO results files: round trips, what other tools read in them, and what is said about broken ones."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dataset.find import open_source
from dataset.problems import Problems
from detectors.data.image_set import Classes, ImageSet
from detectors.data.read_coco import read_images
from detectors.evaluate.metrics.coco_numbers import NAMES, coco_numbers
from detectors.evaluate.results import read_results, write_results
from support.errors import raises
from support.evaluate_cases import classes_of, image_set, predictions, random_case

sides = st.floats(0, 5000, width=32)
rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.tuples(sides, sides, sides, sides), st.floats(0, 1, width=32)),
    max_size=30,
)


@settings(max_examples=50)
@given(rows)
def test_written_and_read_is_the_same_to_the_bit(tmp_path_factory: pytest.TempPathFactory, drawn: list) -> None:
    truth = image_set(4, [], classes_of(3))
    boxes = [(i, c, [min(x, z), min(y, w), max(x, z), max(y, w)], s) for i, c, (x, y, z, w), s in drawn]
    found = predictions(boxes, truth.classes)
    path = tmp_path_factory.mktemp("results") / "results.json"
    # Ids with gaps and in no order; the classes come back by rising id.
    ids = {"sku0": 70, "sku1": 7, "sku2": 11}
    write_results(path, found, truth, ids)
    again = read_results(path, truth, ids)
    assert again.classes.keys == ("sku1", "sku2", "sku0")
    assert again.classes.names == ("name of sku1", "name of sku2", "name of sku0")
    np.testing.assert_array_equal(again.images, found.images)
    np.testing.assert_array_equal(again.boxes, found.boxes)
    np.testing.assert_array_equal(again.scores, found.scores)
    keys = [
        [classes.keys[label] for label in labels]
        for classes, labels in ((found.classes, found.labels), (again.classes, again.labels))
    ]
    assert keys[0] == keys[1]


def plain_truth(truth: ImageSet, ids: dict[str, int]) -> dict:
    boxes = zip(truth.image_of_box(), truth.boxes.astype(float).tolist(), truth.labels, truth.areas, strict=True)
    annotations = [
        {
            "id": number,
            "image_id": int(truth.image_ids[image]),
            "category_id": ids[truth.classes.keys[label]],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": float(area),
            "iscrowd": 0,
        }
        for number, (image, (x0, y0, x1, y1), label, area) in enumerate(boxes, 1)
    ]
    categories = [{"id": ids[key], "name": key} for key in truth.classes.keys]
    return {
        "images": [{"id": int(number)} for number in truth.image_ids],
        "categories": categories,
        "annotations": annotations,
    }


def test_pycocotools_reads_both_and_gives_our_numbers(tmp_path: Path) -> None:
    truth, found = random_case(rng=np.random.default_rng(1), boxes=40, extra=30, ignored=0.0)
    ids = {key: 3 * place + 2 for place, key in enumerate((*truth.classes.keys, "foreign"))}
    (tmp_path / "truth.json").write_text(json.dumps(plain_truth(truth, ids)))
    write_results(tmp_path / "found.json", found, truth, ids)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(known, known.loadRes(str(tmp_path / "found.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert coco_numbers(truth, found)["AP"] == pytest.approx(evaluation.stats[0], abs=1e-9)
    again = coco_numbers(truth, read_results(tmp_path / "found.json", truth, ids))
    np.testing.assert_array_equal(list(again.values()), list(coco_numbers(truth, found).values()))


def test_every_wrong_row_is_named(tmp_path: Path) -> None:
    truth = image_set(1, [], classes_of(1))
    good = {"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}
    wrong = [
        {"image_id": 6},
        {"category_id": 9},
        {"bbox": [1, 2, 3]},
        {"bbox": [0, 0, float("nan"), 1]},
        {"score": "1"},
    ]
    (tmp_path / "r.json").write_text(json.dumps([good, *({**good, **change} for change in wrong), {"image_id": 5}]))
    with raises("predictions-mismatch") as caught:
        read_results(tmp_path / "r.json", truth, {"sku0": 1})
    assert [line.split(":")[0] for line in caught.value.problems] == [f"row {number}" for number in range(2, 8)]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]"])
def test_no_results_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with raises("predictions-invalid", "json-invalid"):
        read_results(tmp_path / "r.json", image_set(1, [], classes_of(1)), {"sku0": 1})


def test_a_class_without_an_id_is_refused(tmp_path: Path) -> None:
    found = predictions([(0, 0, [0, 0, 1, 1], 0.5)], Classes(("new",), ("new",)))
    with raises("category-id-missing"):
        write_results(tmp_path / "r.json", found, image_set(1, [], classes_of(1)), {"sku0": 1})


def coco_by_pycocotools(truth: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: np.nan if value < 0 else float(value) for name, value in zip(NAMES, evaluation.stats, strict=True)}


# Few places, sizes and scores, so that overlaps and scores tie; two of the scores are one as float32.
BOX = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([2, 3, 40]), st.sampled_from([2, 3, 40]))
SCORE = st.sampled_from([0.5, 0.5 + 1e-12, 0.25, 0.75])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), BOX, st.booleans()), min_size=1, max_size=9),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), BOX, SCORE), min_size=1, max_size=12),
)
def test_files_in_any_order_are_judged_as_by_pycocotools(
    ids: list[int], boxes: list[tuple[int, int, Any, bool]], found: list[tuple[int, int, Any, float]]
) -> None:
    """Ids of images, annotations and results in no order at all, with equal scores and equal overlaps.

    But not with a box given twice, which is used once here.
    """
    boxes = list(dict.fromkeys((image % len(ids), *rest) for image, *rest in boxes))

    def place(image: int, kind: int, box: tuple[int, ...]) -> dict[str, Any]:
        left, top, width, height = (10 * box[0], 10 * box[1], box[2], box[3])
        return {"image_id": ids[image % len(ids)], "category_id": kind, "bbox": [left, top, width, height]}

    annotations = [
        {"id": number, **place(*one[:3]), "area": one[2][2] * one[2][3], "iscrowd": int(one[3])}
        for number, one in enumerate(boxes, 1)
    ]
    truth = {
        "images": [{"id": one, "file_name": f"{one}.png", "width": 100, "height": 100} for one in ids],
        "annotations": annotations,
        "categories": [{"id": 2, "name": "tea"}, {"id": 1, "name": "soap"}],
        "info": {},
    }
    rows = [{**place(*one[:3]), "score": one[3]} for one in found]
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (100, 100)).save(Path(folder) / "1.png")
        for one in ids:
            shutil.copy(Path(folder) / "1.png", Path(folder) / f"{one:d}.png") if one != 1 else None
        (Path(folder) / "train.json").write_text(json.dumps(truth))
        (Path(folder) / "found.json").write_text(json.dumps(rows))
        images = read_images(open_source(Path(folder), name="x", splits=("train",)), Problems("x"))
        results = read_results(Path(folder) / "found.json", images, {"tea": 2, "soap": 1})
    ours = coco_numbers(images, results)
    expected = coco_by_pycocotools(truth, rows)
    np.testing.assert_allclose([ours[name] for name in NAMES], [expected[name] for name in NAMES], atol=1e-9)
