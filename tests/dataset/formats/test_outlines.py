"""One polygon for a mask fills the same pixels again, whatever fills it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as codec
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.formats.outlines import outline_of
from dataset.masks import compressed_mask, decode_mask, encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings


def filled(polygon: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """By COCO's rule."""
    return codec.decode(codec.merge(codec.frPyObjects([polygon.ravel().tolist()], height, width)))


@given(mask=arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)))
def test_any_mask_comes_back_by_cocos_rule(mask: NDArray[np.uint8]) -> None:
    polygon = outline_of(mask)
    if mask.any():
        np.testing.assert_array_equal(filled(polygon, *mask.shape), mask)
    else:
        assert polygon.shape == (0, 2)


def shapes() -> dict[str, NDArray[np.uint8]]:
    """A disc, a ring, and a disc behind a post, all as products are in images."""
    y, x = np.mgrid[:80, :100]
    disc = ((x - 45) ** 2 + (y - 40) ** 2 < 30**2).astype(np.uint8)
    ring = disc * ((x - 45) ** 2 + (y - 40) ** 2 > 14**2)
    return {"disc": disc, "ring": ring, "halves": disc * ((x < 40) | (x > 50))}


@pytest.mark.parametrize("name", shapes())
def test_shapes_come_back_as_ultralytics_fills_them(name: str) -> None:
    """It rounds corners down and fills with OpenCV, which draws bridges of one pixel."""
    mask = shapes()[name]
    drawn = np.zeros_like(mask)
    cv2.fillPoly(drawn, [outline_of(mask).astype(np.int32)], 1)
    assert (drawn & mask).sum() / (drawn | mask).sum() >= 0.98
    np.testing.assert_array_equal(filled(outline_of(mask), *mask.shape), mask)


def test_products_with_masks_go_to_yolo_and_back(tmp_path: Path) -> None:
    (tmp_path / "source" / "images" / "train").mkdir(parents=True)
    (tmp_path / "source" / "annotations").mkdir()
    Image.new("RGB", (100, 80)).save(tmp_path / "source" / "images" / "train" / "a.png")
    masks = list(shapes().values())
    records = [
        AnnotationRecord(
            id=number,
            image_id=1,
            category_id=1,
            bbox=[float(value) for value in codec.toBbox(codec.encode(np.asfortranarray(mask)))],
            segmentation=encode_crop(mask.astype(bool), 0, 0, 80, 100),
        )
        for number, mask in enumerate(masks, start=1)
    ]
    image = ImageLabels(ImageRecord(id=1, file_name="a.png", width=100, height=80), records)
    head = Head([CategoryRecord(id=1, name="tea", sku="t")])
    write_coco(tmp_path / "source" / "annotations" / "instances_train.json", [image], head)
    quiet = Console(quiet=True)
    summary = convert_data(tmp_path / "source", tmp_path / "yolo", ConvertSettings("yolo-segment"), quiet)
    assert not summary.lost
    (part,) = open_labels(tmp_path / "yolo").parts
    (labels,) = part.labels()
    assert len(labels.annotations) == len(masks)
    for before, after, mask in zip(records, labels.annotations, masks, strict=True):
        counts = compressed_mask(after.segmentation, 80, 100)
        assert isinstance(counts, bytes)
        again = decode_mask(counts, 80, 100)
        assert (again & mask).sum() / (again | mask).sum() > 0.999
        assert after.area == pytest.approx(mask.sum(), rel=0.04)
        assert after.bbox == pytest.approx(before.bbox, abs=0.51)
