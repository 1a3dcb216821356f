"""Pascal VOC as other tools write and read it."""

from __future__ import annotations

import xml.etree.ElementTree as Tree
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings
from support.errors import raises

QUIET = Console(quiet=True)
OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>11</xmin><ymin>21</ymin>"
    "<xmax>30</xmax><ymax>60</ymax></bndbox></object>"
)


def write_xml(file: Path, *objects: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<annotation>{''.join(objects)}</annotation>")
    Image.new("RGB", (100, 80)).save(file.with_suffix(".jpg"))


@pytest.mark.parametrize("layout", ["kit", "splits", "flat"])
def test_sets_of_other_tools_are_read(layout: str, tmp_path: Path) -> None:
    folder = {"kit": "Annotations", "splits": "valid", "flat": "."}[layout]
    write_xml(
        tmp_path / folder / "a.xml", OBJECT.format(name="tea", difficult=0), OBJECT.format(name="soup", difficult=1)
    )
    if layout == "kit":
        (tmp_path / "JPEGImages").mkdir()
        (tmp_path / "Annotations" / "a.jpg").rename(tmp_path / "JPEGImages" / "a.jpg")
        sets = tmp_path / "ImageSets" / "Main"
        sets.mkdir(parents=True)
        for name, text in {"val": "a\n", "trainval": "a\n", "tea_val": "a 1\n", "soup_val": "a -1\n"}.items():
            (sets / f"{name}.txt").write_text(text)
    store = open_labels(tmp_path)
    assert [(one.id, one.name) for one in store.categories] == [(1, "soup"), (2, "tea")]
    assert [part.split for part in store.parts] == ["train" if layout == "flat" else "val"]
    (labels,) = store.parts[0].labels()
    # Pixels 11 to 30 and 21 to 60, counted from 1.
    assert [(one.category_id, one.bbox, one.ignored) for one in labels.annotations] == [
        (2, [10, 20, 20, 40], False),
        (1, [10, 20, 20, 40], True),
    ]


def test_the_kits_own_numbers_are_written(tmp_path: Path) -> None:
    """The first pixel is 1, the last one belongs to the box."""
    source = tmp_path / "source"
    (source / "images" / "train").mkdir(parents=True)
    Image.new("RGB", (100, 80)).save(source / "images" / "train" / "a.jpg")
    box = AnnotationRecord(
        id=1, image_id=1, category_id=7, bbox=[0, 0, 100, 80], visibility=0.5, truncation=0.25, ignore=1
    )
    image = ImageLabels(ImageRecord(id=1, file_name="a.jpg", width=100, height=80), [box])
    (source / "annotations").mkdir()
    head = Head([CategoryRecord(id=7, name="Tea & <b>biscuits</b>", sku="tea")])
    write_coco(source / "annotations" / "instances_train.json", [image], head)
    convert_data(source, tmp_path / "voc", ConvertSettings("voc"), QUIET)
    root = Tree.parse(tmp_path / "voc" / "Annotations" / "a.xml").getroot()
    found = {one.tag: one.text for one in root.iter() if one.text and one.text.strip()}
    expected = {"xmin": "1", "ymin": "1", "xmax": "100", "ymax": "80", "width": "100", "height": "80", "depth": "3"}
    expected |= {"truncated": "1", "occluded": "1", "difficult": "1", "name": "Tea & <b>biscuits</b>"}
    assert expected.items() <= found.items()
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").read_text() == "a\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<annotation><object>", "content-invalid"),
        ("<other/>", "content-invalid"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "content-invalid"),
        (f"<annotation>{OBJECT.format(name='', difficult=0)}</annotation>", "records-invalid"),
        (
            f"<annotation>{OBJECT.format(name='tea', difficult=0).replace('30', '5')}</annotation>",
            "records-invalid",
        ),
        (f"<annotation>{OBJECT.format(name='tea', difficult=0).replace('30', 'nan')}</annotation>", "records-invalid"),
    ],
)
def test_what_is_wrong_has_a_code(text: str, code: str, tmp_path: Path) -> None:
    write_xml(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text(text)
    with raises(code):
        [list(part.labels()) for part in open_labels(tmp_path).parts]


def test_splits_that_share_a_folder_keep_all_their_images(tmp_path: Path) -> None:
    for split, color in (("train", "red"), ("val", "blue")):
        folder = tmp_path / "source" / "images" / split / "b"
        folder.mkdir(parents=True)
        Image.new("RGB", (10, 10), color).save(folder / "a.png")
        labels = ImageLabels(ImageRecord(id=1, file_name="b/a.png", width=10, height=10), [])
        annotations = tmp_path / "source" / "annotations"
        annotations.mkdir(exist_ok=True)
        write_coco(annotations / f"instances_{split}.json", [labels], Head([CategoryRecord(id=1, name="tea")]))
    summary = convert_data(tmp_path / "source", tmp_path / "voc", ConvertSettings("voc"), QUIET)
    assert summary.renamed == 1
    kept = tmp_path / "voc" / "JPEGImages"
    assert [Image.open(kept / name).getpixel((0, 0)) for name in ("b/a.png", "val_b_a.png")] == [
        (255, 0, 0),
        (0, 0, 255),
    ]
    assert [part.split for part in open_labels(tmp_path / "voc").parts] == ["train", "val"]
