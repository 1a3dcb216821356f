"""Meshes of strangers: bombs, cycles, lies about sizes, and what a mesh names beside itself."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.catalog.types import Sku
from assets.errors import SynthError
from assets.limits import MESH_FACES, MESH_MEMORY, MESH_NUMBERS, MESH_PIXELS, MESH_UNPACKED
from assets.mesh import companions as mesh_companions
from assets.mesh import gltf
from assets.mesh import gltf_parts as mesh_gltf
from assets.mesh import normals as mesh_normals
from assets.mesh import simplify as mesh_simplify
from assets.mesh.load import load_mesh
from assets.mesh.rest import rest_from_mesh
from assets.mesh.sources import source_digest
from support.errors import raises
from support.fuzzing.files import deadline
from support.fuzzing.meshes import gltf_tree, good_files, laughing_3mf
from support.gltf_files import CARD_UV, GltfFile, card


def png_that_claims(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG of a few bytes with any size in its header."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data or zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def told_within(limit_mb: float, path: Path, message: str, code: str = "limit-exceeded") -> None:
    """Loading ends with that error and takes no more memory than that."""
    tracemalloc.start()
    try:
        with deadline(), raises(code, what=message):
            load_mesh(path)
        assert tracemalloc.get_traced_memory()[1] < limit_mb * 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", sorted(good_files()))
def test_the_good_files_are_good(tmp_path: Path, kind: str) -> None:
    """What is broken elsewhere reads as a box before it is broken."""
    for name, data in good_files()[kind].items():
        (tmp_path / name).write_bytes(data)
    mesh = load_mesh(tmp_path / next(iter(good_files()[kind]))).mesh
    assert len(mesh.faces) == 12 and sorted(np.round(mesh.size, 5)) == pytest.approx([0.1, 0.2, 0.3], abs=1e-4)


@pytest.mark.parametrize("kind", sorted(good_files()))
def test_cut_off_anywhere_it_is_read_or_told(tmp_path: Path, kind: str) -> None:
    files = good_files()[kind]
    name = next(iter(files))
    for other, data in files.items():
        (tmp_path / other).write_bytes(data)
    for keep in np.linspace(0, len(files[name]) - 1, 25).astype(int):
        (tmp_path / name).write_bytes(files[name][:keep])
        try:
            mesh = load_mesh(tmp_path / name).mesh
        except SynthError:
            continue
        assert np.isfinite(mesh.vertices).all() and keep > 0


def empty_accessor(file: GltfFile) -> dict[str, Any]:
    """150 million zeros, of which the file holds none."""
    file.tree["accessors"].append({"componentType": 5126, "type": "VEC3", "count": 50_000_000})
    return {"attributes": {"POSITION": len(file.tree["accessors"]) - 1}}


def test_numbers_that_are_claimed_and_not_there(tmp_path: Path) -> None:
    file = GltfFile()
    told_within(50, file.write(tmp_path / "a.gltf", [empty_accessor(file)]), "numbers in the arrays of a mesh")


@pytest.mark.parametrize("name", ["MESH_NUMBERS", "MESH_FACES"])
def test_an_array_that_is_used_a_thousand_times_counts_a_thousand_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """2000 numbers make a file of gigabytes of triangles."""
    module, limit = (gltf, MESH_NUMBERS) if name == "MESH_NUMBERS" else (mesh_gltf, MESH_FACES)
    monkeypatch.setattr(module, name, replace(limit, maximum=limit.maximum // 100))
    file = GltfFile()
    indices = file.accessor(np.arange(2000) % 4, "u1")
    primitive = {**card(file), "indices": indices, "mode": 5}
    told_within(500, file.write(tmp_path / "a.gltf", [primitive] * 1000), limit.name)


def test_a_buffer_that_is_named_a_thousand_times_is_not_read_as_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh_companions, "MESH_UNPACKED", replace(MESH_UNPACKED, maximum=10 << 20))
    (tmp_path / "b.bin").write_bytes(bytes(1 << 20))
    tree = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": 1, "uri": "b.bin"}] * 1000}
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    told_within(20, tmp_path / "a.gltf", "bytes that a mesh file unpacks to")


def test_nodes_past_counting(tmp_path: Path) -> None:
    file = GltfFile()
    path = file.write(tmp_path / "a.gltf", [card(file)])
    tree = json.loads(path.read_text())
    tree["nodes"] = [{"mesh": 0}] * 20_000
    path.write_text(json.dumps(tree))
    with deadline(), raises("limit-exceeded", what="placed parts of a mesh file"):
        load_mesh(path)


@pytest.mark.parametrize(
    "nodes", [[{"children": [0]}], [{"children": [1]}, {"children": [0]}], [{"children": [1, 1]}, {}]]
)
def test_nodes_that_hold_themselves(tmp_path: Path, nodes: list[dict]) -> None:
    tree = {**gltf_tree(), "nodes": nodes, "scenes": [{"nodes": [0]}], "scene": 0}
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    for name, data in good_files()["gltf"].items():
        (tmp_path / name).write_bytes(data) if name != "a.gltf" else None
    with deadline(), raises("mesh-unreadable"):
        load_mesh(tmp_path / "a.gltf")


def test_json_nested_deeper_than_anything(tmp_path: Path) -> None:
    (tmp_path / "a.gltf").write_text('{"nodes":' + "[" * 100_000 + "]" * 100_000 + "}")
    with deadline(), raises("limit-exceeded", what="levels of lists and objects"):
        load_mesh(tmp_path / "a.gltf")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 1), (65_535, 65_535), (2**31 - 1, 2**31 - 1)])
def test_textures_that_claim_gigabytes(tmp_path: Path, size: tuple[int, int]) -> None:
    file = GltfFile()
    look = file.material(baseColorTexture={"index": file.image(png_that_claims(*size))})
    path = file.write(tmp_path / "a.gltf", [card(file, look, TEXCOORD_0=file.accessor(CARD_UV))])
    told_within(20, path, "pixels of an image")


def test_a_texture_that_hundreds_of_materials_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is within the limit; together they would take minutes and gigabytes."""
    monkeypatch.setattr(mesh_companions, "MESH_PIXELS", replace(MESH_PIXELS, maximum=5_000_000))
    file = GltfFile()
    texture = file.image(png_that_claims(1000, 1000, zlib.compress(bytes(3001 * 1000))))
    uv = file.accessor(CARD_UV)
    looks = [file.material(baseColorTexture={"index": texture}) for _ in range(200)]
    path = file.write(tmp_path / "a.gltf", [card(file, look, TEXCOORD_0=uv) for look in looks])
    assert path.stat().st_size < 200_000
    with deadline(), raises("limit-exceeded", what="pixels of all textures"):
        load_mesh(path)


