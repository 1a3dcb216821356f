"""Planograms meet a catalogue."""

from __future__ import annotations

from pathlib import Path

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.planogram.stocked import stock_planograms
from support.errors import raises
from support.sets.planograms import TOML

SIGN = '[[planogram.shelf]]\ny = 1500\ndepth = 100\nkind = "sign"\n[[planogram.shelf.position]]\nsku = "demo-0002"\n'


def test_products_on_parts_that_carry_nothing_are_counted_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(TOML.replace("0042", "demo-0001") + SIGN)
    shop = stock_planograms([file], load_catalog(demo_list()))
    assert shop.stocked[0].skus == ("demo-0001",) and shop.left_out["hidden position"] == 1
    assert "not followed: 1 hidden position" in shop.describe()
    file.write_text(TOML + SIGN)
    with raises("planogram-products-missing"):
        stock_planograms([file], load_catalog(demo_list()))
