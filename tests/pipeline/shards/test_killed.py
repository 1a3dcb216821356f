"""Commands on shards, killed at any moment and given again: the bytes of an undisturbed run, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.storage.path import StoragePath
from pipeline.shards.choose import split_data
from pipeline.shards.convert import convert_data
from pipeline.shards.crop import crop_data
from pipeline.shards.merge import merge_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import ConvertSettings, CroppingSettings, MergeSettings, PackSettings, SplitSettings
from pipeline.shards.unite import merge_sets
from pipeline.shards.unpack import unpack_data
from support.sets.foreign import QUIET
from support.sets.killed import killed_at_each_file
from support.sets.shapes import write_shapes
from support.verified import verified

COCO = ConvertSettings()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small sets, as folders and as shards."""
    folder = tmp_path_factory.mktemp("sets")
    for number, name in enumerate(("a", "b")):
        write_shapes(folder / name, 3, seed=number)
        pack_data(folder / name, StoragePath(str(folder / f"{name}-shards")), QUIET, PackSettings(2))
    return folder


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # what a kill leaves needs none


def all_of(folder: Path) -> dict[str, bytes]:
    """Every file, hidden ones as well, and every folder."""
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"" for path in paths}


def place(folder: Path) -> StoragePath:
    return StoragePath(str(folder))


WORK: dict[str, Callable[[Path, Path], object]] = {
    "pack": lambda sets, out: pack_data(sets / "a", place(out), QUIET, PackSettings(2)),
    "merge": lambda sets, out: merge_data([place(sets / "a-shards"), place(sets / "b-shards")], place(out), QUIET),
    "unpack": lambda sets, out: unpack_data(place(sets / "a-shards"), out, QUIET),
}


@pytest.mark.parametrize("name", WORK)
def test_killed_at_any_moment_the_same_command_makes_the_same_set(name: str, sets: Path, tmp_path: Path) -> None:
    work = WORK[name]
    work(sets, tmp_path / "whole")
    whole, moments = all_of(tmp_path / "whole"), []
    assert not verified(tmp_path / "whole", sample=0).violations
    for moment in killed_at_each_file(lambda: work(sets, tmp_path / "killed"), step=3 if name == "merge" else 1):
        moments.append(moment)
        work(sets, tmp_path / "killed")
        assert all_of(tmp_path / "killed") == whole, moment
        shutil.rmtree(tmp_path / "killed")
    assert len(moments) >= 8


FRESH: dict[str, Callable[[Path, Path], object]] = {
    **{
        name: lambda sets, out, name=name: convert_data(sets / "a", out, ConvertSettings(name), QUIET)
        for name in ("coco", "huggingface-parquet", "panoptic", "roboflow", "webdataset", "yolo-segment")
    },
    "crop": lambda sets, out: crop_data(sets / "a", out, CroppingSettings(min_side=1), QUIET),
    "split": lambda sets, out: split_data(sets / "a", out, SplitSettings((("x", 0.5), ("y", 0.5))), COCO, QUIET),
    "merge": lambda sets, out: merge_sets([str(sets / "a"), str(sets / "b-shards")], str(out), MergeSettings(), QUIET),
}


@pytest.mark.parametrize("name", FRESH)
def test_folders_and_what_is_hidden_beside_them(name: str, sets: Path, tmp_path: Path) -> None:
    """Also where it was killed after its last file, before it has tidied up."""
    work = FRESH[name]
    work(sets, tmp_path / "whole")
    whole, moments = all_of(tmp_path / "whole"), []
    for moment in killed_at_each_file(lambda: work(sets, tmp_path / "killed")):
        moments.append(moment)
        work(sets, tmp_path / "killed")
        assert all_of(tmp_path / "killed") == whole, moment
        assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"], moment
        shutil.rmtree(tmp_path / "killed")
    assert len(moments) >= 4
