"""Contact sheets of any data set: which images and instances, how they are drawn, no empty cells."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from assets.errors import SynthError
from dataset.records import AnnotationRecord, LinkRecord, MarkRecord, parse_all
from dataset.shop import ShopRecords
from dataset.storage.path import StoragePath
from dataset.store import open_dataset
from pipeline.cli.main import main
from pipeline.preview.draw import chosen_images, preview_set
from pipeline.preview.sheet import GAP, fill_rows
from pipeline.preview.shop import shop_items
from pipeline.preview.tile import plot_tile, tile_size
from pipeline.preview.types import PreviewImage, PreviewSettings
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from support.errors import raises

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=8,
) | st.lists(st.floats(-1e300, 1e300), min_size=4, max_size=4)
FIELDS = ("bbox", "category_id", "image_id", "segmentation", "sku", "iscrowd", "visibility", "instance")
SQUARE = [20, 10, 40, 10, 40, 30, 20, 30]


def annotation(number: int, image: int, category: int, **fields: Any) -> dict[str, Any]:
    box = {"bbox": [20, 10, 20, 20], "segmentation": [SQUARE], "iscrowd": 0}
    return {"id": number, "image_id": image, "category_id": category, **box, **fields}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Somebody's photographs: polygons, names without SKUs, one box without an outline; images in a folder apart."""
    (tmp_path / "elsewhere").mkdir()
    for number in (1, 2, 3):
        Image.new("RGB", (64, 48), (90, 90, 90)).save(tmp_path / "elsewhere" / f"{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in (1, 2, 3)],
        "categories": [{"id": 5, "name": "tea"}, {"id": 9, "name": "milk"}],
        "annotations": [
            annotation(1, 1, 5, visibility=0.9),
            annotation(2, 2, 9, visibility=0.2),
            annotation(3, 2, 5, visibility=0.3, segmentation=None),
            annotation(4, 3, 9),
        ],
    }
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "labels.json").write_text(json.dumps(content))
    return tmp_path / "shop"


def chosen(path: Path, **options: Any) -> list[tuple[str, list[int]]]:
    source = chosen_images(open_dataset(path, images=path.parent / "elsewhere"), PreviewSettings(**options))
    return [(Path(one.where).stem, [record.id for record in one.records]) for one in source.images]


def test_instances_are_chosen_by_sku_and_visibility(photos: Path) -> None:
    assert chosen(photos) == [("1", [1]), ("2", [2, 3]), ("3", [4])]
    assert chosen(photos, skus=("milk",)) == [("2", [2]), ("3", [4])]
    assert chosen(photos, below_visibility=0.5) == [("2", [2, 3])]
    assert chosen(photos, skus=("milk", "tea"), below_visibility=0.25) == [("2", [2])]
    assert chosen(photos, count=2) == [("1", [1]), ("3", [4])]
    with raises("unknown-sku", what="'mlik'"):
        chosen(photos, skus=("mlik",))
    with raises("filter-empty"):
        chosen(photos, skus=("tea",), below_visibility=0.1)


def test_sets_that_do_not_say_visibility_say_so(photos: Path) -> None:
    file = photos / "labels.json"
    content = json.loads(file.read_text())
    content["annotations"] = [annotation(1, 1, 5)]
    file.write_text(json.dumps(content))
    with raises("filter-empty", hint="no annotation has the field visibility"):
        chosen(photos, below_visibility=0.5)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "..\\secret.png"])
def test_names_of_images_lead_nowhere_else(photos: Path, name: str) -> None:
    Image.new("RGB", (64, 48)).save(photos.parent / "secret.png")
    file = photos / "labels.json"
    content = json.loads(file.read_text())
    content["images"][1]["file_name"] = name
    file.write_text(json.dumps(content))
    with raises("path-unsafe"):
        chosen(photos)


def preview_image(photos: Path, *records: dict[str, Any], size: tuple[int, int] | None = (64, 48)) -> PreviewImage:
    return PreviewImage(
        "here", photos.parent / "elsewhere" / "1.png", size, parse_all(AnnotationRecord, records), {5: "tea"}
    )


def test_outlines_leave_the_print_alone(photos: Path) -> None:
    """The middle of a product is as photographed, its border is not; with masks the middle is tinted."""
    colored = {}
    for style in ("outline", "mask", "box"):
        tile = np.asarray(plot_tile(preview_image(photos, annotation(1, 1, 5)), (256, 192), style)).astype(int)  # type: ignore[arg-type]
        colored[style] = (tile != 90).any(axis=2)
    assert not colored["outline"][60:100, 100:140].any() and colored["mask"][60:100, 100:140].all()
    assert not colored["box"][60:100, 100:140].any()
    for style in ("outline", "mask", "box"):
        assert colored[style][60:100, 78:84].any(axis=1).all()
    # A triangle has an outline of its own: its box is drawn in the style of boxes alone.
    corner = annotation(1, 1, 5, segmentation=[[20, 10, 40, 30, 20, 30]])
    for style, drawn in (("outline", False), ("mask", True), ("box", True)):
        tile = np.asarray(plot_tile(preview_image(photos, corner), (256, 192), style)).astype(int)  # type: ignore[arg-type]
        assert (tile[50:60, 155:163] != 90).any() == drawn


