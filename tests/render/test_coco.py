"""COCO files: masks and records make the round trip through pycocotools, ids come from the catalogue."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dataset.coco_writer import CocoCounts, numbered
from dataset.coco_writer import write_coco as write_records
from dataset.masks import encode_crop
from dataset.records import CategoryRecord, Head, ImageLabels, InfoRecord
from render.coco import annotation_record, image_record
from render.frame import MaskCrop
from render.labels import annotate, trace_geometry
from support.errors import raises
from support.scenes import StubLibrary, camera_at, cube, mask_of_rle, pose_at, product, rle_of_mask, scene_of

KEYS = ("apple", "cube", "zebra")


CATEGORIES = [
    CategoryRecord(id=number, name=key.title(), supercategory="toys", sku=key)
    for number, key in enumerate(KEYS, start=1)
]


def rle_of_crop(crop: MaskCrop, height: int, width: int) -> dict[str, Any]:
    return encode_crop(crop.mask, crop.x, crop.y, height, width)


def write_coco(path: Path, made: list[ImageLabels], licence: str = "") -> CocoCounts:
    licenses = [{"id": 1, "name": licence, "url": ""}] if licence else []
    head = Head(CATEGORIES, InfoRecord(description="test"), licenses)
    return write_records(path, numbered(made, CATEGORIES, licensed=bool(licence)), head)


def fragments(count: int) -> list[ImageLabels]:
    library = StubLibrary({"cube": cube()})
    made = []
    for index in range(count):
        cubes = [product("cube", pose_at(x=1.2 * number)) for number in range(index % 3)]
        scene = scene_of(camera_at((0.5, -3, 1), (0.5, 0, 0.5)), *cubes, index=index)
        annotations = annotate(scene, trace_geometry(scene, library))
        image = image_record(scene, file_name=f"images/{index:06d}_0.jpg", backend="raster")
        made.append(ImageLabels(image, [annotation_record(item) for item in annotations]))
    return made


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_a_mask_survives_its_run_lengths(mask: np.ndarray) -> None:
    rle = json.loads(json.dumps(rle_of_mask(mask)))
    assert np.array_equal(mask_of_rle(rle), mask)


@st.composite
def crops(draw: st.DrawFn) -> tuple[MaskCrop, int, int]:
    """A mask somewhere on an image, as high as the image now and then (runs then cross columns)."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rows = height if draw(st.booleans()) else draw(st.integers(1, height))
    columns = draw(st.integers(1, width))
    mask = draw(hnp.arrays(bool, (rows, columns)))
    return MaskCrop(draw(st.integers(0, width - columns)), draw(st.integers(0, height - rows)), mask), height, width


@given(crops())
def test_a_crop_has_the_run_lengths_of_its_image(case: tuple[MaskCrop, int, int]) -> None:
    crop, height, width = case
    assert rle_of_crop(crop, height, width) == rle_of_mask(crop.whole(height, width))


def test_a_crop_beyond_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves an image of 3x3"):
        rle_of_crop(MaskCrop(2, 0, np.ones((1, 2), bool)), 3, 3)


def test_pycocotools_loads_what_was_written(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    path = tmp_path / "instances_train.json"
    counts = write_coco(path, fragments(5), licence="CC0")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert (counts.images, counts.annotations) == (5, 4) == (len(coco.imgs), len(coco.anns))
    assert sorted(coco.imgs) == [1, 2, 3, 4, 5]
    assert sorted(coco.anns) == [1, 2, 3, 4]
    assert {c["id"]: c["sku"] for c in coco.cats.values()} == {1: "apple", 2: "cube", 3: "zebra"}
    for annotation in coco.anns.values():
        assert annotation["category_id"] == 2
        mask = coco.annToMask(annotation).astype(bool)
        assert mask.sum() == annotation["area"]
        x, y, width, height = (int(edge) for edge in annotation["bbox"])
        assert mask[y : y + height, x : x + width].sum() == annotation["area"]
    assert coco.dataset["licenses"][0]["name"] == "CC0"
    assert all(image["license"] == 1 for image in coco.imgs.values())


def test_no_scene_makes_a_valid_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    write_coco(path, [])
    data = json.loads(path.read_text())
    assert (data["images"], data["annotations"], len(data["categories"])) == ([], [], 3)


def test_a_label_of_an_unknown_product_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    fragment = fragments(2)[1]
    fragment = ImageLabels(fragment.image, [replace(fragment.annotations[0], sku="mango")])
    with raises("unknown-sku", what="'mango'"):
        write_coco(tmp_path / "instances.json", [fragment])
    assert list(tmp_path.iterdir()) == []


def test_equal_fragments_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_coco(tmp_path / name, fragments(4))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@given(st.integers(0, 2))
def test_records_hold_plain_json(index: int) -> None:
    fragment = fragments(3)[index]
    content = json.loads(json.dumps(fragment.content(), allow_nan=False))
    assert content == fragment.content() and ImageLabels.parse(content) == fragment
    assert content["image"]["camera"]["K"][2] == [0, 0, 1]
