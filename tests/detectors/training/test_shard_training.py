"""Trainings out of shards, on disk and in object storage: interrupted or not, the same weights to the last bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from dataset.storage.path import StoragePath
from detectors.checkpoints.detector import LAST, load_checkpoint
from detectors.data.prepare import prepare_training
from detectors.data.settings import DataSettings
from detectors.data.shard_prepare import reopen_source
from detectors.data.shard_set import ShardSet
from detectors.training.data_options import input_boxes
from pipeline.cli.types import NamedPath
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.s3_place import s3_server
from support.same_run import assert_same_run, at_step
from support.sets.shapes import tiny_training, write_shapes

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 40 images to learn from, and of 6 to validate on."""
    folder = tmp_path_factory.mktemp("sharded")
    write_shapes(folder / "plain", 40, seed=1)
    write_shapes(folder / "plain", 6, seed=7, split="val")
    pack_data(folder / "plain", StoragePath(str(folder / "set")), QUIET, PackSettings(shard_images=4))
    return folder / "set"


def mixed(synthetic: Path | StoragePath, shapes: Path) -> DataSettings:
    return DataSettings(synthetic=(("synthetic", synthetic),), real=shapes / "real", val=shapes / "real" / "test.json")


@pytest.fixture(scope="module")
def undisturbed(sharded: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert tiny_training(out, mixed(sharded, shapes), epochs=1, mix=(("real", 0.2),)).finished
    return out


def test_boxes_for_anchors_are_those_of_the_first_images(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels of shards are read with their images; the same boxes as of the plain set, twice as large."""

    def boxes_in(folder: Path) -> list[list[float]]:
        settings = DataSettings(synthetic=(("synthetic", folder),))
        data = prepare_training(settings, seed=0, print_line=lambda line: None)
        boxes, labels = input_boxes(data.sources, (192, 128))
        assert len(labels) == len(boxes)
        return sorted(boxes.tolist())

    plain = boxes_in(sharded.parent / "plain")
    assert boxes_in(sharded) == plain
    monkeypatch.setattr("detectors.training.data_options.SHARD_IMAGES", 3)
    few = boxes_in(sharded)
    assert 3 <= len(few) <= 9 and all(box in plain for box in few)


def test_going_on_equals_no_interruption(
    sharded: Path, shapes: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGINT))
    first = tiny_training(tmp_path / "run", mixed(sharded, shapes), epochs=1, mix=(("real", 0.2),))
    assert not first.finished and first.steps == 6
    again = tiny_training(tmp_path / "run", mixed(sharded, shapes), epochs=1, mix=(("real", 0.2),), workers=1)
    assert again.finished and again.drawn == {"synthetic": 16, "real": 4}
    assert_same_run(undisturbed, tmp_path / "run")


def test_storage_elsewhere_trains_to_the_same_weights(
    storage: str, sharded: Path, shapes: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = StoragePath(f"{storage}/train/set")
    for path in sharded.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            place.write(path.relative_to(sharded).as_posix(), path.read_bytes())
    tiny_training(tmp_path / "run", mixed(place, shapes), epochs=1, mix=(("real", 0.2),), workers=1)
    ours, theirs = (load_checkpoint(run / LAST) for run in (tmp_path / "run", undisturbed))
    assert all((ours.weights[name] == theirs.weights[name]).all() for name in theirs.weights)
    assert ours.data["synthetic"] == theirs.data["synthetic"]
    assert len(list((tmp_path / "cache" / "synth" / "shards").glob("*.tar"))) == 10


def test_images_to_validate_on_are_taken_out_once(
    sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = DataSettings(synthetic=(("synthetic", sharded),), classes="product")
    lines: list[str] = []
    data = prepare_training(settings, seed=0, print_line=lines.append)
    assert data.validation is not None and len(data.validation) == 6 and data.validates_on_real
    assert data.classes.keys == ("product",) and set(data.validation.labels.tolist()) == {0}
    (held,) = (tmp_path / "cache" / "synth" / "validation").iterdir()
    stamps = {path.name: path.stat().st_mtime_ns for path in held.rglob("*.png")}
    prepare_training(settings, seed=0, print_line=lines.append)
    assert {path.name: path.stat().st_mtime_ns for path in held.rglob("*.png")} == stamps and len(stamps) == 6
    assert any("synthetic (index.json): 40 images" in line for line in lines)


def test_further_processes_open_the_same_shards(undisturbed: Path, sharded: Path) -> None:
    source = reopen_source(undisturbed / "data" / "synthetic")
    assert isinstance(source, ShardSet) and len(source) == 40 and source.root == StoragePath(str(sharded))
    assert source.read_sample(7, masks=False).image.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://shop/set", ("", StoragePath("s3://shop/set"))),
        ("a=s3://shop/set", ("a", StoragePath("s3://shop/set"))),
        ("s3://shop/set?x=1", ("", StoragePath("s3://shop/set?x=1"))),
        ("a=.", ("a", Path())),
    ],
)
def test_sources_are_named_on_the_command_line(text: str, expected: tuple[str, Path | StoragePath]) -> None:
    assert NamedPath().convert(text, None, None) == expected
