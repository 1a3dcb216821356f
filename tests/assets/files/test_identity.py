"""What files hold: read once, and again whenever it may be something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assets.files import identity as file_identity
from assets.files.identity import MISSING, check_once, describe_changes, digest_files, read_listing, write_listing

OLD_NS = 10**18  # long settled


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    os.utime(file, ns=(OLD_NS, OLD_NS))
    return file


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []
    plain = file_identity._sha256

    def watched(path: str) -> str:
        names.append(Path(path).name)
        return plain(path)

    monkeypatch.setattr(file_identity, "_sha256", watched)
    return names


def test_files_are_read_once_and_those_that_changed_again(tmp_path: Path, reads: list[str]) -> None:
    a, b = write(tmp_path / "a", "one"), write(tmp_path / "b", "two")
    first = digest_files([a, b, tmp_path / "none"], cache=tmp_path / "cache")
    assert first[2] == MISSING and first[0] != first[1] and sorted(reads) == ["a", "b"]
    assert digest_files([a, b], cache=tmp_path / "cache") == first[:2] and len(reads) == 2
    write(tmp_path / "new", "six").replace(a)  # same size and time, another inode
    second = digest_files([a, b], cache=tmp_path / "cache")
    assert second[0] != first[0] and second[1] == first[1] and reads[2:] == ["a"]


def test_what_has_just_been_written_is_not_remembered(tmp_path: Path, reads: list[str]) -> None:
    """It may change again within one tick of the clock."""
    (tmp_path / "a").write_text("one")
    digest_files([tmp_path / "a"], cache=tmp_path / "cache")
    digest_files([tmp_path / "a"], cache=tmp_path / "cache")
    assert reads == ["a", "a"]


def test_pipes_and_a_memory_that_cannot_be_written_do_not_matter(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "cache").write_text("no folder")
    assert digest_files([tmp_path / "pipe"], cache=tmp_path / "cache") == [MISSING]


def test_a_damaged_memory_is_as_none(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / file_identity.DATABASE).write_bytes(b"garbage" * 999)
    assert digest_files([write(tmp_path / "a", "one")], cache=tmp_path) != [MISSING]
    assert reads == ["a"]


def test_groups_are_checked_again_only_once_a_file_changed(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", "one"), write(tmp_path / "b", "two")
    groups, asked = {"first": [a, b], "second": [b]}, []

    def check(name: str) -> list[str]:
        asked.append(name)
        return [] if a.read_text() == "one" else [f"{name} is wrong"]

    assert check_once(groups, check, cache=tmp_path / "cache") == [] and sorted(asked) == ["first", "second"]
    assert check_once(groups, check, cache=tmp_path / "cache") == [] and len(asked) == 2
    write(tmp_path / "new", "six").replace(a)
    for _ in range(2):
        assert check_once(groups, check, cache=tmp_path / "cache") == ["first is wrong"]
    assert asked[2:] == ["first", "first"]


def test_listings_come_back_and_changes_are_named() -> None:
    before = {"a.jpg": "1" * 64, "ü b.jpg": "2" * 64, "c.jpg": "3" * 64}
    assert read_listing(write_listing(before)) == before
    now = {"a.jpg": "9" * 64, "ü b.jpg": "2" * 64, "c.jpg": MISSING, "d.jpg": "4" * 64}
    assert describe_changes(before, now) == ["1 changed: a.jpg", "1 missing: c.jpg", "1 new: d.jpg"]
    many = {f"{number:02d}.jpg": "1" for number in range(9)}
    assert describe_changes(many, dict.fromkeys(many, "2")) == [
        "9 changed: 00.jpg, 01.jpg, 02.jpg, 03.jpg, 04.jpg and 4 more"
    ]
