"""Panoptic labels and masks in PNG: which pixel is whose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.formats.label_maps import number_pixels
from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.convert import ConvertSummary, convert_data
from pipeline.shards.settings import ConvertSettings
from support.errors import raises

WIDTH, HEIGHT = 6, 4


def product(number: int, category: int, x: int, y: int, width: int, height: int, **fields: int) -> AnnotationRecord:
    rle = encode_crop(np.ones((height, width), bool), x, y, HEIGHT, WIDTH)
    box = [float(x), float(y), float(width), float(height)]
    return AnnotationRecord.parse(
        {"id": number, "image_id": 1, "category_id": category, "bbox": box, "segmentation": rle, **fields}
    )


# The second overlaps the first in a column, the third is ignored, the fourth has no mask.
RECORDS = [
    product(1, 9, 0, 0, 3, 2),
    product(2, 4, 2, 0, 2, 2),
    product(3, 4, 4, 2, 2, 2, ignore=1),
    AnnotationRecord(id=4, image_id=1, category_id=4, bbox=[0, 3, 2, 1]),
]
LABELS = ImageLabels(ImageRecord(id=1, file_name="a/1.jpg", width=WIDTH, height=HEIGHT), RECORDS)
EXPECTED = np.array([[1, 1, 1, 2, 0, 0], [1, 1, 1, 2, 0, 0], [0, 0, 0, 0, -1, -1], [0, 0, 0, 0, -1, -1]])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "images" / "val" / "a").mkdir(parents=True)
    (folder / "annotations").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images" / "val" / "a" / "1.jpg")
    head = Head([CategoryRecord(id=4, name="tea, green", sku="t"), CategoryRecord(id=9, name="soup", sku="s")])
    write_coco(folder / "annotations" / "instances_val.json", [LABELS], head)
    return folder


def convert(source: Path, name: str) -> ConvertSummary:
    return convert_data(source, source.parent / name, ConvertSettings(name), Console(quiet=True))


def test_a_pixel_is_that_of_the_first_product() -> None:
    np.testing.assert_array_equal(number_pixels(LABELS), EXPECTED)


@pytest.mark.parametrize("name", ["panoptic", "masks"])
def test_what_has_no_pixels_of_its_own_is_named(name: str, source: Path) -> None:
    assert set(convert(source, name).lost) == {
        "ignored products and crowds, whose pixels become void",
        "annotations without a pixel of their own: without a mask, or under others",
        "pixels of several products, which belong to the first",
    }
    (part,) = open_labels(source.parent / name).parts
    (labels,) = part.labels()
    found = [(one.category_id, one.bbox, one.area) for one in labels.annotations]
    assert found == [(9, [0, 0, 3, 2], 6), (4, [3, 0, 1, 2], 2)]


def test_panoptic_numbers_are_colors(source: Path) -> None:
    convert(source, "panoptic")
    folder = source.parent / "panoptic" / "annotations"
    pixels = np.array(Image.open(folder / "panoptic_val" / "a" / "1.png"))
    np.testing.assert_array_equal(pixels[..., 0], np.maximum(EXPECTED, 0))
    assert pixels.shape == (HEIGHT, WIDTH, 3) and not pixels[..., 1:].any()
    content = json.loads((folder / "panoptic_val.json").read_text())
    assert [(one["id"], one["isthing"], one["sku"]) for one in content["categories"]] == [(4, 1, "t"), (9, 1, "s")]
    assert content["annotations"] == [
        {
            "image_id": 1,
            "file_name": "a/1.png",
            "segments_info": [
                {"id": 1, "category_id": 9, "area": 6, "bbox": [0, 0, 3, 2], "iscrowd": 0},
                {"id": 2, "category_id": 4, "area": 2, "bbox": [3, 0, 1, 2], "iscrowd": 0},
            ],
        }
    ]
    # 300 = 44 + 256.
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), (44, 1, 0), np.uint8)).save(folder / "panoptic_val" / "a" / "1.png")
    content["annotations"][0]["segments_info"] = [{"id": 300, "category_id": 4}]
    (folder / "panoptic_val.json").write_text(json.dumps(content))
    (labels,) = open_labels(source.parent / "panoptic").parts[0].labels()
    assert [(one.category_id, one.area) for one in labels.annotations] == [(4, WIDTH * HEIGHT)]


def test_masks_are_numbers_of_classes_and_products(source: Path) -> None:
    convert(source, "masks")
    folder = source.parent / "masks"
    classes, instances = (
        np.array(Image.open(folder / kind / "val" / "a" / "1.png")) for kind in ("classes", "instances")
    )
    np.testing.assert_array_equal(instances, np.maximum(EXPECTED, 0))
    # By rising id: 4 is the first class, 9 the second.
    np.testing.assert_array_equal(classes, np.array([0, 2, 1, 65535])[EXPECTED])
    assert (folder / "classes.csv").read_text().splitlines() == [
        "number,name,sku,category_id",
        '1,"tea, green",t,4',
        "2,soup,s,9",
    ]


@pytest.mark.parametrize(
    ("file", "pixels", "code"),
    [
        ("classes/val/a/1.png", np.full((HEIGHT, WIDTH), 3, np.uint8), "records-invalid"),
        ("classes/val/a/1.png", np.ones((HEIGHT, WIDTH + 1), np.uint8), "records-invalid"),
        ("instances/val/a/1.png", np.ones((HEIGHT, WIDTH), np.uint8), "records-invalid"),
    ],
)
def test_masks_that_do_not_fit_have_a_code(file: str, pixels: np.ndarray, code: str, source: Path) -> None:
    convert(source, "masks")
    Image.fromarray(pixels).save(source.parent / "masks" / file)
    with raises(code):
        [list(part.labels()) for part in open_labels(source.parent / "masks").parts]
