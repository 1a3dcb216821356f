"""`synth data diff`: every kind of change is found once, and nothing else."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import FORMATS
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.cli.main import main
from pipeline.shards.convert import convert_data
from pipeline.shards.diff import Difference, diff_data
from pipeline.shards.settings import ConvertSettings

QUIET = Console(quiet=True)
Labels = dict[str, dict[str, list[AnnotationRecord]]]


def box(sku: int, x: float, y: float, side: float = 10, **fields: int) -> AnnotationRecord:
    return AnnotationRecord.parse({"category_id": sku, "bbox": [x, y, side, side], **fields})


BEFORE: Labels = {
    "train": {"1.png": [box(1, 0, 0), box(2, 20, 10)], "2.png": [box(2, 5, 5)], "3.png": []},
    "val": {"4.png": [box(1, 0, 0)]},
}
KEYS = {1: "tea", 2: "soup"}


def write_set(folder: Path, labels: Labels, keys: dict[int, str] = KEYS, colors: dict[str, str] | None = None) -> Path:
    (folder / "annotations").mkdir(parents=True)
    head = Head([CategoryRecord(id=number, name=key, sku=key) for number, key in keys.items()])
    for split, images in labels.items():
        (folder / "images" / split).mkdir(parents=True)
        rows = []
        for number, (name, records) in enumerate(images.items(), start=1):
            color = (colors or {}).get(name, f"#0000{ord(name[0]):02x}")
            Image.new("RGB", (40, 30), color).save(folder / "images" / split / name)
            own = [replace(one, id=100 * number + at, image_id=number) for at, one in enumerate(records)]
            rows.append(ImageLabels(ImageRecord(id=number, file_name=name, width=40, height=30), own))
        write_coco(folder / "annotations" / f"instances_{split}.json", rows, head)
    return folder


def changed(counts: dict[str, int]) -> dict[str, int]:
    return {change: count for change, count in counts.items() if count and change != "same"}


def test_equal_sets_are_equal_whatever_their_format(tmp_path: Path) -> None:
    source = write_set(tmp_path / "a", BEFORE)
    for name in ("coco", "yolo", "cvat", "huggingface", "voc"):
        assert name in FORMATS
        convert_data(source, tmp_path / name, ConvertSettings(name), QUIET)
        summary = diff_data(source, tmp_path / name, QUIET)
        assert summary.equal and summary.images["same"] == 4 and summary.boxes["same"] == 4, name


@pytest.mark.parametrize(
    ("train", "val", "images", "boxes"),
    [
        ({"1.png": [box(1, 1, 0), box(2, 20, 10)]}, {}, {}, {"moved": 1}),
        ({"1.png": [box(2, 0, 0), box(2, 20, 10)]}, {}, {}, {"of another class": 1}),
        ({"1.png": [box(1, 0, 0), box(2, 20, 10, ignore=1)]}, {}, {}, {"ignored or no longer": 1}),
        ({"1.png": [box(1, 0, 0)]}, {}, {}, {"removed": 1}),
        ({"3.png": [box(1, 0, 0)]}, {}, {}, {"added": 1}),
        # A box that barely overlaps is another one.
        ({"2.png": [box(2, 14, 5)]}, {}, {}, {"added": 1, "removed": 1}),
        # Of two boxes at one place that of the same class belongs to it.
        ({"2.png": [box(1, 5, 5), box(2, 5, 5)]}, {}, {}, {"added": 1}),
        ({"5.png": []}, {}, {"added": 1}, {}),
        ({}, {"5.png": [box(1, 0, 0)]}, {"added": 1}, {"added": 1}),
    ],
)
def test_each_change_is_found_once(
    train: dict[str, list[AnnotationRecord]],
    val: dict[str, list[AnnotationRecord]],
    images: dict[str, int],
    boxes: dict[str, int],
    tmp_path: Path,
) -> None:
    after = {"train": {**BEFORE["train"], **train}, "val": {**BEFORE["val"], **val}}
    summary = diff_data(write_set(tmp_path / "a", BEFORE), write_set(tmp_path / "b", after), QUIET)
    assert (changed(summary.images), changed(summary.boxes)) == (images, boxes)
    assert summary.differences == sum(images.values()) + sum(boxes.values()) * (images != {"added": 1})


def test_images_are_followed(tmp_path: Path) -> None:
    """One comes into another split, one gets another name, one other pixels; one is gone."""
    train = {"1.png": BEFORE["train"]["1.png"], "new.png": BEFORE["train"]["2.png"], "4.png": BEFORE["val"]["4.png"]}
    colors = {"new.png": f"#0000{ord('2'):02x}", "1.png": "red"}
    after = write_set(tmp_path / "b", {"train": train}, colors=colors)
    told: list[Difference] = []
    summary = diff_data(write_set(tmp_path / "a", BEFORE), after, QUIET, told.append)
    assert changed(summary.images) == {"changed": 1, "renamed": 1, "in another split": 1, "removed": 1}
    assert not changed(summary.boxes)
    assert {(one.change, one.image, one.detail) for one in told} == {
        ("changed", "train/1.png", "other bytes"),
        ("renamed", "train/2.png", "train/new.png"),
        ("in another split", "val/4.png", "train"),
        ("removed", "train/3.png", ""),
    }


def test_classes_are_known_by_their_skus(tmp_path: Path) -> None:
    before = write_set(tmp_path / "a", {"train": {"3.png": []}}, {1: "tea", 2: "soup", 4: "rice"})
    after = write_set(tmp_path / "b", {"train": {"3.png": []}}, {1: "soup", 4: "rice", 5: "jam"})
    summary = diff_data(before, after, QUIET)
    assert summary.classes == {"same": 1, "under another id": 1, "added": 1, "removed": 1}


def test_command_and_its_table(tmp_path: Path) -> None:
    after = {"train": {**BEFORE["train"], "1.png": [box(2, 0, 0), box(2, 20, 10)]}, "val": BEFORE["val"]}
    places = [str(write_set(tmp_path / name, labels)) for name, labels in (("a", BEFORE), ("b", after))]
    out = tmp_path / "diff.csv"
    done = CliRunner().invoke(main, ["data", "diff", *places, "--out", str(out)])
    assert done.exit_code == 0 and "of another class" in done.output and "1 difference\n" in done.output, done.output
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "kind": "box", "change": "of another class", "image": "train/1.png", "sku": "tea", "detail": "tea -> soup"
    }  # fmt: skip
    done = CliRunner().invoke(main, ["data", "diff", *places, "--json"])
    assert json.loads(done.stdout)["boxes"]["of another class"] == 1
    done = CliRunner().invoke(main, ["data", "diff", places[0], places[0]])
    assert done.output.endswith("the same images, boxes and classes\n")
