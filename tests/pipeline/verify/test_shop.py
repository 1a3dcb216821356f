"""Labels of shops: a sound set is clean, and every kind of damage is found and named."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset.layout import Layout
from pipeline.run.settings import RunSettings
from pipeline.verify.job import _compare_extras
from pipeline.verify.scenes import compare_shop
from pipeline.verify.shop import check_merged, check_shop
from render.scene import SceneSpec
from support.scenes import sign_files
from support.verified import verified

Record = dict[str, Any]
Edit = Callable[[Record], object]
STEM = "000000_0"


@pytest.fixture
def damaged(shop: RunSettings) -> Path:
    """A copy to damage, beside the set, so that its sources are found."""
    folder = shop.out.with_name("damaged")
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(shop.out, folder))


def change(file: Path, edit: Edit) -> None:
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))


def mark(data: Record, kind: str) -> Record:
    return next(record for record in data["annotations"] if record["kind"] == kind)


def linked(data: Record) -> Record:
    return next(link for link in data["links"] if "tag_instance" in link)


def put(kind: str, /, **fields: Any) -> Edit:
    return lambda data: mark(data, kind).update(fields)


def put_link(**fields: Any) -> Edit:
    return lambda data: linked(data).update(fields)


@pytest.mark.usefixtures("no_images")
def test_a_sound_set_is_clean_and_a_changed_number_is_named(shop: RunSettings, damaged: Path, cache: Path) -> None:
    report = verified(shop.out, cache=cache, sample=1)
    assert (report.violations, report.skipped, report.scenes_sampled) == ((), (), 1)
    layout = Layout(damaged)
    change(layout.file("shop", STEM), lambda data: linked(data)["sides"].update(front=0.123))
    change(layout.shop("train"), put("price_tag", area=7))
    told = "\n".join(map(str, verified(damaged, cache=cache, sample=0).violations))
    for words in (f"shop/{STEM}.json: has a different checksum", "annotations/shop_train.json: has a different"):
        assert words in told
    assert re.search(rf"shop/{STEM}.json link of instance \d+: the shares of the sides are", told)
    assert re.search(r"annotations/shop_train.json annotations\[\d\]: area not as in shop/", told)
    layout.file("shop", STEM).unlink()
    sign_files(damaged)
    told = "\n".join(map(str, verified(damaged, cache=cache, sample=1).violations))
    assert f"shop/{STEM}.json" in told


DAMAGES: dict[str, tuple[Edit, str]] = {
    "another price": (put("price_tag", text="0.01"), "no mark of the scene"),
    "another board": (put("shelf_line", position="bay 9/9"), "no mark of the scene"),
    "a tag without text": (lambda data: mark(data, "price_tag").pop("text"), "expected a text"),
    "a line with text": (put("shelf_line", text="x"), "expected none"),
    "an unknown kind": (put("shelf_line", kind="wall"), "expected one of price_tag"),
    "area off by one": (
        lambda data: mark(data, "shelf_line").update(area=mark(data, "shelf_line")["area"] + 1),
        "area",
    ),
    "box moved": (put("price_tag", bbox=[0.0, 0.0, 1.0, 1.0]), "but the mask's is"),
    "a mask that is none": (put("price_tag", segmentation={"size": [48, 64], "counts": "~"}), "run lengths"),
    "ends that are words": (put("shelf_line", ends=["a", "b"]), "expected x1"),
    "a tag of another instance": (put("price_tag", instance=1), "no mark of the scene"),
    "a crowd": (put("price_tag", iscrowd=1), "iscrowd is 0"),
    "a product in another place": (put_link(position="bay 9/9/9"), "in the scene"),
    "a product linked to no tag": (lambda data: linked(data).pop("tag_instance"), "but its position's is"),
    "a link less": (lambda data: data["links"].pop(), "other products"),
    "sides that do not add up": (put_link(sides=dict.fromkeys(("front", "back", "left"), 0.1)), "expected shares"),
    "sides of another kind": (put_link(sides=3), "cannot be used"),
    "records that are no objects": (lambda data: data["annotations"].insert(0, 3), "cannot be used"),
    "no links": (lambda data: data.pop("links"), "cannot be used"),
}


@pytest.fixture(scope="module")
def first(shop: RunSettings) -> tuple[Record, Record, list[Record], SceneSpec]:
    """Labels of shops, image and products of the first image, and its scene."""
    layout = Layout(shop.out)
    own = json.loads(layout.labels(STEM).read_text())
    labels = json.loads(layout.file("shop", STEM).read_text())
    return labels, own["image"], own["annotations"], SceneSpec.from_json(layout.scene(STEM).read_text())


def found(labels: Record, first: tuple[Record, Record, list[Record], SceneSpec]) -> str:
    return "\n".join(map(str, check_shop(json.dumps(labels).encode(), *first[1:3], "a", first[3])))


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_of_an_image_is_found(first: tuple[Record, Record, list[Record], SceneSpec], name: str) -> None:
    assert found(first[0], first) == ""
    edit, words = DAMAGES[name]
    edit(labels := copy.deepcopy(first[0]))
    assert re.search(words, found(labels, first)), found(labels, first)
    fresh = json.dumps(first[0]).encode()
    again = list(compare_shop(json.dumps(labels).encode(), fresh, "a"))
    assert again or "cannot be used" in words


def test_scenes_of_jobs_are_compared_too(first: tuple[Record, Record, list[Record], SceneSpec]) -> None:
    edit, _ = DAMAGES["another price"]
    edit(other := copy.deepcopy(first[0]))
    made, stored = ({"shop.json": json.dumps(one).encode()} for one in (first[0], other))
    assert not list(_compare_extras(made, made, "a"))
    assert "text differ when traced again" in str(next(_compare_extras(stored, made, "a")))
    assert "shop.json is missing" in str(next(_compare_extras({}, made, "a")))


MERGED: dict[str, tuple[Edit, str]] = {
    "a licence": (lambda data: data.update(licenses=[{"id": 1}]), "licenses"),
    "categories in another order": (lambda data: data["categories"].reverse(), "categories are not price_tag"),
    "an image of another name": (lambda data: data["images"][1].update(file_name="x.jpg"), r"images\[1\]: file_name"),
    "another category": (put("price_tag", category_id=2), "category_id not as in shop/"),
    "a field more": (put("price_tag", note="x"), "note not as in shop/"),
    "a link to another product": (lambda data: data["links"][0].update(annotation_id=99), r"links\[0\]: annotation_id"),
    "a link to another tag": (lambda data: linked(data).update(tag_id=99), "tag_id not as in"),
    "a mark less": (lambda data: data["annotations"].pop(), "not as in shop/"),
    "a mark more": (lambda data: data["annotations"].append({}), "more than the"),
    "no list of links": (lambda data: data.pop("links"), "not as in shop/"),
    "images that are none": (lambda data: data.update(images=[3]), "cannot be used"),
}


@pytest.mark.parametrize("name", MERGED)
def test_every_damage_of_the_merged_file_is_found(shop: RunSettings, damaged: Path, name: str) -> None:
    assert not list(check_merged(Layout(shop.out), "train"))
    edit, words = MERGED[name]
    change(Layout(damaged).shop("train"), edit)
    told = "\n".join(map(str, check_merged(Layout(damaged), "train")))
    assert re.search(f"annotations/shop_train.json.*{words}", told), told


def test_a_merged_file_that_is_missing_or_damaged_is_named(damaged: Path) -> None:
    file = Layout(damaged).shop("train")
    file.write_text("{")
    assert "cannot be used" in str(next(check_merged(Layout(damaged), "train")))
    file.unlink()
    assert "cannot be used" in str(next(check_merged(Layout(damaged), "train")))
