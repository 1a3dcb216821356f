"""The invented catalogue: a good list of any size, the same for the same seed, with look-alikes in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from assets.catalog.barcode import check_digit
from assets.catalog.generate import generate_csv, generate_rows
from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.words import FLAVOURS, GOODS


def test_the_list_is_good(tmp_path: Path) -> None:
    path = tmp_path / "skus.csv"
    path.write_bytes(generate_csv(3000, seed=0))
    assert check_catalog(path) == []
    catalog = load_catalog(path)
    assert len(catalog) == 3000
    assert {sku.package for sku in catalog} == {goods.package for goods in GOODS}
    assert all(check_digit(key[:12]) == key[12] for key in catalog.keys)
    assert all(min(sku.width_m, sku.height_m, sku.depth_m) > 0.003 for sku in catalog)
    assert all(max(sku.width_m, sku.height_m, sku.depth_m) < 0.8 for sku in catalog)


def test_a_larger_catalogue_begins_with_the_smaller_one() -> None:
    assert generate_csv(200, seed=1).startswith(generate_csv(80, seed=1))
    keys = [{row["sku"] for row in generate_rows(80, seed=seed)} for seed in (1, 2)]
    assert not keys[0] & keys[1]


def test_families_hold_look_alikes() -> None:
    """Most products have a sister that differs by one word, and in some lines by the word alone."""
    rows = list(generate_rows(3000, seed=0))
    words = {word for group in FLAVOURS.values() for word in group}
    families = Counter((row["brand"], row["package"], row["width_m"], row["height_m"], row["mass_kg"]) for row in rows)
    assert sum(count for count in families.values() if count > 1) > 0.7 * len(rows)
    assert all(any(word in row["name"] for word in words) for row in rows)
    same_print = Counter((row["brand"], row["colors"], row["width_m"], row["height_m"]) for row in rows)
    assert 0.05 * len(rows) < sum(count for count in same_print.values() if count > 1) < 0.5 * len(rows)


def test_names_and_keys_are_unique() -> None:
    rows = list(generate_rows(5000, seed=3))
    assert len({row["sku"] for row in rows}) == len({row["name"] for row in rows}) == 5000
