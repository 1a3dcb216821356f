"""Finding the labels and the images of data sets of all layouts, and telling what is no data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.errors import raises
from support.sets.coco_files import coco, read_set, write_image, write_json, write_set

# The file of labels, and the folder that its images lie in, below the folder of the data set.
LAYOUTS = [
    ("annotations/instances_train.json", "images"),  # ours
    ("annotations/instances_train2017.json", "train2017"),  # COCO
    ("annotations/instances_train2017.json", "images/train2017"),
    ("annotations/instances_train.json", "train"),
    ("annotations/instances_train.json", "."),
    ("train.json", "images"),
    ("train.json", "."),
    ("instances_train.json", "images"),
    ("train/_annotations.coco.json", "train"),  # Roboflow
    ("labels.json", "."),  # the only JSON file
    ("annotations/labels.json", "images"),
]


@pytest.mark.parametrize(("labels", "folder"), LAYOUTS)
def test_layouts(tmp_path: Path, labels: str, folder: str) -> None:
    content = coco()
    for place, image in enumerate(content["images"]):
        write_image(tmp_path / folder / image["file_name"], seed=place)
    write_json(tmp_path / labels, content)
    for path in (tmp_path, tmp_path / labels):
        images, problems = read_set(path)
        assert len(images) == 3 and not problems.bad and all(images.path(i).is_file() for i in range(3))


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("shop 1/käse.png", False),
        ("shop\\käse.png", False),  # Windows
        ("./käse.png", False),
        ("a/../käse.png", False),
        ("../käse.png", True),  # relative to the JSON file: read, but told
        ("{folder}/elsewhere/käse.png", True),
    ],
)
def test_file_names(tmp_path: Path, name: str, note: bool) -> None:
    name = name.format(folder=tmp_path)
    content = coco(1)
    content["images"][0]["file_name"] = name
    (tmp_path / "images" / "a").mkdir(parents=True)
    write_image(tmp_path / "images" / name.replace("\\", "/"))
    images, problems = read_set(write_json(tmp_path / "train.json", content), images=tmp_path / "images")
    assert images.path(0).is_file() and not problems.bad
    assert ("images outside the image folder" in problems.notes) == note


def test_the_images_are_looked_for_in_the_given_folder_first(tmp_path: Path) -> None:
    path = write_set(tmp_path / "a", coco())
    write_set(tmp_path / "b", coco())
    assert read_set(path, images=tmp_path / "b" / "images")[0].root == tmp_path / "b" / "images"
    # Rendered sets bring theirs: images of another set that bear the same names are not taken for them.
    path = write_set(tmp_path / "a", coco(backend=["raster"] * 3))
    assert read_set(path, images=tmp_path / "b" / "images")[0].root == tmp_path / "a" / "images"
    with raises("folder-missing"):
        read_set(path, images=tmp_path / "c")


def test_the_folder_with_most_of_the_images_is_taken(tmp_path: Path) -> None:
    content = coco(50)
    write_json(tmp_path / "train.json", content)
    write_image(tmp_path / "images" / content["images"][0]["file_name"])
    # The first 30 are missing altogether.
    for image in content["images"][30:]:
        write_image(tmp_path / image["file_name"])
    images, problems = read_set(tmp_path)
    assert images.root == tmp_path and len(images) == 20
    assert problems.bad["images that are missing"].count == 30


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", "json-invalid", ""),
        ('{"images": [', "json-invalid", ""),
        ("[" * 100_000, "limit-exceeded", "levels of lists and objects"),
        ("1" * 5000, "json-invalid", ""),
        ("7", "coco-invalid", "found: int"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}], "coco-invalid", "found: list"),
        ({}, "coco-invalid", "images: found nothing"),
        ({"images": [], "annotations": [], "categories": []}, "dataset-empty", "no images"),
        ({**coco(), "categories": []}, "dataset-empty", "no categories"),
        ({**coco(), "images": {}}, "coco-invalid", "images: found dict"),
        ({**coco(), "annotations": [1]}, "coco-invalid", "annotations: found list"),
        (
            {key: value for key, value in coco().items() if key != "categories"},
            "coco-invalid",
            "categories: found nothing",
        ),  # captions
        (
            {"info": {}, "images": coco()["images"], "categories": coco()["categories"]},
            "coco-invalid",
            "annotations: found nothing",
        ),
        (coco(), "images-missing", ""),  # no image anywhere
    ],
)
def test_what_is_no_coco_file_is_told(tmp_path: Path, content: Any, code: str, message: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "train.json").write_text(text, encoding="utf-8")
    with raises(code, where=r"train\.json", text=message):
        read_set(tmp_path)


def test_panoptic_files_are_named(tmp_path: Path) -> None:
    content = coco(boxes=0)
    content["annotations"] = [{"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 1, "bbox": [0, 0, 9, 9]}]}]
    problems = read_set(write_set(tmp_path, content))[1]
    assert problems.bad and any("panoptic" in hint for hint in problems.hints)


def test_folders_that_do_not_tell(tmp_path: Path) -> None:
    with raises("dataset-missing"):
        read_set(tmp_path / "gone")
    with raises("coco-file-ambiguous", found="no candidate"):
        read_set(tmp_path)
    for name in ("a", "b"):
        write_json(tmp_path / f"{name}.json", coco())
    with raises("coco-file-ambiguous", found=r"a\.json, b\.json"):
        read_set(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = write_set(tmp_path, coco()) / "annotations" / "instances_train.json"
    path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert len(read_set(tmp_path)[0]) == 3
