"""All commands of sharded sets against a real S3 protocol server: the same sets as on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from dataset.shards.index import read_index
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.s3_place import s3_server
from support.sets.foreign import NAMES, files_of, foreign_set
from support.verified import verified

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as url:
        yield url


def done(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["data", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_set_goes_there_and_back(storage: str, tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    url = f"{storage}/some/set"
    assert "packed: 3 shards, 7 images" in done("pack", str(file), url, "--shard-images", "3")
    assert "3 existed" in done("pack", str(file), url, "--shard-images", "3")
    here = StoragePath(str(tmp_path / "here"))
    pack_data(file, here, QUIET, PackSettings(shard_images=3))
    there = StoragePath(url)
    for name, content in files_of(tmp_path / "here").items():
        assert there.read(name) == content
    assert not there.names("receipts")
    done("unpack", url, str(tmp_path / "back"))
    assert files_of(tmp_path / "back" / "images") == files_of(tmp_path / "theirs" / "images")
    assert "2 SKUs: 1 never seen" in " ".join(done("stats", url).split())


def test_two_sets_become_one_there(storage: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done("pack", str(foreign_set(tmp_path / name, NAMES)), f"{storage}/{name}", "--shard-images", "4")
    told = done("merge", f"{storage}/a", f"{storage}/b", f"{storage}/both")
    assert "merged: 4 shards, 14 images" in told and "names of others" in told
    both = StoragePath(f"{storage}/both")
    assert [entry.name for entry in read_index(both).shards][2:] == ["train-000000", "train-000001"]
    report = verified(both, sample=0, workers=2)
    assert not report.violations and report.images == 14
    both.write("shards/train-000000.tar", both.read("shards/train-000000.tar")[:-5])
    assert any("bytes, but" in str(one) for one in verified(both, sample=0).violations)
