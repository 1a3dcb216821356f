"""Labels of shops of a run: linked to its products, readable by any COCO tool, and only where there can be any."""

from __future__ import annotations

from pathlib import Path

import pytest
from pycocotools.coco import COCO

from assets.demo import demo_list
from dataset.checksums import sha256
from dataset.find import find_coco_file
from dataset.layout import Layout
from dataset.shop import KINDS, SIDES, ShopRecords
from pipeline.run.extras import check_extras
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from render.recipes import load_recipe
from render.scene import SceneSpec
from support.console import quiet
from support.errors import raises


@pytest.fixture(scope="module")
def files(shop: RunSettings) -> tuple[COCO, COCO]:
    """Products, and labels of shops."""
    layout = Layout(shop.out)
    return COCO(str(layout.annotations("train"))), COCO(str(layout.shop("train")))


def test_the_file_is_what_a_coco_tool_expects(files: tuple[COCO, COCO]) -> None:
    products, marks = files
    assert marks.imgs == products.imgs and len(marks.imgs) == 2
    assert [one["name"] for one in marks.cats.values()] == list(KINDS)
    assert sorted(marks.anns) == list(range(1, len(marks.anns) + 1))
    for mark in marks.anns.values():
        assert marks.annToMask(mark).sum() == mark["area"] > 0
        assert marks.cats[mark["category_id"]]["name"] == mark["kind"]
    assert {mark["kind"] for mark in marks.anns.values()} >= {"price_tag", "shelf_line"}


def test_each_product_is_linked_to_its_place_and_the_tag_there(files: tuple[COCO, COCO], shop: RunSettings) -> None:
    products, marks = files
    links = marks.dataset["links"]
    assert [link["annotation_id"] for link in links] == sorted(products.anns)
    scenes = {
        number: SceneSpec.from_json(Layout(shop.out).scene(image["file_name"].removesuffix(".jpg")).read_text())
        for number, image in products.imgs.items()
    }
    linked = 0
    for link in links:
        product = products.anns[link["annotation_id"]]
        marked = scenes[product["image_id"]].marks
        assert (link["image_id"], link["instance"]) == (product["image_id"], product["instance"])
        assert marked is not None and link.get("position", "") == marked.positions[link["instance"] - 1]
        assert list(link["sides"]) == list(SIDES) and sum(link["sides"].values()) == pytest.approx(1, abs=1e-5)
        if "tag_id" in link:
            tag = marks.anns[link["tag_id"]]
            assert (tag["kind"], tag["position"], tag["image_id"]) == ("price_tag", link["position"], link["image_id"])
            linked += 1
    assert linked


def test_digests_speak_for_them(shop: RunSettings) -> None:
    lines = (shop.out / "checksums.sha256").read_text()
    for name in ("annotations/shop_train.json", "shop/000001_0.json"):
        assert f"{sha256((shop.out / name).read_bytes())}  {name}\n" in lines


@pytest.mark.parametrize("recipe", ["tabletop", (("tabletop", 0.5), ("scatter", 0.5))])
def test_recipes_without_marks_are_refused_before_anything_is_written(tmp_path: Path, recipe: object) -> None:
    settings = RunSettings(demo_list(), tmp_path / "set", scenes=1, recipe=recipe, extras=("shop",))  # type: ignore[arg-type]
    with raises("shop-labels-missing", expected="shelf, fridge, endcap"):
        run_render(settings, quiet())
    assert not (tmp_path / "set").exists()


def test_a_mix_needs_one_recipe_with_marks() -> None:
    check_extras(("shop",), load_recipe((("tabletop", 0.5), ("shelf", 0.5))))


def test_damaged_labels_name_their_file() -> None:
    for data in (b"[", b"{}", b'{"annotations": 1, "links": []}', b'{"annotations": [1], "links": []}'):
        with raises("labels-damaged", "json-invalid", where="a.json"):
            ShopRecords.parse(data, "a.json")


def test_the_file_of_products_is_found_beside_it(tmp_path: Path) -> None:
    for name in ("instances_val.json", "shop_val.json"):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / name).write_text("{}")
    assert find_coco_file(tmp_path, ("train",)).name == "instances_val.json"
    (tmp_path / "annotations" / "instances_val.json").unlink()
    assert find_coco_file(tmp_path, ("train",)).name == "shop_val.json"
