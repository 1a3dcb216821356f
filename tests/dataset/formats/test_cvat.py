"""CVAT's XML as CVAT exports it, and ours as it is specified."""

from __future__ import annotations

import xml.etree.ElementTree as Tree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.masks import compressed_mask, decode_mask, encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings
from support.errors import raises

THEIRS = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><project><labels><label><name>tea</name></label></labels></project></meta>
  <image id="7" name="a/1.png" subset="Train" width="10" height="8">
    <box label="tea" occluded="1" xtl="1.50" ytl="2.00" xbr="4.50" ybr="6.00" z_order="0">
      <attribute name="ignore">true</attribute>
    </box>
    <polygon label="soup" occluded="0" points="1.00,1.00;5.00,1.00;5.00,4.00"/>
    <mask label="tea" rle="1, 2, 3" left="4" top="3" width="3" height="2"/>
    <tag label="shelf"/>
    <points label="corner" points="1,1"/>
  </image>
  <image id="9" name="2.png" subset="Validation" width="10" height="8"/>
</annotations>
"""
SHAPE = '<annotations><image name="1.png" width="10" height="8">{}</image></annotations>'


def save(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8)).save(file)


def test_exports_are_read(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(THEIRS)
    save(tmp_path / "images" / "Train" / "a" / "1.png")
    save(tmp_path / "images" / "2.png")
    store = open_labels(tmp_path)
    assert [one.name for one in store.categories] == ["soup", "tea"]
    assert [(part.split, part.count) for part in store.parts] == [("Train", 1), ("Validation", 1)]
    ((first,), (second,)) = (list(part.stored_images()) for part in store.parts)
    assert first.read() and second.read() and not second.labels.annotations
    box, polygon, mask = first.labels.annotations
    assert (box.category_id, box.bbox, box.ignored) == (2, [1.5, 2, 3, 4], True)
    assert (polygon.category_id, polygon.bbox, polygon.area) == (1, [1, 1, 4, 3], 6)
    counts = compressed_mask(mask.segmentation, 8, 10)
    assert isinstance(counts, bytes)
    expected = np.zeros((8, 10), np.uint8)
    expected[3, 5:7] = 1  # the run of two after one of background
    np.testing.assert_array_equal(decode_mask(counts, 8, 10), expected)
    assert (mask.bbox, mask.area) == ([4, 3, 3, 2], 2)


def test_masks_are_written_row_by_row_from_background_on(tmp_path: Path) -> None:
    source = tmp_path / "source"
    save(source / "images" / "train" / "1.png")
    (source / "annotations").mkdir()
    mask = np.array([[0, 1, 1], [1, 0, 0]], bool)
    record = AnnotationRecord(
        id=1, image_id=1, category_id=1, bbox=[4, 3, 3, 2], segmentation=encode_crop(mask, 4, 3, 8, 10), ignore=1
    )
    labels = ImageLabels(ImageRecord(id=1, file_name="1.png", width=10, height=8), [record])
    head = Head([CategoryRecord(id=1, name="A <i>tea</i>", sku="t")])
    write_coco(source / "annotations" / "instances_train.json", [labels], head)
    summary = convert_data(source, tmp_path / "there", ConvertSettings("cvat"), Console(quiet=True))
    assert not summary.lost
    root = Tree.parse(tmp_path / "there" / "annotations.xml").getroot()
    (one,) = root.iter("mask")
    said = {"label": "A <i>tea</i>", "rle": "1, 3, 2", "left": "4", "top": "3", "width": "3", "height": "2"}
    assert said.items() <= one.attrib.items()
    assert [label.findtext("name") for label in root.iter("label")] == ["A <i>tea</i>"]
    assert one.findtext("attribute") == "true" and root.findtext("meta/task/labels/label/attributes/attribute/name")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<annotations><image", "content-invalid"),
        ("<annotations/>", "dataset-empty"),
        ('<annotations><image name="../1.png" width="9" height="9"/></annotations>', "records-invalid"),
        ('<annotations><image name="1.png" width="-1" height="9"/></annotations>', "records-invalid"),
        ('<annotations><image name="1.png" width="99999" height="99999"/></annotations>', "limit-exceeded"),
        (SHAPE.format('<box label="tea" xtl="5" ytl="1" xbr="1" ybr="2"/>'), "records-invalid"),
        (SHAPE.format('<box label="tea" xtl="x" ytl="1" xbr="1" ybr="2"/>'), "records-invalid"),
        (SHAPE.format('<polygon label="tea" points="1,1;2,2"/>'), "records-invalid"),
        (
            SHAPE.format('<mask label="tea" rle="99999999999" left="0" top="0" width="2" height="2"/>'),
            "records-invalid",
        ),
        (SHAPE.format('<mask label="tea" rle="3,1" left="9" top="0" width="2" height="2"/>'), "records-invalid"),
        (SHAPE.format('<mask label="tea" rle="-1,5" left="0" top="0" width="2" height="2"/>'), "records-invalid"),
    ],
)
def test_what_is_wrong_has_a_code(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    with raises(code):
        [list(part.labels()) for part in open_labels(tmp_path).parts]


def test_names_that_xml_cannot_hold_are_told(tmp_path: Path) -> None:
    save(tmp_path / "source" / "images" / "train" / "1.png")
    (tmp_path / "source" / "annotations").mkdir()
    labels = ImageLabels(ImageRecord(id=1, file_name="1.png", width=10, height=8), [])
    head = Head([CategoryRecord(id=1, name="bell\a", sku="t")])
    write_coco(tmp_path / "source" / "annotations" / "instances_train.json", [labels], head)
    with raises("content-invalid"):
        convert_data(tmp_path / "source", tmp_path / "there", ConvertSettings("cvat"), Console(quiet=True))
    assert not (tmp_path / "there").exists()
