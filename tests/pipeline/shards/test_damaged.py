"""Shards whose bytes are not those of the index are told by whatever reads them, and passed on by nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.problems import Problems
from dataset.shards.index import read_index, tar_name
from dataset.storage.path import StoragePath
from dataset.store import open_dataset
from detectors.data.shard_prepare import extract_validation, open_shards
from pipeline.shards.convert import convert_data
from pipeline.shards.crop import crop_data
from pipeline.shards.merge import merge_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import ConvertSettings, CroppingSettings, PackSettings
from pipeline.shards.unpack import unpack_data
from support.errors import raises
from support.sets.foreign import QUIET
from support.sets.shapes import write_shapes


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    pack_data(write_shapes(folder / "plain", 4, seed=5), StoragePath(str(folder / "set")), QUIET, PackSettings(2))
    return folder / "set"


@pytest.fixture
def place(sound: Path, tmp_path: Path) -> StoragePath:
    """A set in which one bit of a picture is another, and nothing else."""
    shutil.copytree(sound, tmp_path / "set")
    place = StoragePath(str(tmp_path / "set"))
    tar = tmp_path / "set" / tar_name(read_index(place).shards[-1].name)
    data = bytearray(tar.read_bytes())
    data[data.index(b"IDAT") + 9] ^= 1
    tar.write_bytes(data)
    return place


def read_all(place: StoragePath) -> None:
    found = open_shards("x", place, ("train",), Problems("x"), cache_bytes=10**9)
    for number in range(len(found)):
        found.read_image(number)


READERS: dict[str, Callable[[StoragePath, Path], object]] = {
    "unpack": lambda place, out: unpack_data(place, out, QUIET),
    "convert": lambda place, out: convert_data(str(place), out, ConvertSettings(format="coco"), QUIET),
    "crop": lambda place, out: crop_data(str(place), out, CroppingSettings(), QUIET),
    "train and evaluate": lambda place, out: read_all(place),
    "validation": lambda place, out: extract_validation(place, ("train",)),
    "the images": lambda place, out: [
        image.read() for part in open_dataset(str(place)).parts for image in part.stored_images()
    ],
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_whatever_reads_a_shard_tells_that_it_changed(
    read: Callable[[StoragePath, Path], object], place: StoragePath, tmp_path: Path
) -> None:
    with raises("shard-damaged"):
        read(place, tmp_path / "out")


@pytest.mark.parametrize("twice", [False, True], ids=["kept as it is", "numbered anew"])
def test_merging_does_not_sign_what_was_damaged(twice: bool, sound: Path, place: StoragePath, tmp_path: Path) -> None:
    places, out = [place, StoragePath(str(sound))], StoragePath(str(tmp_path / "out"))
    with raises("shard-damaged", where=place.url):
        merge_data(places[::-1] if twice else places, out, QUIET)
    written = out.names("shards")
    assert written == (["set2-train-000000.tar"] if twice else []) + ["train-000000.tar"] + ["train-000001.tar"] * twice
    assert not out.exists("index.json")
