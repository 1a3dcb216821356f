"""Runs are resumed only on the very data that they began with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.find import open_source
from dataset.identity import CONTENT, DataIdentity, check_shards, claim_data, fingerprint, identify
from dataset.shards.index import read_index, tar_name
from dataset.storage.path import StoragePath
from pipeline.shards.pack import pack_data
from support.errors import raises
from support.sets.shapes import QUIET, write_shapes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shapes(tmp_path / "set", 4, seed=1)
    return tmp_path / "set"


def identity(folder: Path) -> DataIdentity:
    return identify(open_source(folder, name="real", splits=("train",)))


def replace_bytes(file: Path) -> None:
    """Other content of the same size and time."""
    status, content = file.stat(), bytearray(file.read_bytes())
    content[-8] ^= 1
    other = file.with_name("other")
    other.write_bytes(content)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


def images_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))


def test_a_replaced_image_is_named_also_where_size_and_time_are_the_same(folder: Path, tmp_path: Path) -> None:
    before = identity(folder)
    claim_data(tmp_path, {"real": before}, None)
    claim_data(tmp_path, {"real": identity(folder)}, {"real": before.digest})
    replaced, gone = images_of(folder)[:2]
    replace_bytes(replaced)
    gone.unlink()
    now = identity(folder)
    assert now.digest != before.digest and now.digest.startswith(CONTENT)
    with raises("data-changed") as told:
        claim_data(tmp_path, {"real": now}, {"real": before.digest})
    (problem,) = told.value.problems
    assert "1 changed: " in problem and replaced.name in problem
    assert "1 missing: " in problem and gone.name in problem


def test_runs_of_earlier_versions_are_resumed_by_names_and_sizes(folder: Path, tmp_path: Path) -> None:
    known = {"real": fingerprint(open_source(folder, name="real", splits=("train",)))}
    claim_data(tmp_path, {"real": identity(folder)}, known)
    images_of(folder)[0].write_bytes(b"another size")
    with raises("data-changed"):
        claim_data(tmp_path, {"real": identity(folder)}, known)


def test_a_data_set_more_or_less_is_other_data(folder: Path, tmp_path: Path) -> None:
    one = identity(folder)
    with raises("data-changed", problems="^val "):
        claim_data(tmp_path, {"real": one}, {"real": one.digest, "val": "x"})
    with raises("data-changed", problems="val: its files are not those"):
        claim_data(tmp_path, {"real": one, "val": one}, {"real": one.digest})


def test_shards_are_held_against_their_index(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    content = {"images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}], "annotations": [], "info": {}}
    (tmp_path / "train.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "thing"}]}))
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(tmp_path / "train.json", place, QUIET)
    shards = read_index(place).shards
    check_shards(place, shards)
    file = tmp_path / "shards" / tar_name(shards[0].name)
    replace_bytes(file)
    with raises("shard-damaged", what="1 of 2 files") as told:
        check_shards(place, shards)
    assert told.value.problems == (tar_name(shards[0].name),)
