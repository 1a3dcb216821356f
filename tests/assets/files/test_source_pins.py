"""A data set uses each product with one set of files, whichever of its workers comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.files.source_pins import SourcePins
from assets.library import Library, check_sources
from assets.mesh.load import LoadedMesh
from support.errors import raises

BOX = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 {height}\nf 1 2 3\nf 1 3 4\n"


def test_the_second_worker_with_other_files_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sources.jsonl"
    first, second = SourcePins(file), SourcePins(file)
    second.pin("b", "2")
    first.pin("a", "1")
    second.pin("a", "1")
    for pins in (first, second, SourcePins(file)):
        with raises("product-files-changed"):
            pins.pin("b", "3")
    second.settle()
    assert file.read_text() == '["a", "1"]\n["b", "2"]\n'


def test_half_a_line_of_a_killed_worker_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "sources.jsonl"
    file.write_text('["a", "1"]\n["b", "')
    SourcePins(file).pin("c", "3")
    assert file.read_text() == '["a", "1"]\n["c", "3"]\n'
    file.write_text("garbage\n")
    with raises("source-pins-damaged"):
        SourcePins(file).pin("a", "1")


def test_what_has_changed_is_named_before_a_run_is_resumed(tmp_path: Path) -> None:
    pins = SourcePins(tmp_path / "sources.jsonl")
    pins.check(lambda sku: "none yet")
    for sku in "abc":
        pins.pin(sku, "1")
    SourcePins(tmp_path / "sources.jsonl").check({"a": "1", "b": None, "c": "1"}.__getitem__)
    with raises("product-files-changed") as told:
        SourcePins(tmp_path / "sources.jsonl").check({"a": "1", "b": "2", "c": "3"}.__getitem__)
    assert told.value.problems == ("SKU 'b'", "SKU 'c'") and told.value.found == "2 of 3"


@pytest.fixture
def libraries(tmp_path: Path) -> tuple[Library, Library]:
    """Two workers of one data set with a mesh of a product."""
    (tmp_path / "box.obj").write_text(BOX.format(height=0.0))
    (tmp_path / "skus.csv").write_text("sku,name,category,mesh,units\nbox,Box,food,box.obj,m\n")
    catalog, pins = load_catalog(tmp_path / "skus.csv"), tmp_path / "sources.jsonl"
    first, second = (
        Library(catalog, Backdrops.open(), cache_dir=tmp_path / "cache", pins=SourcePins(pins)) for _ in range(2)
    )
    return first, second


def test_a_mesh_that_changes_during_a_run_fails_what_would_mix(
    libraries: tuple[Library, Library], tmp_path: Path
) -> None:
    first, second = libraries
    before = first.product("box")
    (tmp_path / "box.obj").write_text(BOX.format(height=0.5))
    assert first.product("box") is before
    with raises("product-files-changed") as told:
        second.product("box")
    assert "SKU 'box'" in str(told.value)
    with raises("product-files-changed"):
        check_sources(SourcePins(tmp_path / "sources.jsonl"), second)


def test_a_mesh_that_changes_while_it_is_read_is_not_kept(libraries: tuple[Library, Library], tmp_path: Path) -> None:
    first, _ = libraries
    load = first._load_product

    def change(*arguments: object) -> LoadedMesh:
        (tmp_path / "box.obj").write_text(BOX.format(height=0.5))
        return load(*arguments)  # type: ignore[arg-type]

    first._load_product = change
    with raises("product-files-changed"):
        first.product("box")
    assert not list((tmp_path / "cache").rglob("*.npz"))
