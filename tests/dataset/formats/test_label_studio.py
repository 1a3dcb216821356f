"""Tasks of Label Studio as it exports them, and ours as it imports them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.formats.brush import decode_brush
from dataset.masks import compressed_mask, decode_mask, encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings
from support.errors import raises


def brush_of(mask: NDArray[np.bool_]) -> list[int]:
    """Runs of equal values in blocks of 1 to 16 of four channels, written from the description of the codec."""
    values = np.repeat(np.where(mask.ravel(), 255, 0), 4)
    bits = f"{len(values):032b}" + f"{8 - 1:05b}" + "".join(f"{size - 1:04b}" for size in (1, 2, 3, 4))
    place = 0
    while place < len(values):
        end = place + 1
        while end < min(len(values), place + 16) and values[end] == values[place]:
            end += 1
        bits += f"1{3:02b}{end - place - 1:04b}{values[place]:08b}"
        place = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_brushes_are_decoded(mask: NDArray[np.bool_]) -> None:
    found = decode_brush(brush_of(mask), *mask.shape)
    assert found is not None
    np.testing.assert_array_equal(found, mask)


@given(codes=st.lists(st.integers(0, 255), max_size=40))
def test_broken_brushes_are_none(codes: list[int]) -> None:
    assert decode_brush(codes, 3, 5) is None or len(codes) > 7
    assert decode_brush(brush_of(np.ones((3, 5), bool))[:-3], 3, 5) is None


def region(kind: str, label: str, **value: Any) -> dict[str, Any]:
    return {"type": f"{kind}labels", "value": {**value, f"{kind}labels": [label]}}


def save_tasks(folder: Path, name: str, regions: list[dict[str, Any]], image: str) -> Path:
    tasks = [
        {
            "id": 3,
            "data": {"image": image},
            "annotations": [{"was_cancelled": True, "result": []}, {"result": regions}],
            "predictions": [{"result": [region("rectangle", "guess", x=1, y=1, width=1, height=1)]}],
        }
    ]
    (folder / name).write_text(json.dumps(tasks))
    return folder / name


@pytest.mark.parametrize(
    "image",
    [
        "/data/local-files/?d=images/1.png",
        "/data/upload/4/0a1b2c3d-1.png",
        "https://host/some/where/1.png?x=1",
        "s3://bucket/where/1.png",
    ],
)
def test_exports_are_read(image: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (10, 8)).save(tmp_path / "images" / "1.png")
    mask = np.zeros((8, 10), bool)
    mask[2:4, 5:9] = True
    regions = [
        region("rectangle", "tea", x=10, y=25, width=50, height=50, rotation=0) | {"meta": {"text": ["ignore"]}},
        # A quarter turn about the upper left corner: 2 x 4 pixels become 4 to the left and 2 down.
        region("rectangle", "tea", x=60, y=25, width=20, height=50, rotation=90),
        region("polygon", "soup", points=[[0, 0], [50, 0], [50, 50]]),
        region("brush", "tea", format="rle", rle=brush_of(mask)),
        {"type": "choices", "value": {"choices": ["shelf"]}},
    ]
    file = save_tasks(tmp_path, "project-1-at-2026.json", regions, image)
    store = open_labels(file, name="label-studio")
    assert [one.name for one in store.categories] == ["soup", "tea"]
    (part,) = store.parts
    (stored,) = part.stored_images()
    assert (part.split, part.count) == ("train", 1) and stored.read()
    box, turned, polygon, brush = stored.labels.annotations
    assert (box.category_id, box.bbox, box.ignored) == (2, pytest.approx([1, 2, 5, 4]), True)
    assert (turned.bbox, turned.area) == (pytest.approx([2, 2, 4, 2]), pytest.approx(8))
    assert (polygon.category_id, polygon.bbox, polygon.area) == (1, pytest.approx([0, 0, 5, 4]), pytest.approx(10))
    counts = compressed_mask(brush.segmentation, 8, 10)
    assert isinstance(counts, bytes) and brush.bbox == [5, 2, 4, 2]
    np.testing.assert_array_equal(decode_mask(counts, 8, 10), mask)


@pytest.mark.parametrize(
    ("regions", "image", "code"),
    [
        ([region("rectangle", "", x=1, y=1, width=0, height=1)], "1.png", "records-invalid"),
        ([region("rectangle", "tea", x="1", y=1, width=1, height=1)], "1.png", "records-invalid"),
        ([region("polygon", "tea", points=[[1, 1], [2, 2]])], "1.png", "records-invalid"),
        ([region("polygon", "tea", points=[1, 2, 3])], "1.png", "records-invalid"),
        ([region("brush", "tea", format="rle", rle=[1, 2, 3])], "1.png", "records-invalid"),
        ([region("brush", "tea", format="rle", rle=["1"])], "1.png", "records-invalid"),
        ([], "../../1.png", "records-invalid"),
        ([], "", "records-invalid"),
        ([], "nowhere.png", "file-missing"),
    ],
)
def test_what_is_wrong_has_a_code(regions: list[dict[str, Any]], image: str, code: str, tmp_path: Path) -> None:
    Image.new("RGB", (10, 8)).save(tmp_path / "1.png")
    save_tasks(tmp_path, "label_studio_train.json", regions, image)
    with raises(code):
        [list(part.labels()) for part in open_labels(tmp_path).parts]


def test_masks_are_written_as_one_polygon_each(tmp_path: Path) -> None:
    (tmp_path / "source" / "images" / "train").mkdir(parents=True)
    (tmp_path / "source" / "annotations").mkdir()
    Image.new("RGB", (10, 8)).save(tmp_path / "source" / "images" / "train" / "1 & 2.png")
    mask = np.zeros((8, 10), bool)
    mask[1:3, 1:4] = mask[5:7, 1:4] = True
    common = {"image_id": 1, "category_id": 1}
    records = [
        AnnotationRecord.parse(
            {**common, "id": 1, "bbox": [1, 1, 3, 6], "segmentation": encode_crop(mask, 0, 0, 8, 10)}
        ),
        AnnotationRecord.parse({**common, "id": 2, "bbox": [5, 4, 5, 2], "ignore": 1}),
    ]
    labels = ImageLabels(ImageRecord(id=1, file_name="1 & 2.png", width=10, height=8), records)
    head = Head([CategoryRecord(id=1, name="<script>tea</script>", sku="t")])
    write_coco(tmp_path / "source" / "annotations" / "instances_train.json", [labels], head)
    there = tmp_path / "there"
    assert not convert_data(tmp_path / "source", there, ConvertSettings("label-studio"), Console(quiet=True)).lost
    (task,) = json.loads((there / "label_studio_train.json").read_text())
    assert task["data"] == {"image": "/data/local-files/?d=images/train/1%20%26%202.png"}
    polygon, box = task["annotations"][0]["result"]
    assert polygon["type"] == "polygonlabels" and polygon["value"]["polygonlabels"] == ["<script>tea</script>"]
    assert box["value"] == {
        "x": 50.0, "y": 50.0, "width": 50.0, "height": 25.0, "rotation": 0, "rectanglelabels": ["<script>tea</script>"]
    }  # fmt: skip
    assert (box["original_width"], box["original_height"], box["from_name"], box["to_name"]) == (
        10,
        8,
        "rectangle",
        "image",
    )
    assert "&lt;script&gt;tea" in (there / "label_config.xml").read_text()
    (part,) = open_labels(there).parts
    (again,) = part.labels()
    counts = compressed_mask(again.annotations[0].segmentation, 8, 10)
    assert isinstance(counts, bytes) and [one.ignored for one in again.annotations] == [False, True]
    np.testing.assert_array_equal(decode_mask(counts, 8, 10), mask)
