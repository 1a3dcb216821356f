"""YOLO sets as other tools write them, and ours as a detector learns from them after conversion."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image
from rich.console import Console

from dataset.formats import open_labels
from dataset.formats.yolo import lost
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings
from support.errors import raises

QUIET = Console(quiet=True)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A set as Ultralytics' own examples have it."""
    folder = tmp_path / "theirs"
    for split, names in (("train", ("a/1.jpg", "2.jpg")), ("val", ("3.jpg",))):
        for name in names:
            file = folder / "images" / split / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (200, 100)).save(file)
    (folder / "labels" / "train" / "a").mkdir(parents=True)
    (folder / "labels" / "train" / "a" / "1.txt").write_text("1 0.5 0.5 0.2 0.4\n0 0.1 0.1 0.3 0.1 0.3 0.5\n\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnc: 2\nnames: [tea, soup]\n")
    return folder


@pytest.mark.parametrize("given", ["", "data.yaml"])
def test_sets_of_other_tools_are_read(theirs: Path, given: str) -> None:
    store = open_labels(theirs / given)
    assert [(one.id, one.name, one.sku) for one in store.categories] == [(1, "tea", None), (2, "soup", None)]
    (first, second, third) = [labels for part in store.parts for labels in part.labels()]
    assert [one.image.file_name for one in (first, second, third)] == ["2.jpg", "a/1.jpg", "3.jpg"]
    assert [part.count for part in store.parts] == [2, 1] and not first.annotations and not third.annotations
    box, polygon = second.annotations
    assert box.category_id == 2 and box.bbox == pytest.approx([80, 30, 40, 40]) and box.segmentation is None
    assert polygon.category_id == 1 and polygon.bbox == pytest.approx([20, 10, 40, 40])
    assert polygon.segmentation == [pytest.approx([20, 10, 60, 10, 60, 50])]


def test_images_turned_by_exif_are_counted_upright(theirs: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(theirs / "images" / "val" / "3.jpg", exif=exif)
    (labels,) = open_labels(theirs).parts[1].labels()
    assert labels.image.size == (100, 200)


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("data.yaml", "[1]", "content-invalid"),
        ("data.yaml", "a: [", "content-invalid"),
        ("data.yaml", "names: [tea]", "content-invalid"),
        ("data.yaml", "train: images/train\nnames: {0: a, 2: b}", "content-invalid"),
        ("data.yaml", "train: [images/train, images/val]\nnames: [a, b]", "content-invalid"),
        ("data.yaml", "train: images/nowhere\nnames: [a, b]", "images-missing"),
        ("labels/train/a/1.txt", "2 0.5 0.5 0.1 0.1", "records-invalid"),
        ("labels/train/a/1.txt", "0 0.5 0.5 0.1", "records-invalid"),
        ("labels/train/a/1.txt", "0 50 50 10 10", "records-invalid"),
        ("labels/train/a/1.txt", "0 nan 0.5 0.1 0.1", "records-invalid"),
        ("labels/train/a/1.txt", "tea 0.5 0.5 0.1 0.1", "records-invalid"),
    ],
)
def test_what_is_wrong_has_a_code(theirs: Path, file: str, text: str, code: str) -> None:
    (theirs / file).write_text(text)
    with raises(code):
        [list(part.labels()) for part in open_labels(theirs).parts]


def test_a_detector_learns_from_a_converted_set(theirs: Path, tmp_path: Path) -> None:
    convert_data(theirs, tmp_path / "coco", ConvertSettings("coco"), QUIET)
    images = read_one(tmp_path / "coco", "x", DataSettings(), splits=("train",), print_line=lambda line: None)
    assert len(images) == 2 and images.box_count == 2 and images.classes.keys == ("tea", "soup")


def test_other_tools_find_what_they_look_for(theirs: Path, tmp_path: Path) -> None:
    convert_data(theirs, tmp_path / "yolo", ConvertSettings("yolo"), QUIET)
    content = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())
    assert (content["train"], content["val"], content["names"]) == ("images/train", "images/val", {0: "tea", 1: "soup"})
    lines = (tmp_path / "yolo" / "labels" / "train" / "a" / "1.txt").read_text().splitlines()
    assert lines[0] == "1 0.50000000 0.50000000 0.20000000 0.40000000" and len(lines) == 2
    assert (tmp_path / "yolo" / "images" / "train" / "a" / "1.jpg").is_file()


def test_every_loss_has_a_name() -> None:
    image = ImageRecord(file_name="1.jpg", width=10, height=10, recipe="shelf")
    whole = AnnotationRecord(category_id=1, bbox=[1, 1, 5, 5], visibility=0.5, segmentation=[[1, 1, 5, 1, 5, 5]])
    ignored = AnnotationRecord(category_id=1, bbox=[1, 1, 5, 5], ignore=1)
    found = list(lost(ImageLabels(image, [whole, ignored])))
    assert len(found) == 4 and {"masks", "visibility"} < set(found)
