"""`synth data filter`, `sample` and `split`: which images and products come along, and that nothing is mixed up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.shards.choose import filter_data, sample_data, split_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import ConvertSettings, FilterSettings, PackSettings, SampleSettings, SplitSettings
from support.errors import raises

QUIET, COCO = Console(quiet=True), ConvertSettings()
SKUS = {3: "tea", 7: "soup", 9: "rice"}
# Of an image: name, group, and category, side and visibility of each product.
Row = tuple[str, str | None, list[tuple[int, float, float]]]


def write_set(folder: Path, splits: dict[str, list[Row]]) -> Path:
    """A COCO set whose images have a colour of their own, so that mixed ones are noticed."""
    (folder / "annotations").mkdir(parents=True)
    for split, rows in splits.items():
        (folder / "images" / split).mkdir(parents=True)
        images = []
        for number, (name, group, products) in enumerate(rows, start=1):
            Image.new("RGB", (40, 30), color_of(split, name)).save(folder / "images" / split / name)
            records = [
                AnnotationRecord(
                    id=10 * number + at, image_id=number, category_id=sku, bbox=[0, 0, side, side], visibility=seen
                )
                for at, (sku, side, seen) in enumerate(products)
            ]
            image = ImageRecord(id=number, file_name=name, width=40, height=30, group=group)
            images.append(ImageLabels(image, records))
        head = Head([CategoryRecord(id=number, name=sku.title(), sku=sku) for number, sku in SKUS.items()])
        write_coco(folder / "annotations" / f"instances_{split}.json", images, head)
    return folder


def color_of(split: str, name: str) -> tuple[int, int, int]:
    return len(split) * 20, sum(name.encode()) % 256, 0


def found(folder: Path) -> dict[str, list[tuple[str, list[tuple[int | None, bool]]]]]:
    """By split: names, and category and whether it is ignored of each product."""
    rows: dict[str, list[Any]] = {}
    for part in open_labels(folder).parts:
        for labels in part.labels():
            products = [(one.category_id, one.ignored) for one in labels.annotations]
            rows.setdefault(part.split, []).append((labels.image.file_name, products))
    return rows


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Both splits have an image of one name; products are large and small, seen and hidden."""
    rows: dict[str, list[Row]] = {
        "train": [
            ("1.png", "a", [(3, 20.0, 1.0), (7, 5.0, 1.0)]),
            ("2.png", "a", [(7, 20.0, 0.2)]),
            ("3.png", "b", []),
        ],
        "val": [("1.png", "c", [(7, 20.0, 1.0)])],
    }
    return write_set(tmp_path / "source", rows)


@pytest.mark.parametrize("place", ["folder", "shards"])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (FilterSettings(splits=("val",)), {"val": [("1.png", [(7, False)])]}),
        (FilterSettings(skus=("tea",)), {"train": [("1.png", [(3, False), (7, True)])]}),
        (FilterSettings(skus=("tea",), others="drop"), {"train": [("1.png", [(3, False)])]}),
        (
            FilterSettings(min_side=10, min_visibility=0.5),
            {"train": [("1.png", [(3, False), (7, True)])], "val": [("1.png", [(7, False)])]},
        ),
        (
            FilterSettings(min_visibility=0.5, splits=("train",), keep_empty=True),
            {"train": [("1.png", [(3, False), (7, False)]), ("2.png", [(7, True)]), ("3.png", [])]},
        ),
    ],
)
def test_filter(place: str, rule: FilterSettings, expected: dict[str, Any], source: Path, tmp_path: Path) -> None:
    if place == "shards":
        pack_data(source, StoragePath(str(tmp_path / "shards")), QUIET, PackSettings(shard_images=2))
        source = tmp_path / "shards"
    summary = filter_data(source, tmp_path / "out", rule, COCO, QUIET)
    assert found(tmp_path / "out") == expected and summary.images == sum(map(len, expected.values()))