def test_an_image_of_another_kind_than_its_name_is_opened_by_nobody_else(tmp_path: Path) -> None:
    """PostScript would be handed to a program that runs it."""
    file = GltfFile()
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    look = file.material(baseColorTexture={"index": file.image(postscript)})
    path = file.write(tmp_path / "a.gltf", [card(file, look, TEXCOORD_0=file.accessor(CARD_UV))])
    with raises("image-unreadable", what="a texture"):
        load_mesh(path)


def test_groups_that_hold_the_next_one_twice(tmp_path: Path) -> None:
    (tmp_path / "a.3mf").write_bytes(laughing_3mf(3))
    assert len(load_mesh(tmp_path / "a.3mf", size=(0.1, None, None)).mesh.parts) == 8
    (tmp_path / "a.3mf").write_bytes(laughing_3mf(60))
    told_within(50, tmp_path / "a.3mf", "placed parts of a mesh file")


def test_a_3mf_that_holds_itself(tmp_path: Path) -> None:
    data = laughing_3mf(2)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        model = archive.read("3D/3dmodel.model").replace(b'objectid="0"', b'objectid="2"')
    with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
        archive.writestr("3D/3dmodel.model", model)
    with deadline(), raises("mesh-recursive"):
        load_mesh(tmp_path / "a.3mf")


def test_a_3mf_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    """The sizes are stated in the archive's directory: here 20 times 100 MB, of which it holds a byte each."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}.model", b"x")
        for entry in archive.infolist():
            entry.file_size = 100 << 20
    (tmp_path / "a.3mf").write_bytes(data.getvalue())
    told_within(20, tmp_path / "a.3mf", "unpacks to")


COLLADA = """<?xml version="1.0"?>{dtd}<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit meter="1"/></asset><library_nodes>{nodes}</library_nodes><library_visual_scenes><visual_scene id="s">
<node id="root"><instance_node url="#n{last}"/></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#s"/></scene></COLLADA>"""


