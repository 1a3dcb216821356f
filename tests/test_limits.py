"""The limits in the code are those in the documentation, and each of them is enforced somewhere."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from assets import limits
from assets.errors import SynthError, printable
from assets.limits import Budget, Limit, check_file, read_file
from support.errors import raises
from support.fuzzing.files import deadline
from support.paths import ROOT

LIMITS = {name: value for name, value in vars(limits).items() if isinstance(value, Limit)}


def test_documentation_and_code_name_the_same_limits() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| ([0-9,]+) \|", (ROOT / "docs" / "limits.md").read_text(), re.MULTILINE)
    assert {name: int(most.replace(",", "")) for name, most in rows} == {v.name: v.maximum for v in LIMITS.values()}


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_every_limit_is_used(name: str) -> None:
    sources = [
        file
        for folder in ("assets", "dataset", "render", "detectors", "pipeline")
        for file in (ROOT / folder).rglob("*.py")
    ]
    uses = [file for file in sources if re.search(rf"\b{name}\b", file.read_text()) and file.name != "limits.py"]
    own = len(re.findall(rf"\b{name}\b", (ROOT / "assets" / "limits.py").read_text())) > 1
    assert uses or own


def test_a_limit_holds_from_the_first_one_too_many() -> None:
    limit = Limit("things", 3, "take fewer")
    limit.check(3, "here")
    with raises("limit-exceeded", what="things", where="here", found="4", expected="at most 3"):
        limit.check(4, "here")
    budget = Budget(limit, "here")
    budget.take(2)
    with raises("limit-exceeded", what="things"):
        budget.take(2)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "code", "told"),
    [
        (pipe, "not-a-file", "a named pipe"),
        (device, "not-a-file", "a device"),
        (Path.mkdir, "not-a-file", "a folder"),
        (loop, "file-unreadable", ""),
        (lambda path: path.symlink_to("gone"), "file-missing", ""),
        (lambda path: path.write_bytes(b"12345"), "limit-exceeded", "bytes"),
    ],
)
def test_only_plain_files_are_opened(tmp_path: Path, make: object, code: str, told: str) -> None:
    make(tmp_path / "a")  # type: ignore[operator]
    with deadline(20), raises(code, text=told):
        read_file(tmp_path / "a", Limit("bytes", 4), "the file")


def test_a_link_to_a_plain_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    (tmp_path / "b").symlink_to("a")
    assert read_file(tmp_path / "b", Limit("bytes", 4), "the file") == b"1234"
    assert stat.S_ISREG((tmp_path / "b").stat().st_mode)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_names_that_no_file_can_have(name: str) -> None:
    with raises("file-unreadable"):
        check_file(Path(name), Limit("bytes", 4), "the file")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("caf\udce9", "caf\\udce9"),  # a file name in Latin-1
        ("tab\tand\nline, ä", "tab\tand\nline, ä"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(SynthError("x", code="io-failed", found=text)).endswith(shown)
