"""Counts of data sets against counting by hand, and the same for shards as for an ordinary set."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from rich.console import Console

from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from pipeline.shards.stats import Stats, count_data, write_sku_table
from support.sets.foreign import NAMES, content_of, foreign_set

QUIET = Console(quiet=True)


def counts(stats: Stats) -> dict[str, object]:
    kept = (
        "images",
        "annotations",
        "sizes",
        "visibility",
        "truncation",
        "boxes",
        "ignored",
        "images_of_sku",
        "products",
    )
    return {name: np.asarray(v).tolist() if not isinstance(v := getattr(stats, name), dict) else v for name in kept}


def test_shards_count_as_the_set_they_came_from(rendered: RunSettings, tmp_path: Path) -> None:
    place = tmp_path / "shards"
    pack_data(rendered.out, StoragePath(str(place)), QUIET, PackSettings(shard_images=3))
    sharded, plain = count_data(str(place), QUIET), count_data(str(rendered.out), QUIET)
    assert counts(sharded) == counts(plain)
    np.testing.assert_allclose(sharded.area, plain.area)


def test_counts_are_those_by_hand(rendered: RunSettings) -> None:
    contents = [content_of(rendered.out / "annotations" / f"instances_{split}.json") for split in ("train", "val")]
    records = [record for content in contents for record in content["annotations"]]
    stats = count_data(str(rendered.out), QUIET)
    skus = Counter(record["sku"] for record in records)
    assert dict(zip(stats.keys, stats.boxes.tolist(), strict=True)) == {key: skus[key] for key in stats.keys}
    images = {
        (number, record["image_id"], record["sku"]) for number, c in enumerate(contents) for record in c["annotations"]
    }
    assert stats.images_of_sku.tolist() == [sum(one[2] == key for one in images) for key in stats.keys]
    products = Counter((number, record["image_id"]) for number, c in enumerate(contents) for record in c["annotations"])
    assert {n: int(stats.products[n]) for n in np.flatnonzero(stats.products)} == Counter(products.values())
    areas = [record["area"] for record in records]
    assert stats.sizes.tolist() == [
        sum(a < 1024 for a in areas),
        sum(1024 <= a < 9216 for a in areas),
        sum(a >= 9216 for a in areas),
    ]
    assert stats.visibility[-2] == sum(record["visibility"] >= 0.9 for record in records) and not stats.visibility[-1]
    assert stats.ignored.sum() == sum(record["ignore"] for record in records)


def test_the_table_has_every_sku(tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    stats = count_data(str(file), QUIET)
    write_sku_table(stats, tmp_path / "t.csv")
    write_sku_table(stats, tmp_path / "t.parquet")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["sku"] for row in rows] == ["tea", "'=soap"]
    assert (rows[0]["boxes"], rows[0]["images"], rows[0]["mean_area"], rows[0]["mean_visibility"]) == (
        "9",
        "5",
        "7.5",
        "",
    )
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["sku"] == ["tea", "=soap"] and table["boxes"] == [9, 0]


def test_boxes_without_an_area_count_by_their_box(tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    content = json.loads(file.read_text())
    content["annotations"] = [
        {"id": number, "image_id": content["images"][0]["id"], "category_id": content["categories"][0]["id"], **record}
        for number, record in enumerate(
            (
                {"bbox": [0, 0, 40, 40]},
                {"bbox": [0, 0, 100, 100]},
                {"bbox": [0, 0, 100, 100], "area": 9},
                {"bbox": [0, 0, 4, 4]},
            ),
            start=1,
        )
    ]
    file.write_text(json.dumps(content))
    stats = count_data(str(file), QUIET)
    assert stats.sizes.tolist() == [2, 1, 1]
    assert stats.area.sum() == 1600 + 10000 + 9 + 16


def test_the_command_tells_what_is_rare(tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    done = CliRunner().invoke(main, ["data", "stats", str(file), "--min-boxes", "12"])
    assert done.exit_code == 0, done.output
    assert "2 SKUs: 1 never seen, 2 with fewer than 12 boxes" in " ".join(done.output.split())
    content = json.loads(file.read_text())
    content["categories"] = []
    file.write_text(json.dumps(content))
    done = CliRunner().invoke(main, ["data", "stats", str(file)])
    assert done.exit_code == 1 and "no categories" in done.output


@pytest.mark.parametrize("source", ["nothing", "memory://nothing"])
def test_nothing_there_is_told(source: str) -> None:
    done = CliRunner().invoke(main, ["data", "stats", source])
    assert done.exit_code == 1 and "no such data set" in done.output
