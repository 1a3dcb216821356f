"""The gate for JSON: limits hold before anything is built, and what fits is read as Python's own reader does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.files.json_constants import records_not_finite
from assets.files.json_input import JsonScan, parse_json, read_json, stream_json, stream_json_pairs
from assets.files.models import Count, FileModel, parse_model
from assets.limits import Limit
from support.errors import raises
from support.fuzzing.files import deadline

BYTES = Limit("bytes", 1 << 30)
TEXTS = st.text(st.sampled_from('[]{}",\\:aä'), max_size=6)
TREES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


class Noted(Limit):
    """A limit that nothing passes and that remembers the largest."""

    def check(self, found: int, where: str) -> None:
        seen.append(found)


seen: list[int] = []


def depth_of(tree: Any) -> int:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@settings(max_examples=60)
@given(tree=TREES, size=st.integers(1, 9), ascii_only=st.booleans())
def test_the_scan_sees_depth_through_strings_and_cuts(tree: Any, size: int, ascii_only: bool) -> None:
    data = json.dumps(tree, ensure_ascii=ascii_only).encode()
    seen.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.files.json_input.JSON_DEPTH", Noted("depth", 0))
        scan = JsonScan("x")
        for first in range(0, len(data), size):
            scan.feed(data[first : first + size])
    assert max(seen, default=0) == depth_of(tree)
    assert parse_json(data, "the file", "x") == tree


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b"", "json-invalid", ""),
        (b'{"a": [1,', "json-invalid", ""),
        (b"\xff\xfe[\x00]\x00", "json-invalid", ""),
        (b"[" * 65 + b"]" * 65, "limit-exceeded", "levels of lists and objects in a JSON file"),
        (b'{"a":' * 500_000, "limit-exceeded", "levels of lists"),
        (b"[" + b"[]," * 10_000_000 + b"0]", "limit-exceeded", "values of a JSON file"),
        (b"9" * 5000, "json-invalid", "4300"),
        (b"[1, NaN]", "json-invalid", "NaN, which JSON does not allow"),
        (b"-Infinity", "json-invalid", "-Infinity, which JSON does not allow"),
    ],
)
def test_what_is_no_json_or_too_large_is_told(data: bytes, code: str, told: str) -> None:
    with raises(code, text=told):
        parse_json(data, "the file", "x")


def test_what_python_writes_is_read_where_asked_for() -> None:
    found = parse_json(b"\xef\xbb\xbf[NaN, Infinity, 1]", "the file", "x", constants=True)
    assert found[0] != found[0]
    assert found[1:] == [float("inf"), 1]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_never_opened(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "a.json")
    with deadline(20):
        with raises("not-a-file"):
            read_json(tmp_path / "a.json", BYTES, "the file")
        with raises("not-a-file"):
            next(stream_json(tmp_path / "a.json", "item", BYTES, "the file"))


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b'{"images": [' + b'{"a":' * 100_000, "limit-exceeded", "levels of lists"),
        (b'{"images": [{"a": "' + b"x" * 500_000 + b'"}]}', "limit-exceeded", "bytes of one record"),
        (b'{"images": [{"a": [' + b"[]," * 200_000 + b"0]}]}", "limit-exceeded", "bytes of one record"),
        (b'{"images": [' + b"1" * 500_000 + b"]}", "limit-exceeded", "bytes of one record"),
        (b'{"images": [{"id": 1e999}]}', "json-not-finite", ""),
        (b'{"images": [{"id": 1}', "json-invalid", ""),
    ],
)
def test_a_stream_holds_no_more_than_a_record(
    tmp_path: Path, data: bytes, code: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.files.json_input.JSON_RECORD", Limit("bytes of one record", 1 << 18))
    (tmp_path / "a.json").write_bytes(data)
    with raises(code, what=told):
        list(stream_json(tmp_path / "a.json", "images.item", BYTES, "the COCO file"))


@settings(max_examples=25)
@given(
    odd=st.lists(
        st.sampled_from(["NaN", "-Infinity", "Infinity", "1e999", "-12.5E+400", "1e30", '"NaN: [Infinity"', "7"])
    ),
    size=st.integers(1, 7),
)
def test_numbers_that_are_not_finite_are_told_by_their_records(
    tmp_path_factory: pytest.TempPathFactory, odd: list[str], size: int
) -> None:
    records = ", ".join(f'{{"id": {number}, "n\\\\": [{value}]}}' for number, value in enumerate(odd))
    data = f'{{"images": [], "annotations": [{records}]}}'.encode()
    path = tmp_path_factory.getbasetemp() / "odd.json"
    path.write_bytes(data)
    bad = [number for number, value in enumerate(odd) if value[0] != '"' and value not in ("7", "1e30")]
    found = list(records_not_finite(lambda: open_in_pieces(path, size)))
    assert found == [f"annotations id {number}: n\\" for number in bad]
    if bad:
        with raises("json-not-finite") as error:
            list(stream_json(path, "annotations.item", BYTES, "the COCO file"))
        assert f"annotations id {bad[0]}: n" in str(error.value)


@contextmanager
def open_in_pieces(path: Path, size: int) -> Iterator[Any]:
    """A file that gives so many bytes at a time."""
    with path.open("rb") as file:
        yield SimpleNamespace(read=lambda most=-1: file.read(size if most else 0))


def test_records_and_pairs_are_streamed(tmp_path: Path) -> None:
    content = {"images": [{"id": number, "t": "[{" * 50} for number in range(20_000)], "info": {"year": 2026}}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert list(stream_json(tmp_path / "a.json", "images.item", BYTES, "the COCO file")) == content["images"]
    assert dict(stream_json_pairs(tmp_path / "a.json", "info", BYTES, "the COCO file")) == content["info"]


class Row(FileModel):
    """A file of the tests."""

    name: str
    count: Count
    share: float


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b'{"name": "a", "count": 1, "share": 0.5, "x": 1}', "content-invalid", "x: Extra inputs"),
        (b'{"name": "a", "count": -1, "share": NaN}', "content-invalid", r"(?s)count: .*greater.*share: .*finite"),
        (b'{"name": 1, "count": "2"}', "content-invalid", r"(?s)name: .*count: .*share: Field required"),
        (b'{"name": "a", "count": 1e308, "share": 1}', "content-invalid", "count: "),
        (b"[" * 1000, "limit-exceeded", "levels of lists"),
        (b"{", "content-invalid", "the whole: Invalid JSON"),
        (b"\xff", "content-invalid", "Invalid JSON"),
    ],
)
def test_a_model_tells_every_mistake(data: bytes, code: str, told: str) -> None:
    with raises(code, text=told):
        parse_model(Row, data, "the row", "x")


def test_a_model_is_read() -> None:
    assert parse_model(Row, b'{"name": "a", "count": 2, "share": 1}', "the row", "x").count == 2