@pytest.mark.parametrize(
    ("last", "first", "told", "code"), [(40, 0, "placed parts", "limit-exceeded"), (2, 2, "", "mesh-recursive")]
)
def test_collada_nodes_without_end(tmp_path: Path, last: int, first: int, told: str, code: str) -> None:
    held = [first, *range(last)]
    nodes = "".join(
        f'<node id="n{n}">{f"<instance_node url={chr(34)}#n{held[n]}{chr(34)}/>" * 2}</node>'
        for n in range(1, last + 1)
    )
    nodes += '<node id="n0"/>'
    (tmp_path / "a.dae").write_text(COLLADA.format(dtd="", nodes=nodes.replace("#n2", "#n2"), last=last))
    if first:
        (tmp_path / "a.dae").write_text(COLLADA.format(dtd="", nodes=nodes.replace('"#n1"', '"#n2"'), last=last))
    told_within(50, tmp_path / "a.dae", told, code)


@pytest.mark.parametrize(
    "dtd",
    [
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///dev/zero">]>',
        '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY x "&b;&b;&b;&b;">]>',
        '<!DOCTYPE d SYSTEM "http://localhost:9/d.dtd">',
    ],
)
def test_xml_reaches_for_nothing(tmp_path: Path, dtd: str) -> None:
    (tmp_path / "a.dae").write_text(COLLADA.format(dtd=dtd, nodes='<node id="n0" name="&x;"/>', last=0))
    with deadline(), raises("mesh-empty", "mesh-unreadable"):
        load_mesh(tmp_path / "a.dae")


def test_an_archive_named_collada_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.dae", "w") as archive:
        archive.writestr("x.dae", COLLADA)
    with raises("mesh-unreadable"):
        load_mesh(tmp_path / "a.dae")


@pytest.mark.parametrize("ending", ["zip", "zae", "3dxml", "xaml", "tar.gz", "bz2", "dxf", "xyz", "exe", ""])
def test_formats_that_are_no_meshes_are_not_tried(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"PK\x03\x04")
    with raises("mesh-format-unknown"):
        load_mesh(tmp_path / f"a.{ending}")


def obj(*lines: str) -> str:
    return "\n".join(["v 0 0 0", "v 1 0 0", "v 0 1 0", "v 0 0 1", *lines])


BOX = ("f 1 2 3", "f 1 2 4", "f 1 3 4", "f 2 3 4")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "\n" * 10_000,
            "#" * 100_000,
            "v nan nan nan\nf 1 1 1",
            obj("f 1 2 9"),
            obj("f -9 -8 -7"),
            obj("f 0 1 2"),
        ),
        *(obj("f 1 1 1", "f 2 2 2"), obj(), obj("f a b c"), obj("f 99999999999999999999 1 2"), obj("l 1 2", "p 1")),
        *(obj("v inf 0 0", "f 1 2 5"), obj("v 1e300 0 0", "f 1 2 5"), obj("v 1e30 1e30 0", "f 1 2 5")),
        *("v 0 0 0\nv 1e-30 0 0\nv 0 1e-30 0\nf 1 2 3", "v 0 0 0\nv 1e-320 0 0\nv 0 1e-320 0\nf 1 2 3"),
        *("v 0 0\nv 1 0\nv 0 1\nf 1 2 3", "v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3"),
    ],
)
@pytest.mark.parametrize("size", [(None, None, None), (0.1, 0.1, 0.1), (None, None, 0.1)])
def test_bodies_that_are_none(tmp_path: Path, text: str, size: Any) -> None:
    (tmp_path / "a.obj").write_text(text)
    with deadline(), raises("mesh-empty", "mesh-invalid", "mesh-size-implausible", "mesh-unreadable"):
        load_mesh(tmp_path / "a.obj", size=size)