def test_a_product_its_tag_and_the_line_between_have_one_colour(photos: Path) -> None:
    boxes = [{"bbox": [x, y, 6, 6], "segmentation": None} for x, y in ((2, 2), (50, 40), (30, 2))]
    products = [{"instance": 1, **boxes[0]}, {"instance": 2, **boxes[2]}]
    tag = {"kind": "price_tag", "position": "bay 1/1/1", "text": "tea 1.99", "instance": 9, **boxes[1]}
    links = [{"instance": 1, "position": "bay 1/1/1", "tag_instance": 9}, {"instance": 2}]
    shop = ShopRecords(parse_all(MarkRecord, [tag]), parse_all(LinkRecord, links))
    image = replace(preview_image(photos, *products), shop=shop)
    items = list(shop_items(image.records, shop))
    assert [words for _, _, words in items] == ["", "", "1.99"]
    assert items[0][1] == items[2][1] != items[1][1]
    tile = np.asarray(plot_tile(image, (256, 192), "box")).astype(int)
    across = tile[60:140, 40:180]
    assert (across == items[0][1]).all(axis=2).sum() > 100 and not (across == items[1][1]).all(axis=2).any()


@pytest.mark.parametrize("sharded", [False, True])
def test_labels_of_shops_are_drawn_where_they_are(shop: RunSettings, tmp_path: Path, sharded: bool) -> None:
    place = tmp_path / "shards" if sharded else shop.out
    if sharded:
        pack_data(shop.out, StoragePath(str(place)), Console(quiet=True))
    for unfinished in (False, True):
        (first, _) = chosen_images(open_dataset(place, unfinished=unfinished), PreviewSettings(shop=True)).images
        assert first.shop is not None and len(first.shop.links) == len(first.records)
    (first, _) = chosen_images(open_dataset(place), PreviewSettings()).images
    assert first.shop is None


def test_sets_without_labels_of_shops_say_so(photos: Path) -> None:
    with raises("shop-labels-missing"):
        chosen(photos, shop=True)


def test_boxes_that_never_end_are_cut(photos: Path) -> None:
    """A dashed line of 10^13 pixels would be drawn for hours."""
    endless = annotation(1, 1, 5, bbox=[-1e13, 10, 2e13, 1e300], ignore=1)
    tile = np.asarray(plot_tile(preview_image(photos, endless), (256, 192), "outline"))
    assert (tile[40] != 90).any()


def test_what_has_no_outline_has_a_box(photos: Path) -> None:
    for outline in (None, [[1, 2]], {"size": [1, 1], "counts": "1"}):
        tile = np.asarray(
            plot_tile(preview_image(photos, annotation(1, 1, 5, segmentation=outline)), (256, 192), "outline")
        )
        assert (tile[60:100, 78:84].astype(int) != 90).any(axis=(1, 2)).all()


@given(st.dictionaries(st.sampled_from(FIELDS), JUNK, min_size=1))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_of_strangers_end_in_order(photos: Path, fields: dict[str, Any]) -> None:
    """Whatever a label holds there is an image or an error: no traceback, no line without an end."""
    content = json.loads((photos / "labels.json").read_text())
    content["annotations"][0].update(fields)
    (photos / "junk.json").write_text(json.dumps(content))
    for below in (None, 1.0):
        with suppress(SynthError):
            store = open_dataset(photos / "junk.json", images=photos.parent / "elsewhere")
            for one in chosen_images(store, PreviewSettings(below_visibility=below)).images:
                plot_tile(one, (64, 48), "outline")


def test_photographs_turned_by_exif_are_drawn_as_their_labels_count(photos: Path) -> None:
    image = Image.new("RGB", (64, 48), (90, 90, 90))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(photos.parent / "elsewhere" / "1.png", exif=exif)
    assert tile_size(preview_image(photos)) == (64, 48) and preview_image(photos).read().shape == (48, 64, 3)
    turned = preview_image(photos, size=(48, 64))
    assert tile_size(turned) == (48, 64) and (turned.read()[0, -1] == 255).all()


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=14))
@settings(max_examples=40)
def test_rows_have_no_empty_cells(sizes: list[tuple[int, int]]) -> None:
    rows = fill_rows(sizes, 3, 1000)
    assert sum(map(len, rows)) == len(sizes) and all(1 <= len(row) <= 3 for row in rows)
    for row in rows:
        assert len({height for _, height in row}) == 1
        width = sum(width for width, _ in row) + GAP * (len(row) + 1)
        assert width == 1000 or (len(rows) == 1 and width <= 1001)


def test_command_takes_foreign_sets(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    images = ("--images", "elsewhere")
    result = CliRunner().invoke(main, ["preview", "shop", *images, "--sku", "tea", "--sku", "milk"])
    assert result.exit_code == 0 and "wrote preview.png" in result.output, result.output
    # Three images in a row, nothing beside them.
    with Image.open("preview.png") as sheet:
        assert sheet.size == (1952, 40 + 8 + 480 + 8)
    result = CliRunner().invoke(main, ["preview", "shop/labels.json", *images, "--below-visibility", "0.25"])
    assert result.exit_code == 0, result.output
    assert not (photos / "preview.png").exists()


def test_rendered_sets_are_filtered_too(rendered: RunSettings, tmp_path: Path) -> None:
    labels = [json.loads(file.read_text())["annotations"] for file in sorted((rendered.out / "labels").iterdir())]
    sku = labels[0][0]["sku"]
    source = chosen_images(open_dataset(rendered.out, unfinished=True), PreviewSettings(skus=(sku,)))
    having = [records for records in labels if any(record["sku"] == sku for record in records)]
    assert source.total == len(labels) and len(source.images) == len(having)
    assert all({record.sku for record in one.records} == {sku} for one in source.images)
    with raises("filter-empty"):
        preview_set(str(rendered.out), tmp_path / "sheet.png", PreviewSettings(below_visibility=0.0))
