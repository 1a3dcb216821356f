"""Catalogue tools: problems at once, sheets that show every product, exports that read back equal."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.console import PlainConsole
from assets.demo import demo_list
from assets.errors import SynthError
from assets.library import Library
from pipeline.doctor import Check, print_checks
from pipeline.products.catalog import check_list, export_list, generate_list, register_ids, show_list
from support.errors import raises


def console() -> PlainConsole:
    return PlainConsole(file=io.StringIO(), width=200)


def printed(page: PlainConsole) -> str:
    assert isinstance(page.file, io.StringIO)
    return page.file.getvalue()


def test_problems_of_rows_and_of_meshes(tmp_path: Path) -> None:
    path = tmp_path / "skus.csv"
    path.write_text("sku,mesh\na,a.obj\nb,b.obj\n")
    page = console()
    assert check_list(path, console=page) == 1
    assert "no file 'a.obj'" in printed(page) and "no file 'b.obj'" in printed(page)
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 100 0 0\nv 0 90 0\nv 0 0 80\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    (tmp_path / "b.obj").write_text("v 0 0 0\n")
    page = console()
    assert check_list(path, console=page) == 1
    assert "looks like cm or mm" in printed(page)
    assert "b: " in printed(page)
    assert check_list(path, meshes=False, console=console()) == 0


def test_equal_names_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "skus.csv"
    rows = ["a,Cola", "b,Cola", "c,Tea"]
    path.write_text("sku,name,package,width_m,height_m,depth_m\n" + "".join(f"{r},can,0.06,0.1,0.06\n" for r in rows))
    page = console()
    assert check_list(path, console=page) == 0
    assert "2 SKUs share a name with another: 'Cola' (a, b)" in printed(page)


def test_an_exported_mesh_is_turned_once_and_rests_as_its_kind(tmp_path: Path) -> None:
    corners = "v 0 0 0\nv 0.1 0 0\nv 0 0.2 0\nv 0 0 0.3\n"
    (tmp_path / "a.obj").write_text(f"{corners}f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    path = tmp_path / "skus.csv"
    rows = ["a,a.obj,,+x,,,", "b,a.obj,,,,,", "c,,bag,,0.1,0.2,0.05"]
    path.write_text("\n".join(["sku,mesh,package,front,width_m,height_m,depth_m", *rows]) + "\n")
    exported = load_catalog(export_list(path, tmp_path / "out", console=console()))
    assert [sku.front for sku in exported] == ["-y", "", "-y"]
    assert [sku.rests for sku in exported] == ["", "", "lie:1 lean:0.4"]
    library = Library(exported, Backdrops.open(), cache_dir=tmp_path / "cache")
    assert library.product("a").size == pytest.approx([0.2, 0.1, 0.3], abs=1e-6)
    assert library.product("b").size == pytest.approx([0.1, 0.2, 0.3], abs=1e-6)


def test_an_exported_catalogue_reads_back_the_same(tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    rows = demo_list().read_text().splitlines()
    few.write_text("\n".join([rows[0], rows[1].replace("demo-0001", "a/b: 1"), rows[8], rows[16]]) + "\n")
    listed = export_list(few, tmp_path / "out", console=console())
    with listed.open() as file:
        assert next(row["mesh"] for row in csv.DictReader(file)) == "meshes/a%2Fb%3A 1.glb"
    ours = Library(load_catalog(few), Backdrops.open(), cache_dir=tmp_path / "cache")
    theirs = Library(load_catalog(listed), Backdrops.open(), cache_dir=tmp_path / "cache")
    assert ours.catalog.keys == theirs.catalog.keys
    for key in ours.catalog.keys:
        mine, again = ours.product(key), theirs.product(key)
        assert again.size == pytest.approx(mine.size, abs=1e-5)
        assert len(again.parts) == len(mine.parts)
        assert len(again.faces) == len(mine.faces)
        for one, other in zip(mine.parts, again.parts, strict=True):
            assert other.material.metallic == pytest.approx(one.material.metallic, abs=0.01)
            assert other.material.base_color == pytest.approx(one.material.base_color, abs=0.01)
            if one.material.texture is not None:
                assert np.array_equal(one.material.texture, other.material.texture)


def test_a_sheet_shows_every_product(tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("\n".join(demo_list().read_text().splitlines()[:4]) + "\n")
    try:
        out = show_list(few, tmp_path / "sheet.png", limit=60, console=console())
    except SynthError as error:
        pytest.skip(f"the raster backend cannot start here: {error}")
    with Image.open(out) as sheet:
        pixels = np.asarray(sheet.convert("RGB"), dtype=int)
    # Three products side by side in one row, each in three views: colour in every ninth of the row.
    for view in np.array_split(pixels[60:230], 9, axis=1):
        assert np.ptp(view, axis=2).max() > 60


def test_doctor_keeps_brackets_and_says_when_nothing_renders() -> None:
    page = console()
    print_checks(page, [Check("torch", "missing", "not installed", "pip install 'synth[train]'")])
    assert "synth[train]" in printed(page)
    assert "no backend works" in printed(page)


def test_ids_are_registered_and_kept(tmp_path: Path) -> None:
    """The registry is written beside the list, and later only added to."""
    path = generate_list(tmp_path / "skus.csv", count=3, seed=0, console=console())
    page = console()
    register_ids(path, console=page)
    assert "0 ids kept (0 of delisted SKUs), 3 new" in printed(page)
    before = (tmp_path / "skus.ids.csv").read_text()
    path.unlink()
    generate_list(path, count=5, seed=1, console=console())
    page = console()
    register_ids(path, console=page)
    assert "3 ids kept (3 of delisted SKUs), 5 new" in printed(page)
    assert (tmp_path / "skus.ids.csv").read_text().startswith(before)


def test_generate_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "skus.csv").write_text("mine")
    with raises("output-exists"):
        generate_list(tmp_path / "skus.csv", count=1, seed=0, console=console())
    assert (tmp_path / "skus.csv").read_text() == "mine"
    with raises("output-name-invalid"):
        generate_list(tmp_path / "skus.json", count=1, seed=0, console=console())
