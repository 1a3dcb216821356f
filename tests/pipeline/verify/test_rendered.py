"""Verify: a sound data set is clean, and every kind of damage is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from PIL import Image
from rich.console import Console

from pipeline.run.settings import RunSettings
from pipeline.verify.masks import decode_mask, tight_box
from pipeline.verify.report import print_report
from render.geometry import box_of_mask, xywh_from_xyxy
from support.errors import raises
from support.scenes import rle_of_mask, sign_files
from support.verified import verified


@pytest.fixture
def copy(rendered: RunSettings) -> Path:
    """A copy of the rendered set to damage, beside it, so that its sources are found."""
    folder = rendered.out.with_name("copy")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rendered.out, folder)
    return folder


def test_a_sound_set_is_clean(rendered: RunSettings, cache: Path) -> None:
    report = verified(rendered.out, cache=cache)
    assert (report.violations, report.skipped) == ((), ())
    assert (report.images, report.scenes_sampled, report.images_rendered) == (8, 4, 8)
    assert report.annotations > 20


def test_categories_as_earlier_versions_wrote_them_are_right(copy: Path, cache: Path) -> None:
    def earlier(data: dict) -> None:
        for entry in data["categories"]:
            entry["name"] = entry.pop("display_name")

    edit(earlier)(copy)
    sign_files(copy)
    assert verified(copy, sample=0, cache=cache).violations == ()


def edit(change: Callable[[dict], None], split: str = "train") -> Callable[[Path], None]:
    """Damage to a COCO file."""

    def damage(folder: Path) -> None:
        path = folder / "annotations" / f"instances_{split}.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return damage


def first(data: dict) -> dict:
    """The annotation of the largest mask: something to damage."""
    return max(data["annotations"], key=lambda item: item["area"])


def put(field: str, value: object) -> Callable[[Path], None]:
    return edit(lambda data: first(data).update({field: value}))


def empty_mask(data: dict) -> None:
    size = first(data)["segmentation"]["size"]
    first(data)["segmentation"] = rle_of_mask(np.zeros(size, bool))


def second_mask_like_first(data: dict) -> None:
    image = first(data)["image_id"]
    others = [item for item in data["annotations"] if item["image_id"] == image and item is not first(data)]
    others[0]["segmentation"] = first(data)["segmentation"]


def swap_categories(data: dict) -> None:
    data["categories"][0]["sku"], data["categories"][1]["sku"] = "b", "a"


def overwrite(pattern: str, data: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        next(iter(sorted(folder.glob(pattern)))).write_bytes(data)

    return damage


def delete(pattern: str) -> Callable[[Path], None]:
    return lambda folder: next(iter(sorted(folder.glob(pattern)))).unlink()


def shrink_image(folder: Path) -> None:
    file = sorted(folder.glob("images/*.jpg"))[0]
    Image.new("RGB", (10, 10)).save(file)


def blacken(pattern: str, mode: str = "I;16") -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = sorted(folder.glob(pattern))[0]
        with Image.open(file) as image:
            size = image.size
        Image.new(mode, size).save(file)

    return damage


def move_camera(folder: Path) -> None:
    file = sorted(folder.glob("scenes/*.json"))[0]
    data = json.loads(file.read_text())
    data["camera"]["K"][0][0] += 1
    file.write_text(json.dumps(data, separators=(",", ":")))


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (put("area", 3), "area 3, but the mask has"),
    (put("bbox", [0.0, 0.0, 1.0, 1.0]), "bbox .*, but the mask's is"),
    (put("id", 9999), "ids are dense from 1"),
    (put("category_id", 9999), "is not one of the categories"),
    (put("sku", "other"), "but its category is"),
    (put("visibility", 0.123), "visibility 0.123, but"),
    (put("visibility", "high"), "visibility 'high', expected a number"),
    (put("truncation", -1), "truncation -1"),
    (put("ignore", 1), "ignore 1, but"),
    (put("iscrowd", 1), "iscrowd 1"),
    (put("amodal_bbox", [0, 0, 1, 1]), "does not contain the amodal mask"),
    (put("amodal_bbox", None), "expected four numbers"),
    (put("camera_from_object", np.diag([2, 1, 1, 1]).tolist()), "not a rigid 4x4 pose"),
    (put("camera_from_object", np.eye(4).tolist()), "camera_from_object of instance"),
    (put("segmentation", {"size": [72, 96], "counts": "zzzz"}), "run lengths do not fill"),
    (put("segmentation", {"size": [1, 1], "counts": "1"}), "expected an RLE of size"),
    (put("segmentation", [[1, 2, 3]]), "expected an RLE"),
    (put("instance", 0), "instance 0"),
    (edit(empty_mask), "the mask is empty"),
    (edit(second_mask_like_first), "pixels also belong to another mask"),
    (edit(swap_categories), "categories differ from the catalogue"),
    (edit(lambda data: data["categories"][2].update(name="Other")), "categories differ .*'Other'"),
    (edit(lambda data: data["categories"].pop()), "categories differ .* 15 instead of 16"),
    (edit(lambda data: data["images"].pop()), "is no image of the file|is in no annotation file"),
    (edit(lambda data: data["images"][0].update(id=77)), "id 77, expected 1"),
    (edit(lambda data: data["images"][0].update(width="wide")), "width 'wide'"),
    (edit(lambda data: data["images"][0]["camera"].update(K=[[1]])), "camera.K is"),
    (
        edit(lambda data: data["images"][0]["camera"].update(rolling_shutter=[0, 0, 1])),
        "camera.rolling_shutter differs",
    ),
    (edit(lambda data: data["images"][0].pop("camera")), "camera is missing"),
    (edit(lambda data: data["annotations"].reverse()), "out of the images' order|ids are dense"),
    (edit(lambda data: data.pop("categories")), "is not one of the categories|categories differ"),
    (overwrite("annotations/instances_train.json", b'{"images": [{"id": 1'), "cannot be read as COCO"),
    (overwrite("annotations/instances_train.json", b"\xff\xfe\x00"), "cannot be read as COCO"),
    (overwrite("annotations/instances_train.json", b"[]"), "is in no annotation file"),
    (delete("annotations/instances_val.json"), "is missing"),
    (delete("images/*.jpg"), "is missing"),
    (overwrite("images/*.jpg", b"not an image"), "cannot be read"),
    (shrink_image, "is 10x10 px, expected 96x72"),
    (lambda folder: (folder / "images" / "stray.jpg").write_bytes(b"x"), "belongs to no image"),
    (lambda folder: (folder / "images" / ".a.tmp").write_bytes(b"x"), "left half written"),
    (delete("depth/*.png"), "depth/.* is missing"),
    (blacken("depth/*.png"), "depth: .* pixels of instance .* have none"),
    (blacken("ids/*.png"), "ids: instance .* has 0 pixels"),
    (overwrite("normals/*.png", b"x"), "normals/.* cannot be read"),
    (overwrite("scenes/*.json", b"{}"), "scenes/.* cannot be used"),
    (move_camera, "camera.K differs|sampled again"),
    (
        overwrite("labels/*.json", b'{"image": {}, "annotations": []}'),
        "holds different annotations|traced again",
    ),
    (delete("labels/*.json"), "labels/.* cannot be used"),
]


@pytest.mark.parametrize("number", range(len(DAMAGE)))
@pytest.mark.usefixtures("no_images")
def test_every_kind_of_damage_is_told(copy: Path, cache: Path, number: int) -> None:
    damage, told = DAMAGE[number]
    damage(copy)
    report = verified(copy, cache=cache, sample=4 if "sampled again" in told else 0)
    import re

    found = [str(violation) for violation in report.violations]
    assert any(re.search(told, text) for text in found), found[:5]


@pytest.mark.usefixtures("no_images")
def test_a_moved_list_is_said_and_can_be_given(rendered: RunSettings, cache: Path, tmp_path: Path) -> None:
    moved = tmp_path / "deep" / "er" / "set"
    shutil.copytree(rendered.out, moved)
    report = verified(moved, cache=cache)
    assert report.violations == ()
    assert "give --sku-list" in report.skipped[0]
    assert verified(moved, cache=cache, sku_list=rendered.sku_list).skipped == ()


def test_another_list_proves_nothing(rendered: RunSettings, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("\n".join(rendered.sku_list.read_text().splitlines()[:5]) + "\n")
    report = verified(rendered.out, cache=cache, sku_list=other)
    assert "the SKU list has changed" in report.skipped[0]


@pytest.mark.usefixtures("here")
def test_a_set_of_other_draws_is_not_drawn_again(copy: Path, cache: Path) -> None:
    """Sets from before the draws changed are sound all the same."""
    info = json.loads((copy / "dataset.json").read_text())
    del info["identity"]["drawing"]
    (copy / "dataset.json").write_text(json.dumps(info))
    sign_files(copy)
    report = verified(copy, cache=cache)
    assert report.violations == () and report.scenes_sampled == 0
    assert "sampled other scenes" in report.skipped[0]


def test_no_data_set_is_an_error(tmp_path: Path, cache: Path) -> None:
    with raises("file-missing"):
        verified(tmp_path, cache=cache)
    (tmp_path / "dataset.json").write_text("{")
    with raises("json-invalid"):
        verified(tmp_path, cache=cache)


@pytest.mark.usefixtures("no_images")
def test_the_report_ends_with_a_verdict(rendered: RunSettings, copy: Path, cache: Path) -> None:
    console = Console(record=True, width=200)
    print_report(console, verified(rendered.out, cache=cache, sample=1))
    assert "clean: 8 images" in console.export_text()
    put("area", 3)(copy)
    print_report(console, verified(copy, cache=cache, sample=0))
    text = console.export_text()
    assert "area 3" in text and "violations in 8 images" in text


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30)).filter(np.any))
def test_its_own_decoder_and_box_agree_with_the_writer(mask: np.ndarray) -> None:
    decoded = decode_mask(rle_of_mask(mask), *mask.shape)
    assert np.array_equal(decoded, mask)
    assert tight_box(rle_of_mask(mask)) == list(xywh_from_xyxy(box_of_mask(mask)))