def test_filter_by_a_list_of_names(source: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("train/1.png\r\n3.png\n\n")
    filter_data(source, tmp_path / "out", FilterSettings(only=tmp_path / "list.txt"), COCO, QUIET)
    assert {split: [name for name, _ in rows] for split, rows in found(tmp_path / "out").items()} == {
        "train": ["1.png", "3.png"]
    }
    with raises("dataset-empty"):
        filter_data(source, tmp_path / "none", FilterSettings(skus=("rice",)), COCO, QUIET)
    assert not (tmp_path / "none").exists()


def test_a_sample_has_each_split_in_its_share_and_is_the_same_again(tmp_path: Path) -> None:
    rows: list[Row] = [(f"{number}.png", None, []) for number in range(12)]
    source = write_set(tmp_path / "source", {"train": rows[:9], "val": rows[9:]})
    for out in ("a", "b"):
        sample_data(source, tmp_path / out, SampleSettings(4), COCO, QUIET)
    assert found(tmp_path / "a") == found(tmp_path / "b")
    assert {split: len(rows) for split, rows in found(tmp_path / "a").items()} == {"train": 3, "val": 1}
    sample_data(source, tmp_path / "c", SampleSettings(4, seed=1), COCO, QUIET)
    assert found(tmp_path / "c") != found(tmp_path / "a")
    sample_data(source, tmp_path / "all", SampleSettings(99), COCO, QUIET)
    assert found(tmp_path / "all") == found(source)


def test_splits_divide_no_group_and_mix_no_image(source: Path, tmp_path: Path) -> None:
    halves = SplitSettings((("one", 0.5), ("two", 0.5)))
    split_data(source, tmp_path / "out", halves, COCO, QUIET)
    seen: list[tuple[str, tuple[int, int, int]]] = []
    groups = {}
    for part in open_labels(tmp_path / "out").parts:
        ids = []
        for image in part.stored_images():
            record = image.labels.image
            ids.append(record.id)
            assert groups.setdefault(record.group, part.split) == part.split
            assert all(one.image_id == record.id for one in image.labels.annotations)
            seen.append((str(record.file_name), Image.open(image.data).getpixel((0, 0))))  # type: ignore[arg-type]
        assert len(set(ids)) == len(ids)
    assert len(groups) == 3 and sorted(color for _, color in seen) == sorted(
        color_of(split, name)
        for split, names in (("train", ("1.png", "2.png", "3.png")), ("val", ("1.png",)))
        for name in names
    )


def test_images_of_one_name_keep_their_old_split_in_it(source: Path, tmp_path: Path) -> None:
    split_data(source, tmp_path / "out", SplitSettings((("all", 1.0),)), COCO, QUIET)
    assert [name for name, _ in found(tmp_path / "out")["all"]] == ["train_1.png", "2.png", "3.png", "val_1.png"]


def test_each_split_has_its_share_of_every_sku(tmp_path: Path) -> None:
    """Forty images, of which four show rice: one in four of them is held out, too."""
    rows: list[Row] = [(f"{number}.png", None, [(9 if number < 4 else 3, 9.0, 1.0)]) for number in range(40)]
    source = write_set(tmp_path / "source", {"train": rows})
    for seed in range(3):
        division = SplitSettings((("train", 0.75), ("val", 0.25)), seed=seed)
        split_data(source, tmp_path / f"out{seed}", division, COCO, QUIET)
        counts = {
            split: Counter(products[0][0] for _, products in rows)
            for split, rows in found(tmp_path / f"out{seed}").items()
        }
        assert counts == {"train": {9: 3, 3: 27}, "val": {9: 1, 3: 9}}


def test_skus_of_a_later_split_are_never_seen_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows: list[Row] = [
        (f"{number}.png", None, [(int(sku), 9.0, 1.0) for sku in rng.choice([3, 7, 9], size=1 + number % 2)])
        for number in range(12)
    ]
    source = write_set(tmp_path / "source", {"train": rows})
    division = SplitSettings((("train", 0.67), ("test", 0.33)), by="sku")
    split_data(source, tmp_path / "out", division, COCO, QUIET)
    after = found(tmp_path / "out")
    held = {3, 7, 9} - {sku for _, products in after["train"] for sku, _ in products}
    assert len(held) == 1 and all(held & {sku for sku, _ in products} for _, products in after["test"])


def test_commands(source: Path, tmp_path: Path) -> None:
    for words in (
        ["filter", "--sku", "soup", "--format", "yolo"],
        ["sample", "--count", "2"],
        ["split", "--split", "train:0.5,val:0.5", "--by", "image"],
    ):
        out = str(tmp_path / words[0])
        done = CliRunner().invoke(main, ["data", words[0], str(source), out, *words[1:], "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["images"] == {"filter": 3, "sample": 2, "split": 4}[words[0]]
