"""Category ids: stable over versions of a catalogue, and told where a registry is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.catalog.category_ids import (
    CategoryIds,
    ids_csv,
    ids_hash,
    ids_of,
    ids_path,
    in_order,
    parse_ids,
    read_ids,
    save_ids,
)
from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from support.errors import raises

KEYS = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1), unique=True)


def catalog_of(folder: Path, *keys: str) -> Catalog:
    rows = [f"{key},carton,0.1,0.1,0.1" for key in keys]
    (folder / "skus.csv").write_text("\n".join(["sku,package,width_m,height_m,depth_m", *rows]) + "\n")
    return load_catalog(folder / "skus.csv")


def test_the_first_state_is_the_sorted_order(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, "b", "a", "c")
    ids = ids_of(catalog)
    assert ids.keys == ("a", "b", "c") and ids_hash(catalog, ids) == ""
    assert list(in_order(catalog, ids)) == [(1, 0), (2, 1), (3, 2)]


def test_ids_stay_when_products_come_and_go(tmp_path: Path) -> None:
    first = catalog_of(tmp_path, "b", "d")
    save_ids(ids_path(first.source), ids_of(first))
    second = catalog_of(tmp_path, "a", "c", "d")
    ids = ids_of(second)
    assert [ids.of(key) for key in ("b", "d", "a", "c")] == [1, 2, 3, 4]
    assert list(in_order(second, ids)) == [(2, 2), (3, 0), (4, 1)]
    assert ids_hash(second, ids) != ""
    save_ids(ids_path(second.source), ids)
    assert read_ids(ids_path(second.source)) == ids
    third = catalog_of(tmp_path, "b")
    assert ids_of(third).of("b") == 1


@given(KEYS, KEYS)
def test_a_registry_survives_its_file_and_is_only_added_to(first: list[str], second: list[str]) -> None:
    ids = CategoryIds().extended(first)
    more = ids.extended(second)
    assert parse_ids(ids_csv(more), "here") == more
    assert more.keys[: len(ids)] == ids.keys and set(more.keys) == {*first, *second}
    assert all(more.key_of(more.of(key)) == key for key in more.keys)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "row 1: found nothing"),
        ("sku,id\n", "expected id,sku"),
        ("id,sku\n1,a\n3,b\n", "row 3: found '3,b', expected 2,SKU"),
        ("id,sku\n1,a\n2,a\n", "it has id 1"),
        ("id,sku\n1,\n", "expected 1,SKU"),
        ('id,sku\n1,"a\n', ""),
    ],
)
def test_damage_is_told(text: str, told: str) -> None:
    with raises("category-ids-damaged", problems=told):
        parse_ids(text.encode(), "skus.ids.csv")


def test_a_registry_that_went_another_way_is_kept(tmp_path: Path) -> None:
    save_ids(tmp_path / "ids.csv", CategoryIds(("a", "b")))
    for other in (("a", "c"), ("a",)):
        with raises("category-ids-conflict", found="id 2 belongs to 'b'"):
            save_ids(tmp_path / "ids.csv", CategoryIds(other))
    assert read_ids(tmp_path / "ids.csv").keys == ("a", "b")


def test_ids_that_were_never_given_are_refused() -> None:
    ids = CategoryIds(("a",))
    for number in (0, 2, -1):
        with pytest.raises(IndexError):
            ids.key_of(number)
    with pytest.raises(KeyError):
        ids.of("b")


def test_keys_that_spreadsheet_programs_would_run_are_texts() -> None:
    ids = CategoryIds(("=1+1", "-x", "@a", "+3", "'=2", "plain"))
    cells = [line.partition(",")[2] for line in ids_csv(ids).decode().splitlines()]
    assert cells == ["sku", "'=1+1", "'-x", "'@a", "'+3", "''=2", "plain"]
    assert parse_ids(ids_csv(ids), "here") == ids
    # As earlier versions wrote it.
    assert parse_ids(b"id,sku\n1,=1+1\n2,-x\n", "here").keys == ("=1+1", "-x")
