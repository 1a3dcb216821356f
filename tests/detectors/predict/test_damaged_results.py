"""Results, boxes and the files of a run that were damaged: one error that names the file, whatever stands in them."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import SynthError
from detectors.data.image_set import ImageSet, open_images
from detectors.evaluate.results import read_results
from detectors.recognition.gallery.boxes import given_boxes
from support.errors import raises
from support.fuzzing.files import changed_json
from support.sets.coco_files import coco, read_set, write_set

ROW = {"image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 5.0, 4.0], "score": 0.5}
IDS = {"cola": 1, "soup": 2, "tea": 3}
EXAMPLES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return read_set(write_set(tmp_path_factory.mktemp("set"), coco()))[0]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"image_id": []}, r"unknown image_id \[\]"),
        ({"image_id": True}, "unknown image_id True"),
        ({"category_id": {}}, r"unknown category_id \{\}"),
        ({"bbox": [1, 2, float("nan"), 4]}, "bbox"),
        ({"bbox": [1, 2, 10**400, 4]}, "bbox"),
        ({"bbox": [0, 0, 1e308, 1e308]}, "bbox"),
        ({"score": 10**400}, "score"),
    ],
)
def test_rows_of_results_are_checked(truth: ImageSet, tmp_path: Path, values: dict[str, object], told: str) -> None:
    (tmp_path / "r.json").write_text(json.dumps([ROW, {**ROW, **values}]))
    with raises("predictions-mismatch", problems=f"row 2: {told}"):
        read_results(tmp_path / "r.json", truth, IDS)


@pytest.mark.parametrize(
    "values", [{"image_id": 1e308}, {"image_id": True}, {"bbox": [0, 0, 10**400, 1]}, {"bbox": []}]
)
def test_given_boxes_are_checked(tmp_path: Path, values: dict[str, object]) -> None:
    (tmp_path / "b.json").write_text(json.dumps([ROW, {**ROW, **values}]))
    with raises("coco-invalid", problems="entry 1: no image_id, or no bbox"):
        given_boxes(tmp_path / "b.json")


@EXAMPLES
@given(data=st.data())
def test_any_value_of_results_and_boxes_is_read_or_told(truth: ImageSet, tmp_path: Path, data: st.DataObject) -> None:
    file = tmp_path / "r.json"
    file.write_bytes(data.draw(changed_json(json.dumps([ROW, ROW]).encode())))
    with suppress(SynthError):
        read_results(file, truth, IDS)
    with suppress(SynthError):
        given_boxes(file)


@EXAMPLES
@given(data=st.data())
def test_any_value_of_the_head_of_a_run_is_read_or_told(truth: ImageSet, tmp_path: Path, data: st.DataObject) -> None:
    if not (tmp_path / "run").exists():
        truth.save(tmp_path / "run")
        shutil.copy(tmp_path / "run" / "set.json", tmp_path / "good.json")
    head = (tmp_path / "good.json").read_bytes()
    (tmp_path / "run" / "set.json").write_bytes(data.draw(changed_json(head)))
    with suppress(SynthError):
        open_images(tmp_path / "run")


def test_columns_of_a_run_that_are_no_arrays_are_told(truth: ImageSet, tmp_path: Path) -> None:
    truth.save(tmp_path / "run")
    for content in (b"", b"\x93NUMPY" * 30, (tmp_path / "run" / "boxes.npy").read_bytes()[:150]):
        (tmp_path / "run" / "boxes.npy").write_bytes(content)
        with raises("run-data-damaged", where=r"boxes\.npy"):
            open_images(tmp_path / "run")
