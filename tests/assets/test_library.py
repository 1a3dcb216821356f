"""The library: what was normalised once is read back, whatever changes counts, damage repairs itself."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from assets import library as module
from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.library import Library
from assets.mesh.rest import rest_from_mesh
from assets.mesh.sources import source_digest
from assets.mesh.store import read_mesh, read_rest, write_mesh, write_rest
from assets.mesh.types import Material, Mesh, MeshPart
from assets.props.look import Shape, Texture
from support.errors import raises

OBJ = "mtllib a.mtl\nusemtl m\nv 0 0 0\nv 0.1 0 0\nv 0 0.1 0\nv 0 0 0.1\nvt 0 0\nvt 1 0\nvt 0 1\n"
OBJ += "f 1/1 3/3 2/2\nf 1/1 2/2 4/3\nf 1/1 4/2 3/3\nf 2/1 3/2 4/3\n"
LONG_AGO = time.time_ns() - 3600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A list of a textured tetrahedron and two packages, its files an hour old."""
    (tmp_path / "a.obj").write_text(OBJ)
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd a.png\n")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / "b c.stl")
    lines = ["sku,name,mesh,package,width_m,height_m,depth_m,units", "tetra,T,a.obj,,,,,", "box/1,B,b c.stl,,,,,"]
    (tmp_path / "list.csv").write_text("\n".join([*lines, "can,C,,can,0.07,0.1,0.07,"]) + "\n")
    for file in tmp_path.iterdir():
        os.utime(file, ns=(LONG_AGO, LONG_AGO))
    return tmp_path


