"""Packshots with GS1 names: each name is a side of a product or has a stated reason, the best image is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.catalog.barcode import is_gtin
from assets.catalog.gs1_pictures import (
    FACINGS,
    SidePicture,
    choose_pictures,
    find_files,
    find_unusable,
    read_picture_name,
)
from assets.catalog.types import IMAGES
from support.errors import raises

GTIN = "04006381333931"
KEY = GTIN[1:]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        (f"{GTIN}_C1N1.png", "packshot"),
        (f"{GTIN}_A2N1.jpg", "packshot_left"),
        (f"{GTIN}_B3N1.jpeg", "packshot_top"),
        (f"{GTIN}_c7n1.TIF", "packshot_back"),
        (f"{KEY}_C8N1.webp", "packshot_right"),
        (f"{GTIN}_C9N1_en_2.bmp", "packshot_bottom"),
    ],
)
def test_names_that_are_sides(name: str, column: str) -> None:
    picture = read_picture_name(name)
    assert isinstance(picture, SidePicture)
    assert (picture.gtin, picture.key, picture.column) == (GTIN, KEY, column)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Thumbs.db", "no GS1 name"),
        ("", "no GS1 name"),
        (f"{GTIN}.png", "no GS1 name"),
        (f"{GTIN}_C1N1", "no GS1 name"),
        (f"{GTIN}_C1N1 (1).png", "no GS1 name"),
        (f"{GTIN}_C1N1\n.png", "no GS1 name"),
        (f"1{GTIN}_C1N1.png", "no GS1 name"),
        (f"{GTIN[:-1]}٣_C1N1.png", "no GS1 name"),
        (f"{GTIN}_C1N1.psd", "not a kind of image"),
        (f"{GTIN[:-1]}2_C1N1.png", "check digit"),
        (f"{'0' * 14}_C1N1.png", "check digit"),
        (f"{GTIN}_D1N1.png", "supporting"),
        (f"{GTIN}_E1N1.png", "turntable"),
        (f"{GTIN}_X1N1.png", r"unknown type (X)"),
        (f"{GTIN}_C0N1.png", "no side"),
        (f"{GTIN}_C5N1.png", "unknown facing (5)"),
        (f"{GTIN}_C1L1.png", "turned to the left"),
        (f"{GTIN}_C1r1.png", "turned to the right"),
        (f"{GTIN}_A1Z1.png", "unknown orientation (Z)"),
        (f"{GTIN}_C1N0.png", "out of its pack"),
        (f"{GTIN}_C1NA.png", "a case"),
        (f"{GTIN}_C1NP.png", "a pallet"),
        (f"{GTIN}_C1N9.png", "not in its pack (9)"),
    ],
)
def test_names_that_are_refused(name: str, reason: str) -> None:
    found = read_picture_name(name)
    assert isinstance(found, str) and reason in found


PARTS = st.tuples(st.sampled_from([GTIN, KEY, "1" * 12]), st.text("ABCDELRNX0123789_", max_size=7), st.text(max_size=5))


@given(st.one_of(st.text(), PARTS.map(lambda parts: f"{parts[0]}_{parts[1]}.{parts[2]}")))
@example("\udcff_C1N1.png")
@settings(max_examples=50)
def test_any_name_is_a_side_or_has_a_reason(name: str) -> None:
    found = read_picture_name(name)
    if isinstance(found, SidePicture):
        assert is_gtin(found.gtin) and found.column in FACINGS.values() and name.isascii() and "/" not in name
    else:
        assert found


def test_sides_are_columns_of_the_list() -> None:
    assert set(FACINGS.values()) == set(IMAGES) - {"label_strip"}
    assert is_gtin("96385074") and is_gtin("036000291452") and not is_gtin("036000291453")


def test_the_best_image_that_can_be_used_is_taken() -> None:
    ranked = ["z/{}_C1N1.png", "a/{}_C1N1_en.png", "{}_A1N1.png", "a/{}_A1N1.jpg", "{}_B1N1.png", "{}_A1C1.png"]
    paths = [path.format(GTIN) for path in ranked]
    ordered = [*paths[:2], *sorted(paths[2:4]), *paths[4:]]
    for broken in range(len(ordered)):
        bad = set(ordered[:broken])
        choice = choose_pictures(sorted(paths), lambda path, bad=bad: "damaged" if path in bad else "")  # type: ignore[misc]
        taken = ordered[broken]
        assert choice.sides == {KEY: {"packshot": taken}}
        assert choice.not_flat == ([taken] if "A1C1" in taken else [])
        assert choice.duplicates == [(path, taken) for path in ordered[broken + 1 :]]
        assert choice.refused == sorted((path, "damaged") for path in bad)


def test_files_that_a_list_cannot_name_are_refused(tmp_path: Path) -> None:
    folder, name = (tmp_path / "in").resolve(), f"{GTIN}_C1N1.png"
    for inside in ("", "a\nb", "c\\d", " e", "f,=g"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(folder / inside / name)
    outside = tmp_path / name
    Image.new("RGB", (2, 2)).save(outside)
    (folder / f"{GTIN}_C2N1.png").symlink_to(outside)
    (folder / f"{GTIN}_C3N1.png").symlink_to(folder / "missing")
    (folder / f"{GTIN}_C7N1.png").symlink_to(name)
    (folder / f"{GTIN}_C8N1.png").symlink_to(f"{GTIN}_C8N1.png")
    (folder / f"{GTIN}_C9N1.png").write_text("<html>")
    (folder / "loop").symlink_to(folder)
    paths = find_files(folder)
    assert paths == sorted(paths) and len(paths) == 11 and "loop" in paths
    good = [path for path in paths if not find_unusable(folder, path)]
    assert good == [name, f"{GTIN}_C7N1.png", f"f,=g/{name}"]
    assert "leads out" in find_unusable(folder, f"{GTIN}_C2N1.png")
    assert "HTML" in find_unusable(folder, f"{GTIN}_C9N1.png")
    assert "cannot hold" in find_unusable(folder, f"a\nb/{name}")
    assert name not in find_files(folder, skip={folder / name})
    with raises("folder-missing"):
        find_files(tmp_path / "none")
