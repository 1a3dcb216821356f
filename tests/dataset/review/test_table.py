"""Decisions about boxes as CSV: written and read, from strangers, and as labels to train on."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.errors import SynthError
from dataset.review.table import COLUMNS, ReviewedBox, cells_of, read_reviewed, write_rows
from detectors.data.image_set import IGNORED
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from support.errors import raises

Cell = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12)
TEXT = st.one_of(Cell.filter(str.strip), st.sampled_from(["=1+1", "+a", "-3", "@x", "'=a", 'a"b,c', "'plain", "x;y"]))
BOXES = st.builds(
    ReviewedBox,
    image=TEXT.map(lambda name: f"{name}.jpg"),
    image_width=st.integers(200, 4000),
    image_height=st.integers(200, 4000),
    x=st.integers(-10, 190),
    y=st.integers(-10, 190),
    width=st.integers(11, 300),
    height=st.integers(11, 300),
    decision=st.sampled_from(["accept", "other", "unknown", "known"]),
    sku=TEXT.filter(str.isprintable),
)


def row(**fields: object) -> dict[str, str]:
    values = {"image": "a.png", "image_width": 64, "image_height": 48, "x": 4, "y": 5, "width": 20, "height": 30}
    return {name: str(value) for name, value in {**values, "decision": "accept", "sku": "tea", **fields}.items()}


def write(path: Path, *rows: dict[str, str], delimiter: str = ",", mark: str = "") -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes((mark + text.getvalue()).encode())
    return path


@given(st.lists(BOXES, min_size=1, max_size=5, unique_by=lambda box: box.place))
@settings(max_examples=40)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, boxes: list[ReviewedBox]) -> None:
    path = tmp_path_factory.mktemp("reviewed") / "decisions.csv"
    data = write_rows(map(cells_of, boxes))
    path.write_bytes(data)
    assert read_reviewed(path).rows == tuple(boxes)
    cells = [cell for cells in csv.reader(io.StringIO(data.decode(), newline="")) for cell in cells]
    # Numbers may be negative; no text is a formula.
    assert all(not cell.startswith(("=", "+", "@", "\t", "\r")) for cell in cells)


@pytest.mark.parametrize(("delimiter", "mark"), [(";", "\ufeff"), ("\t", ""), (",", "\ufeff")])
def test_spreadsheets_may_save_it_again(tmp_path: Path, delimiter: str, mark: str) -> None:
    path = write(
        tmp_path / "a.csv", row(sku="'=tea"), row(x=1, decision="open", sku=""), delimiter=delimiter, mark=mark
    )
    rows = read_reviewed(path).rows
    assert [(one.sku, one.decision) for one in rows] == [("=tea", "accept"), ("", "open")]


def test_decided_rows_win_over_open_ones_and_contradictions_are_told(tmp_path: Path) -> None:
    opened, other = row(decision="open", sku=""), row(decision="other", sku="milk")
    assert [one.sku for one in read_reviewed(write(tmp_path / "a.csv", opened, row(), row(), opened)).rows] == ["tea"]
    with raises("review-invalid", problems="row 4: the box of row 3 with another decision"):
        read_reviewed(write(tmp_path / "b.csv", opened, row(), other))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"x": "nan"}, "column x"),
        ({"width": 0}, "column width"),
        ({"width": "inf"}, "column width"),
        ({"x": 64}, "outside of the image"),
        ({"image_width": 0}, "column image_width"),
        ({"image_width": "1e99"}, "column image_width"),
        ({"decision": "accpet"}, "column decision"),
        ({"sku": ""}, "decision accept needs a sku"),
        ({"sku": "x" * 300}, "column sku"),
        ({"sku": "a\x1bb"}, "needs a sku"),
        ({"image": ""}, "column image"),
        ({"image": "a\0b"}, "column image|line contains NUL"),
    ],
)
def test_rows_of_strangers_are_told(tmp_path: Path, fields: dict[str, object], told: str) -> None:
    with raises("review-invalid", problems=told) as caught:
        read_reviewed(write(tmp_path / "a.csv", row(x=1), row(**fields)))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"a,b\n1,2\n", b'image,"x', b"\0" * 50, b"image," * 5000, b"x" * 2**20]
)
def test_other_files_are_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with raises("review-columns-missing", "review-unreadable"):
        read_reviewed(tmp_path / "a.csv")


@given(st.binary(max_size=60), st.integers(0, 200))
@settings(max_examples=40)
def test_damaged_files_end_in_order(tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int) -> None:
    path = write(tmp_path_factory.mktemp("junk") / "a.csv", row(), row(x=9))
    data = path.read_bytes()
    path.write_bytes(data[:at] + junk + data[at + len(junk) :])
    with suppress(SynthError):
        assert read_reviewed(path).rows


def test_reviewed_photographs_are_labels(tmp_path: Path) -> None:
    """Named boxes are targets; unknown and undecided ones are neither target nor background."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    rows = [
        row(),
        row(x=30, decision="other", sku="milk"),
        row(x=31, decision="unknown", sku=""),
        row(x=32, decision="open"),
    ]
    more = row(image=tmp_path / "b.png", decision="known", sku="milk")
    path = write(tmp_path / "decisions.csv", *rows, more, row(image=tmp_path / "b.png", x=1.5, sku="tea"))
    images = read_one(path, "real", DataSettings(real=path), splits=("train",), print_line=lambda line: None)
    assert images.classes.keys == ("milk", "tea") and len(images) == 2
    assert images.labels.tolist() == [1, 0, IGNORED, IGNORED, 0, 1]
    assert images.true_labels.tolist() == [1, 0, IGNORED, IGNORED, 0, 1]
    np.testing.assert_allclose(images.boxes[-1], [1.5, 5, 21.5, 35])
    # Moved with its images, and with the images alone.
    (tmp_path / "moved").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    with raises("images-missing"):
        read_one(path, "real", DataSettings(), splits=("train",), print_line=lambda line: None)
    settings = DataSettings(images=tmp_path / "moved")
    assert len(read_one(path, "real", settings, splits=("train",), print_line=lambda line: None)) == 2


def test_columns_are_documented() -> None:
    assert set(COLUMNS) == set(ReviewedBox.model_fields)
