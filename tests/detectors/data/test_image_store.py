"""Image sets on disk: the same after the round trip, mapped and not read."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from detectors.data.image_set import ImageSet, Packed, open_images
from support.sets.coco_files import annotation, coco, read_set, write_set


def columns(images: ImageSet) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for field in fields(images):
        value = getattr(images, field.name)
        if isinstance(value, Packed):
            found |= {f"{field.name}.data": value.data, f"{field.name}.offsets": value.offsets}
        elif isinstance(value, np.ndarray):
            found[field.name] = value
    return found


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    content = coco(4, group=[0, 0, 1, 1])
    content["images"][2]["file_name"] = "Bläder/Käse 7.png"
    content["annotations"][0] |= {"segmentation": [[2, 2, 9, 2, 9, 9]], "visibility": 0.5, "iscrowd": 1}
    return read_set(write_set(tmp_path / "set", content))[0]


def check_same(before: ImageSet, after: ImageSet) -> None:
    assert (after.name, after.classes, after.root) == (before.name, before.classes, before.root.resolve())
    for name, column in columns(before).items():
        other = columns(after)[name]
        assert other.dtype == column.dtype
        np.testing.assert_array_equal(other, column)


def test_round_trip(images: ImageSet, tmp_path: Path) -> None:
    images.save(tmp_path / "stored")
    again = open_images(tmp_path / "stored")
    check_same(images, again)
    assert again.path(2).is_file() and again.path(2).name == "Käse 7.png"
    check_same(images.take(np.array([3, 0])), again.take(np.array([3, 0])))


def test_columns_are_mapped_and_cannot_be_changed(images: ImageSet, tmp_path: Path) -> None:
    images.save(tmp_path)
    again = open_images(tmp_path)
    for name, column in columns(again).items():
        assert isinstance(column, np.memmap), name
        assert not column.flags.writeable, name


@pytest.mark.parametrize(
    ("kept", "boxes"),
    [
        ([], 2),  # no image at all
        ([0, 1, 2], 0),  # images, no box: pure background
    ],
)
def test_empty_columns(tmp_path: Path, kept: list[int], boxes: int) -> None:
    images = read_set(write_set(tmp_path / "set", coco(boxes=boxes)))[0].take(np.array(kept, np.int64))
    images.save(tmp_path / "stored")
    again = open_images(tmp_path / "stored")
    check_same(images, again)
    assert len(again) == len(kept) and again.boxes.shape == (len(kept) * boxes, 4)


def test_a_second_save_replaces_the_first(images: ImageSet, tmp_path: Path) -> None:
    images.save(tmp_path)
    images.take(np.array([1])).save(tmp_path)
    check_same(images.take(np.array([1])), open_images(tmp_path))
    assert not list(tmp_path.glob(".*"))


def test_take_keeps_images_with_their_boxes_in_any_order(tmp_path: Path) -> None:
    content = coco(3, boxes=0)
    content["annotations"] = [annotation(10 * i + k, i, 1) for i in (1, 2, 3) for k in range(1, i + 1)]
    images = read_set(write_set(tmp_path, content))[0].take(np.array([2, 0, 2]))
    assert images.image_ids.tolist() == [3, 1, 3] and np.diff(images.first).tolist() == [3, 1, 3]
    assert images.annotation_ids.tolist() == [31, 32, 33, 11, 31, 32, 33]
    assert images.image_of_box().tolist() == [0, 0, 0, 1, 2, 2, 2]