def open_library(folder: Path, **more: int) -> Library:
    return Library(load_catalog(folder / "list.csv"), Backdrops.open(), cache_dir=folder / "cache", **more)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SKUs whose mesh files were read and normalised."""
    seen: list[str] = []
    real = module.load_product

    def counted(sku: module.Sku, root: Path) -> object:
        seen.append(sku.sku)
        return real(sku, root)

    monkeypatch.setattr(module, "load_product", counted)
    return seen


def assert_equal(one: Mesh, two: Mesh) -> None:
    assert one.key == two.key
    for name in ("vertices", "faces", "normals", "uv", "colors"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for a, b in zip(one.parts, two.parts, strict=True):
        assert (a.face_start, a.face_stop) == (b.face_start, b.face_stop)
        np.testing.assert_array_equal(a.material.texture, b.material.texture)
        np.testing.assert_array_equal(a.material.base_color, b.material.base_color)
        looks = [(m.roughness, m.metallic, m.alpha_cutoff) for m in (a.material, b.material)]
        assert looks[0] == looks[1]


def test_a_mesh_is_normalised_once(folder: Path, loads: list[str]) -> None:
    first = open_library(folder)
    made = first.product("tetra")
    assert first.product("tetra") is made  # from memory
    assert_equal(open_library(folder).product("tetra"), made)  # from disk
    assert loads == ["tetra"]


@pytest.mark.parametrize("file", ["a.obj", "a.mtl", "a.png"])
def test_what_changes_is_read_anew(folder: Path, loads: list[str], file: str) -> None:
    key = open_library(folder).product("tetra").key
    if file == "a.png":
        Image.new("RGB", (4, 4), "blue").save(folder / file)
    else:
        changes = {"a.obj": ("v 0 0 0.1", "v 0 0 0.2"), "a.mtl": ("map_Kd a.png", "Kd 0 1 0")}
        (folder / file).write_text((folder / file).read_text().replace(*changes[file]))
    assert open_library(folder).product("tetra").key != key
    assert loads == ["tetra"] * 2


def test_a_file_that_was_missing_counts_once_it_is_there(folder: Path) -> None:
    (folder / "a.png").rename(folder / "hidden.png")
    assert open_library(folder).product("tetra").parts[0].material.texture is None
    (folder / "hidden.png").rename(folder / "A.PNG")  # under another spelling
    assert open_library(folder).product("tetra").parts[0].material.texture is not None


def test_the_list_s_options_count(folder: Path, loads: list[str]) -> None:
    assert open_library(folder).product("tetra").size[2] == pytest.approx(0.1)
    text = (folder / "list.csv").read_text()
    (folder / "list.csv").write_text(text.replace("tetra,T,a.obj,,,,,", "tetra,T,a.obj,,,0.3,,"))
    assert open_library(folder).product("tetra").size[2] == pytest.approx(0.3)
    assert loads == ["tetra"] * 2


def test_equal_files_share_an_entry(folder: Path, loads: list[str]) -> None:
    open_library(folder).product("box/1")
    text = (folder / "list.csv").read_text()
    (folder / "list.csv").write_text(text.replace("box/1", "../of another name"))
    open_library(folder).product("../of another name")
    assert loads == ["box/1"]
    assert not (folder.parent / "of another name").exists()  # keys are never file names


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04nonsense", None])
def test_a_damaged_entry_is_made_anew(folder: Path, loads: list[str], damage: bytes | None) -> None:
    made, rest = open_library(folder).product("tetra"), open_library(folder).rest("tetra")
    for entry in (folder / "cache").rglob("*.npz"):
        whole = entry.read_bytes()
        entry.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    for entry in (folder / "cache").rglob("*.json"):
        entry.write_bytes(b"{")
    again = open_library(folder)
    assert_equal(again.product("tetra"), made)
    np.testing.assert_array_equal(again.rest("tetra").rotations, rest.rotations)
    assert loads == ["tetra"] * 2
    open_library(folder).product("tetra")
    assert loads == ["tetra"] * 2  # mended on disk too


def test_one_flipped_bit_is_noticed(folder: Path, loads: list[str]) -> None:
    made = open_library(folder).product("tetra")
    (entry,) = (folder / "cache").rglob("*.npz")
    data = bytearray(entry.read_bytes())
    data[data.index(made.vertices.tobytes()) + 5] ^= 1
    entry.write_bytes(data)
    assert_equal(open_library(folder).product("tetra"), made)
    assert loads == ["tetra"] * 2


def test_a_cache_that_cannot_be_written_does_no_harm(folder: Path) -> None:
    (folder / "cache").write_text("a file where the folder should be")
    library = open_library(folder)
    assert len(library.product("tetra").faces) == 4
    assert len(library.rest("tetra").rotations) >= 1


def test_nothing_half_written_stays(folder: Path) -> None:
    library = open_library(folder)
    for key in library.catalog.keys:
        library.rest(key)
    assert {path.suffix for path in (folder / "cache").rglob("*") if path.is_file()} == {".npz", ".json"}


def test_digest_is_remembered_by_size_and_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sku = load_catalog(folder / "list.csv").find("tetra")
    digest = source_digest(sku, folder, version=1, index_dir=folder / "index")
    monkeypatch.setattr("assets.mesh.sources.digest_files", lambda files, options: "hashed")
    assert source_digest(sku, folder, version=1, index_dir=folder / "index") == digest
    assert source_digest(sku, folder, version=2, index_dir=folder / "index") == "hashed"
    os.utime(folder / "a.png", ns=(LONG_AGO + 1, LONG_AGO + 1))
    assert source_digest(sku, folder, version=1, index_dir=folder / "index") == "hashed"


def test_digest_of_a_file_just_written_is_not_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sku = load_catalog(folder / "list.csv").find("tetra")
    (folder / "a.png").touch()
    source_digest(sku, folder, version=1, index_dir=folder / "index")
    monkeypatch.setattr("assets.mesh.sources.digest_files", lambda files, options: "hashed")
    assert source_digest(sku, folder, version=1, index_dir=folder / "index") == "hashed"


def test_memory_is_bounded(folder: Path, loads: list[str]) -> None:
    library = open_library(folder, memory_mb=0)
    for key in ("tetra", "box/1", "tetra"):
        library.product(key)
    assert len(library._meshes) == 1  # the last one alone
    assert loads == ["tetra", "box/1"]  # the third time from disk


def test_least_recently_used_goes_first() -> None:
    recent: module._Cache[str] = module._Cache(3, len)
    for name in ("a", "b", "a", "c", "d"):
        recent.get_or_make(name, lambda name=name: name)  # type: ignore[misc]
    assert sorted(recent) == ["a", "c", "d"]


def test_a_bad_mesh_names_its_sku_row_and_file(folder: Path) -> None:
    (folder / "b c.stl").write_text("nonsense")
    with raises("mesh-empty") as error:
        open_library(folder).product("box/1")
    where = str(error.value.where)
    assert "SKU 'box/1', row 3 of" in where and "list.csv" in where and "b c.stl" in where
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # workers send it to their parent


def test_unknown_sku_names_the_closest(folder: Path) -> None:
    with raises("unknown-sku", hint="did you mean 'tetra'"):
        open_library(folder).product("tetta")


def test_packages_wear_and_props(folder: Path) -> None:
    library = open_library(folder)
    plain, worn = library.product("can"), library.product("can", wear=0.5)
    np.testing.assert_allclose(plain.size, [0.07, 0.07, 0.1], rtol=1e-5)
    assert worn.key != plain.key and worn.vertices is plain.vertices
    assert library.product("can", wear=0.5) is worn
    shape, texture = Shape("box", 0.1, 0.2, 0.3), Texture("checker")
    prop = library.prop(shape, texture)
    np.testing.assert_allclose(prop.size, [0.1, 0.2, 0.3], rtol=1e-5)
    assert library.prop(shape, texture) is prop
    assert library.prop(shape, Texture("checker", seed=1)).key != prop.key


@pytest.mark.parametrize("rich", [True, False])
def test_stored_mesh_reads_back_equal(tmp_path: Path, rich: bool) -> None:
    rng = np.random.default_rng(3)
    shape = trimesh.creation.icosphere(subdivisions=1)
    looks = [
        Material(np.array([0.1, 0.2, 0.3, 1]), rng.integers(0, 256, (5, 3, 4)), 0.3, 0.7, 0.25),  # see-through texels
        Material(np.ones(4), np.full((2, 2, 4), 255)),
        Material(np.ones(4)),
    ]
    parts = tuple(MeshPart(20 * i, 20 * i + (20 if i < 2 else 40), look) for i, look in enumerate(looks))
    more = {"uv": rng.random((42, 2)), "colors": rng.integers(0, 256, (42, 4))} if rich else {}
    mesh = Mesh("ab", shape.vertices, shape.faces, shape.vertex_normals, parts, **more)
    write_mesh(tmp_path / "deep" / "a.npz", mesh)
    assert_equal(read_mesh(tmp_path / "deep" / "a.npz"), mesh)


def test_stored_rest_reads_back_equal(folder: Path) -> None:
    rest = rest_from_mesh(open_library(folder).product("box/1"))
    write_rest(folder / "r.npz", rest)
    again = read_rest(folder / "r.npz")
    for name in ("hull_vertices", "hull_faces", "rotations", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rest, name))


def test_second_start_is_quick_on_scans(shared_data: Path, tmp_path: Path) -> None:
    catalog = load_catalog(shared_data / "hope" / "skus.csv")
    taken = []
    for _ in range(2):
        library = Library(catalog, Backdrops.open(), cache_dir=tmp_path)
        start = time.perf_counter()
        for key in catalog.keys[:4]:
            library.product(key)
            library.rest(key)
        taken.append(time.perf_counter() - start)
    assert taken[1] < taken[0] / 2
