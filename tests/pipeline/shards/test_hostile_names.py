"""Names in the files of sharded sets, runs and unpacked folders: none of them becomes a path to write to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assets.errors import SynthError
from dataset.problems import Problems
from dataset.shards.index import read_index
from dataset.storage.path import StoragePath
from detectors.data.settings import DataSettings
from detectors.data.shard_prepare import extract_validation, open_shards, reopen_source
from pipeline.preview.draw import preview_set
from pipeline.preview.types import PreviewSettings
from pipeline.shards.convert import convert_data
from pipeline.shards.crop import crop_data
from pipeline.shards.merge import merge_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import ConvertSettings, CroppingSettings, PackSettings
from pipeline.shards.unpack import unpack_data
from support.sets.foreign import QUIET
from support.sets.in_shards import change_samples, sign_again
from support.sets.shapes import tiny_training, write_shapes
from support.verified import verified

NAMES = ("../../outside", "/outside/x", "..", "a/../../../outside", "a\x00b", "", "\\..\\..\\outside", ".")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set as a folder and as shards, one of them not yet packed."""
    folder = tmp_path_factory.mktemp("named")
    write_shapes(folder / "plain", 4, seed=5)
    pack_data(folder / "plain", StoragePath(str(folder / "set")), QUIET, PackSettings(2))
    return folder


def edit(file: Path, change: Callable[[Any], Any]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def named(field: str, name: str) -> Callable[[Any], Any]:
    def change(index: Any) -> Any:
        return {**index, "shards": [{**index["shards"][0], field: name}, *index["shards"][1:]]}

    return change


def image_named(folder: Path, name: str) -> None:
    change_samples(StoragePath(str(folder)), lambda one: replace(one, image=replace(one.image, file_name=name)))


def about_splits(folder: Path, name: str) -> None:
    edit(folder / "dataset.json", lambda about: {**about, "splits": {name: about["splits"]["train"]}})


def listed(folder: Path, name: str) -> None:
    file = folder / "checksums.sha256"
    file.write_text(f"{'0' * 64}  {name}\n".replace("\0", "") + file.read_text())


PLACES: dict[str, Callable[[Path, str], None]] = {
    "shard": lambda folder, name: edit(folder / "index.json", named("name", name)),
    "split": lambda folder, name: edit(folder / "index.json", named("split", name)),
    "image": image_named,
    "split of dataset.json": about_splits,
    "checksums": listed,
    "category": lambda folder, name: edit(
        folder / "categories.json", lambda kinds: [{**one, "sku": name} for one in kinds]
    ),
}


@pytest.mark.parametrize("name", ["../../outside", "/outside/x", "a\x00b"])
@pytest.mark.parametrize("place", PLACES)
def test_names_in_shards_are_no_paths(
    place: str, name: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a" / "cache"))
    own = tmp_path / "a" / "b" / "c"
    shutil.copytree(sound / "set", own / "set")
    PLACES[place](own / "set", name)
    location = StoragePath(str(own / "set"))
    with suppress(SynthError):
        sign_again(location) if place in ("category", "split of dataset.json") else None
    before = set(tmp_path.rglob("*"))
    for work in (
        lambda: unpack_data(location, own / "unpacked", QUIET),
        lambda: merge_data([location, StoragePath(str(sound / "set"))], StoragePath(str(own / "merged")), QUIET),
        lambda: convert_data(location.url, own / "converted", ConvertSettings("yolo"), QUIET),
        lambda: crop_data(location.url, own / "crops", CroppingSettings(min_side=1), QUIET),
        lambda: preview_set(location.url, own / "sheet.png", PreviewSettings()),
        lambda: extract_validation(location, ("train",)),
        lambda: verified(location, sample=0),
        lambda: open_shards("x", location, ("train",), Problems("x"), cache_bytes=10**9).read_image(0),
    ):
        with suppress(SynthError):
            work()
    new = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(own)}
    assert {path for path in new if not path.is_relative_to(tmp_path / "a" / "cache")} == set()
    assert not Path("/outside").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["name", "split"])
def test_receipts_of_a_packing_are_no_paths(field: str, name: str, sound: Path, tmp_path: Path) -> None:
    """A packing that is resumed where a receipt says otherwise: the shard is made again, where it belongs."""
    own = tmp_path / "a" / "b" / "set"
    shutil.copytree(sound / "set", own)
    entries = {entry.name: json.loads(entry.model_dump_json()) for entry in read_index(StoragePath(str(own))).shards}
    (own / "index.json").unlink()
    (own / "receipts").mkdir(exist_ok=True)
    for shard, entry in entries.items():
        (own / "receipts" / f"{shard}.json").write_text(json.dumps({**entry, field: name}))
    pack_data(sound / "plain", StoragePath(str(own)), QUIET, PackSettings(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and [path.name for path in own.parent.iterdir()] == [
        "set"
    ]
    assert {entry.name for entry in read_index(StoragePath(str(own))).shards} == set(entries)
    assert not verified(own, sample=0).violations


@pytest.mark.parametrize("name", NAMES)
def test_the_data_that_a_run_names_are_no_places_to_write(
    name: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shards.json of a training: read, or told, and nothing else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    head = {"name": name, "place": name, "split": name, "keys": [name], "names": [name], "cache_bytes": 1}
    (tmp_path / "a" / "data").mkdir(parents=True)
    (tmp_path / "a" / "data" / "shards.json").write_text(json.dumps({**head, "skip_bad": False}))
    before = set(tmp_path.rglob("*"))
    with pytest.raises((SynthError, ValueError)):
        reopen_source(tmp_path / "a" / "data")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.trains
def test_a_run_whose_notes_name_other_places_stays_in_its_folder(sound: Path, tmp_path: Path) -> None:
    """settings.json and sets.json of a training that is resumed, with a path in every text."""
    own = tmp_path / "a" / "run"
    data = DataSettings(real=sound / "plain", hold_out=0)
    tiny_training(own, data, epochs=1)
    for file in (own / "settings.json", own / "data" / "sets.json"):
        edit(
            file,
            lambda content: {key: "../../outside" if isinstance(one, str) else one for key, one in content.items()},
        )
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(own)}
    with suppress(SynthError):
        tiny_training(own, data, epochs=1)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(own)} == before
