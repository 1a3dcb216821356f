"""Folders, shards and folders under way are read by the same calls, with the same labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from dataset.storage.path import StoragePath
from dataset.store import DataStore, open_dataset
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.errors import raises
from support.sets.foreign import NAMES, foreign_set
from support.sets.shapes import write_shapes

IMAGES = 5


@pytest.fixture
def stores(tmp_path: Path) -> tuple[DataStore, DataStore]:
    file = write_shapes(tmp_path / "plain", IMAGES, seed=2)
    pack_data(file, StoragePath(str(tmp_path / "shards")), Console(quiet=True), PackSettings(shard_images=2))
    return open_dataset(file), open_dataset(tmp_path / "shards")


def test_both_kinds_hold_the_same(stores: tuple[DataStore, DataStore]) -> None:
    plain, sharded = stores
    assert plain.categories == sharded.categories and len(sharded.parts) == 3
    for store in stores:
        assert sum(part.count for part in store.parts) == IMAGES and {part.split for part in store.parts} == {"train"}
        stated = json.loads(Path(plain.where).read_text())
        labels = [one for part in store.parts for one in part.labels()]
        assert [one.image.content() for one in labels] == stated["images"]
        assert [record.content() for one in labels for record in one.annotations] == stated["annotations"]
        images = [one for part in store.parts for one in part.stored_images()]
        assert [one.labels for one in images] == labels and all(one.read()[:4] == b"\x89PNG" for one in images)
        some = [one.labels for one in store.parts[0].stored_images({1})]
        assert some == [labels[1]]


def test_annotations_in_any_order_find_their_images(tmp_path: Path) -> None:
    """Foreign sets mix them; those of no image are left out."""
    file = foreign_set(tmp_path / "theirs", NAMES)
    content = json.loads(file.read_text())
    content["annotations"] = [*content["annotations"][::-1], {"id": 999, "image_id": 12345}]
    file.write_text(json.dumps(content))
    (part,) = open_dataset(file).parts
    for labels in part.labels():
        own = [one for one in content["annotations"] if one["image_id"] == labels.image.id]
        assert [record.content() for record in labels.annotations] == own
    assert [one.labels for one in part.stored_images(set(range(part.count)))] == list(part.labels())


def test_where_there_is_no_set_is_an_error_with_a_code(tmp_path: Path) -> None:
    with raises("dataset-missing"):
        open_dataset(tmp_path / "nowhere")
