"""Several lists as one, and files outside the folder of a list."""

from __future__ import annotations

from pathlib import Path

import pytest
import trimesh

from assets.backdrops.collection import Backdrops
from assets.catalog.category_ids import ids_of, ids_path
from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.sku_lists import Roots, SkuLists, folder_of, sku_source
from assets.library import Library
from support.errors import raises


def write_list(path: Path, rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"sku,mesh,name\n{rows}")
    return path


def write_box(path: Path, side: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.creation.box((side, side, side)).export(path)
    return path


@pytest.fixture
def lists(tmp_path: Path) -> SkuLists:
    """Two lists in folders of their own; each names its a.obj, which is another box."""
    write_box(tmp_path / "one" / "a.obj", 0.1)
    write_box(tmp_path / "two" / "a.obj", 0.2)
    first = write_list(tmp_path / "one" / "skus.csv", "b,a.obj,B\nd,a.obj,D\n")
    return SkuLists((first, write_list(tmp_path / "two" / "skus.csv", "c,a.obj,C\na,a.obj,A\n")))


def test_lists_are_one_catalogue_with_paths_of_their_own(lists: SkuLists, tmp_path: Path) -> None:
    catalog = load_catalog(lists)
    assert catalog.keys == ("a", "b", "c", "d")
    assert [catalog.place_of(key) for key in "ad"] == [f"row 3 of {lists.paths[1]}", f"row 3 of {lists.paths[0]}"]
    library = Library(catalog, Backdrops.open(), cache_dir=tmp_path / "cache")
    assert [library.product(key).size[0] for key in "abcd"] == pytest.approx([0.2, 0.1, 0.2, 0.1])
    # Known as one list of all rows is; another order of the lists is the same catalogue.
    whole = write_list(tmp_path / "one" / "whole.csv", "".join(f"{key},a.obj,{key.upper()}\n" for key in "abcd"))
    assert catalog.hash == load_catalog(whole).hash == load_catalog(SkuLists(lists.paths[::-1])).hash
    assert ids_of(catalog).keys == ("a", "b", "c", "d")
    ids_path(lists.paths[0]).write_text("id,sku\n1,d\n2,b\n")
    assert ids_of(catalog).keys == ("d", "b", "a", "c")


def test_keys_of_two_lists_are_told_with_both_places(lists: SkuLists) -> None:
    first, second = lists.paths
    second.write_text("sku,mesh\nb,a.obj\nx,a.obj\nx,a.obj\ncafe\u0301,\n")
    first.write_text("sku,mesh\nb,a.obj\ncaf\u00e9,a.obj\n")
    with raises("list-invalid") as error:
        load_catalog(lists)
    told = str(error.value)
    assert f"{second}, row 2, column sku: found 'b' again, as in row 2 of {first}" in told
    assert f"looks the same as the key in row 3 of {first}" in told
    assert f"{second}, row 4, column sku: found 'x' again, as in row 3" in told  # within one list, as ever
    assert f"catalog check {first} {second}" in told


def test_one_list_twice_is_refused(lists: SkuLists) -> None:
    first = lists.paths[0]
    with raises("input-duplicate"):
        check_catalog(SkuLists((first, first.parent / ".." / first.parent.name / first.name)))


def test_equal_problems_of_many_rows_are_one_line(tmp_path: Path) -> None:
    write_box(tmp_path / "elsewhere" / "box.obj", 0.1)
    rows = "".join(f"sku{i},../elsewhere/box{i}.obj,\n" for i in range(22))
    path = write_list(tmp_path / "list" / "skus.csv", rows + "odd,gone.obj,\n")
    with raises("list-invalid") as error:
        load_catalog(path)
    lines = str(error.value).splitlines()
    (told,) = [line for line in lines if "22 rows (2, 3, 4, 5, 6, ...), column mesh" in line]
    assert "'../elsewhere/box0.obj', '../elsewhere/box1.obj' and 20 others" in told
    assert told.endswith(f"add --mesh-root {tmp_path / 'elsewhere'}")  # the way out
    assert any("row 24, column mesh: found no file 'gone.obj'" in line for line in lines)


@pytest.mark.parametrize("named", ["../models/deep/a.obj", "{}/models/deep/a.obj", "deep/a.obj"])
def test_files_lie_in_a_mesh_root_too(tmp_path: Path, named: str) -> None:
    mesh = write_box(tmp_path / "models" / "deep" / "a.obj", 0.1)
    path = write_list(tmp_path / "list" / "skus.csv", f"a,{named.format(tmp_path)},\n")
    assert len(check_catalog(path)) == 1
    catalog = load_catalog(sku_source([path], [tmp_path / "empty", tmp_path / "models"]))
    root = catalog.root_of("a")
    assert root / catalog[0].mesh == mesh
    assert folder_of(root, mesh) == tmp_path / "models"  # what the mesh names may lie there, and nowhere else
    assert Library(catalog, Backdrops.open(), cache_dir=tmp_path / "cache").product("a").size[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "named", ["../secret/a.obj", "{}/secret/a.obj", "{}/models/../secret/a.obj", "../models/../secret/a.obj"]
)
def test_nothing_leads_out_of_all_folders(tmp_path: Path, named: str) -> None:
    write_box(tmp_path / "secret" / "a.obj", 0.1)
    (tmp_path / "models").mkdir()
    path = write_list(tmp_path / "list" / "skus.csv", f"a,{named.format(tmp_path)},\n")
    (problem,) = check_catalog(SkuLists((path,), (tmp_path / "models",)))
    assert "or of --mesh-root" in problem.expected
    assert Roots(path.parent, (tmp_path / "models",)).find(named.format(tmp_path)) is None


def test_the_lists_own_folder_comes_first(tmp_path: Path) -> None:
    own, other = write_box(tmp_path / "list" / "a.obj", 0.1), write_box(tmp_path / "models" / "a.obj", 0.2)
    assert Roots(own.parent, (other.parent,)) / "a.obj" == own
    assert Roots(tmp_path / "models", (own.parent,)) / "a.obj" == other