def test_a_flat_thing_does_not_grow_by_the_height_that_it_lacks(tmp_path: Path) -> None:
    """Its height of 1e-17 is rounding, not what the stated 0.1 m mean."""
    text = "v 0 0 0\nv 0.2 0 0\nv 0 0.2 1e-17\nf 1 2 3"
    (tmp_path / "a.obj").write_text(text)
    np.testing.assert_allclose(load_mesh(tmp_path / "a.obj", size=(None, None, 0.1)).mesh.size[:2], 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://localhost:9/a.png",
        "..\\secret.png",
        "x/../../secret.png",
    ],
)
def test_textures_from_elsewhere_are_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(b"no image, and never opened")
    (tmp_path / "in" / "a.mtl").write_text(f"newmtl m\nmap_Kd {name}\n")
    (tmp_path / "in" / "a.obj").write_text(
        "mtllib a.mtl\nusemtl m\nvt 0 0\n" + obj(*BOX).replace("f 1 2 3", "f 1/1 2/1 3/1")
    )
    loaded = load_mesh(tmp_path / "in" / "a.obj")
    assert any("rendered without it" in note for note in loaded.notes)
    assert all(part.material.texture is None for part in loaded.mesh.parts)


@pytest.mark.parametrize("name", ["pipe.png", "/dev/zero", "dir.png", "zero.png"])
def test_what_a_mesh_names_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dir.png").mkdir()
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "a.mtl").write_text(f"newmtl m\nmap_Kd {name}\n")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nusemtl m\n" + obj(*BOX))
    with deadline():
        load_mesh(tmp_path / "a.obj")
        assert source_digest(Sku("a", "a", mesh="a.obj"), tmp_path, version=1, index_dir=tmp_path / "index")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("ending", ["obj", "glb", "gltf", "3mf", "dae", "ply"])
def test_a_mesh_that_is_no_file(tmp_path: Path, make: Callable[[Path], None], ending: str) -> None:
    make(tmp_path / f"a.{ending}")
    with deadline(), raises("not-a-file", what="the mesh file"):
        load_mesh(tmp_path / f"a.{ending}")


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.obj").open("wb") as file:
        file.truncate((512 << 20) + 1)  # takes no room on the disk
    told_within(5, tmp_path / "a.obj", "bytes of a mesh file")


def test_faces_that_are_stated_dozens_of_times_are_not_compared_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_normals, "MAX_PAIRS", 100_000)
    vertices = np.random.default_rng(0).uniform(size=(3000, 3))
    faces = np.tile(np.arange(3000).reshape(-1, 3), (40, 1))  # 40 corners at each of 3000 positions: 4.8 million pairs
    tracemalloc.start()
    normals = mesh_normals.crease_normals(vertices, faces)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1)


def test_slivers_without_area_are_not_split_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_simplify, "MAX_SPLIT", 2000)
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 0]])
    with deadline():
        split = mesh_simplify.split_long_edges(vertices, np.array([[0, 1, 2]]), 0.0)
    assert 2000 < len(split[1]) < 10_000


@pytest.mark.parametrize("flat", ["v 0 0 0\nv .1 0 0\nv 0 .1 0\nf 1 2 3", "v 0 0 0\nv .1 0 0\nv .05 0 1e-9\nf 1 2 3"])
def test_flat_bodies_rest_too(tmp_path: Path, flat: str) -> None:
    (tmp_path / "a.obj").write_text(flat)
    rest = rest_from_mesh(load_mesh(tmp_path / "a.obj").mesh)
    assert len(rest.rotations) and np.isfinite(rest.rotations).all()


def test_data_uris_are_bounded_by_the_file_that_holds_them(tmp_path: Path) -> None:
    for uri in (
        "data:,",
        "data:;base64,%%%",
        "data:application/octet-stream;base64,AAAA",
        base64.b64encode(b"x").decode(),
    ):
        tree = {**gltf_tree(), "buffers": [{"byteLength": 10**12, "uri": uri}]}
        (tmp_path / "a.gltf").write_text(json.dumps(tree))
        with raises("mesh-unreadable"):
            load_mesh(tmp_path / "a.gltf")


def test_the_memory_limit_is_above_what_the_largest_mesh_needs() -> None:
    # Ten million triangles of a glTF: 30 million numbers as float64 with their normals, some copies of them.
    assert MESH_MEMORY.maximum > 10_000_000 * 3 * 8 * 12 * 2
