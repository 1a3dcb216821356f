"""Mesh files: every format reads as the same mesh, normalised; what is wrong with one is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial import cKDTree

from assets.catalog.load import load_catalog
from assets.mesh.export_glb import glb_of
from assets.mesh.load import Z_FROM_Y_UP, load_mesh
from assets.mesh.normals import crease_normals
from assets.mesh.read import read_mesh_file
from assets.mesh.repair import inside_out
from assets.mesh.simplify import simplify_part, split_long_edges
from assets.mesh.types import Mesh, RawPart
from support.errors import raises

SIDES = np.array([0.1, 0.06, 0.2])
CUBE_OBJ = "\n".join(
    [
        "v 0 0 0\nv 0.1 0 0\nv 0.1 0.06 0\nv 0 0.06 0\nv 0 0 0.2\nv 0.1 0 0.2\nv 0.1 0.06 0.2\nv 0 0.06 0.2",
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1",
        "f 4/1 3/2 2/3 1/4\nf 5/1 6/2 7/3 8/4\nf 1/1 2/2 6/3 5/4",
        "f 2/1 3/2 7/3 6/4\nf 3/1 4/2 8/3 7/4\nf 4/1 1/2 5/3 8/4",
    ]
)


def box(sides: Any = SIDES) -> trimesh.Trimesh:
    """A closed box somewhere off the origin."""
    shape = trimesh.creation.box(sides)
    shape.apply_translation([3, -2, 5])
    return shape


def saved(folder: Path, shape: Any, name: str) -> Path:
    shape.export(folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["a.obj", "a.ply", "a.stl", "a.off", "a.3mf", "A.STL"])
def test_formats_agree_on_a_box(tmp_path: Path, name: str) -> None:
    units = "m" if name.endswith("3mf") else ""  # 3MF says millimetres where its writer says nothing
    loaded = load_mesh(saved(tmp_path, box(), name), units=units)
    mesh = loaded.mesh
    np.testing.assert_allclose(mesh.bounds, [[-0.05, -0.03, 0], [0.05, 0.03, 0.2]], atol=1e-6)
    assert len(mesh.faces) == 12 and len(mesh.vertices) == 24  # hard edges: four corners a side
    assert {tuple(row) for row in np.round(np.abs(mesh.normals)).astype(int)} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert loaded.notes == ()


@pytest.mark.parametrize(
    ("name", "up", "height"),
    [
        ("a.glb", "", 0.06),  # Y up by its standard
        ("a.glb", "z", 0.2),
        ("a.obj", "", 0.2),
        ("a.obj", "y", 0.06),
    ],
)
def test_upward_axis(tmp_path: Path, name: str, up: str, height: float) -> None:
    assert load_mesh(saved(tmp_path, box(), name), up=up).mesh.size[2] == pytest.approx(height)


@pytest.mark.parametrize("up", ["z", "y"])
@pytest.mark.parametrize("front", ["", "-y", "+y", "-x", "+x"])
def test_the_front_is_turned_to_minus_y(tmp_path: Path, front: str, up: str) -> None:
    # A pyramid whose tip points to the front: after loading it points to -y, and width is across it.
    side = {"": (0, -1), "-y": (0, -1), "+y": (0, 1), "-x": (-1, 0), "+x": (1, 0)}[front]
    tip = np.array([*side, 0.0]) * 0.1
    across = np.array([-side[1], side[0], 0.0]) * 0.03
    corners = np.array([tip, across, -across, [0, 0, 0.05], [0, 0, -0.05]])
    if up == "y":
        corners = corners @ Z_FROM_Y_UP
    shape = trimesh.Trimesh(corners, [[0, 1, 3], [0, 3, 2], [0, 4, 1], [0, 2, 4], [1, 2, 3], [2, 1, 4]])
    loaded = load_mesh(saved(tmp_path, shape, "a.ply"), up=up, front=front).mesh
    np.testing.assert_allclose(loaded.size, [0.06, 0.1, 0.1], atol=1e-6)
    foremost = loaded.vertices[loaded.vertices[:, 1].argmin()]
    np.testing.assert_allclose(foremost, [0, -0.05, 0.05], atol=1e-6)
    assert (np.einsum("ij,ij->i", loaded.normals, loaded.vertices - loaded.vertices.mean(axis=0)) > 0).all()


@pytest.mark.parametrize(
    ("asset", "size"),
    [
        ('<unit name="inch" meter="0.0254"/><up_axis>Z_UP</up_axis>', SIDES * 0.0254 * 10),
        ('<unit name="inch" meter="0.0254"/><up_axis>Y_UP</up_axis>', SIDES[[0, 2, 1]] * 0.0254 * 10),
        ('<unit name="meter" meter="1"/>', SIDES[[0, 2, 1]] * 10),  # silent: Y up, as COLLADA says
    ],
)
def test_collada_states_unit_and_upward_axis(tmp_path: Path, asset: str, size: np.ndarray) -> None:
    import re

    text = box(SIDES * 10).export(file_type="dae").decode()
    text = re.sub(r"<unit[^>]*/>|<up_axis>.*?</up_axis>", "", text).replace("</asset>", f"{asset}</asset>")
    (tmp_path / "a.dae").write_text(text)
    np.testing.assert_allclose(load_mesh(tmp_path / "a.dae").mesh.size, size, rtol=1e-5)


def test_units_of_a_3mf_count(tmp_path: Path) -> None:
    path = saved(tmp_path, box(SIDES * 1000), "a.3mf")
    np.testing.assert_allclose(load_mesh(path).mesh.size, SIDES, rtol=1e-5)


@given(
    st.tuples(*[st.floats(0.02, 0.9)] * 3),
    st.sampled_from([("m", 1.0), ("cm", 100.0), ("mm", 1000.0), ("in", 1 / 0.0254)]),
    st.sampled_from(["y", "z"]),
)
@settings(max_examples=25, deadline=None)
def test_source_vertices_land_on_the_mesh(sides: tuple, unit: tuple[str, float], up: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), box(np.array(sides) * unit[1]), "a.ply")
        loaded = load_mesh(path, units=unit[0], up=up)
        source = np.concatenate([part.vertices for part in read_mesh_file(path).parts])
    pose = loaded.normalized_from_source
    moved = source @ pose[:3, :3].T + pose[:3, 3]
    assert cKDTree(loaded.mesh.vertices).query(moved)[0].max() < 1e-5
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(unit[1] ** -3)
    np.testing.assert_allclose(loaded.mesh.bounds.mean(axis=0)[:2], 0, atol=1e-6)
    assert loaded.mesh.bounds[0, 2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "expected", "note"),
    [
        ((0.1, 0.06, 0.2), (0.1, 0.06, 0.2), None),
        ((0.05, 0.03, 0.1), (0.05, 0.03, 0.1), None),  # half of it
        ((0.102, 0.059, 0.2), (0.102, 0.059, 0.2), None),  # close: stretched to fit
        ((None, None, 0.4), (0.2, 0.12, 0.4), None),  # one side: the others follow
        ((0.2, None, None), (0.2, 0.12, 0.4), None),
        ((0.05, None, 0.1), (0.05, 0.03, 0.1), None),
        ((0.06, 0.1, 0.2), (0.1, 0.06, 0.2), "width and depth seem swapped"),
        ((0.1, 0.2, 0.06), (0.1, 0.06, 0.2), "column 'up'"),
        ((0.1, 0.06, 0.3), (0.1, 0.06, 0.2), "does not fit"),  # one number of three is off
        ((0.3, None, 0.4), (0.2, 0.12, 0.4), "does not fit"),  # of two the height counts
    ],
)
def test_stated_size(tmp_path: Path, size: Any, expected: tuple, note: str | None) -> None:
    loaded = load_mesh(saved(tmp_path, box(), "a.ply"), size=size)
    np.testing.assert_allclose(loaded.mesh.size, expected, rtol=1e-4)
    assert [note in text for text in loaded.notes] == ([True] if note else [])


@pytest.mark.parametrize(
    ("scale", "units", "guess"),
    [
        (1000, "", "mm"),  # a 20 cm box in millimetres
        (100, "", "cm"),
        (1 / 0.0254, "", "in"),
        (0.001, "", "units"),
        (1, "mm", "looks like m:"),  # the column says millimetres, the file is in metres
        (1e9, "", "units"),
        (0, "", "units"),
    ],
)
def test_absurd_size_is_diagnosed(tmp_path: Path, scale: float, units: str, guess: str) -> None:
    with raises("mesh-size-implausible") as error:
        load_mesh(saved(tmp_path, box(SIDES * scale), "a.ply"), units=units)
    assert error.value.hint is not None and guess in error.value.hint
    assert "column 'units'" in error.value.hint


OFF = "OFF\n4 2 0\n0 0 0\n0.1 0 0\n0 0.1 0\n{}\n3 0 1 2\n3 {}\n"


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("a.off", OFF.format("nan 0 0", "0 1 3"), "mesh-invalid", ""),
        ("a.off", OFF.format("0 0 inf", "0 1 3"), "mesh-invalid", ""),
        ("a.off", OFF.format("0 0 0.1", "0 1 9"), "mesh-unreadable", "outside the range"),
        ("a.stl", "solid x\nendsolid x\n", "mesh-empty", ""),
        (
            "a.ply",
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n",
            "mesh-unreadable",
            "",
        ),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "mesh-empty", ""),  # a point cloud
        ("a.obj", "", "mesh-empty", ""),
        ("a.obj", "v 0 0 0\nv 1 0 0\nf 1 2 2\n", "mesh-empty", ""),
        ("a.stl", "nonsense", "mesh-empty", ""),
        ("a.glb", "nonsense", "json-invalid", ""),
        ("a.dae", "<COLLADA>", "mesh-unreadable", ""),
        ("a.blend", "BLENDER", "mesh-format-unknown", ""),
        ("a.zip", "PK", "mesh-format-unknown", ""),
        ("mesh", "x", "mesh-format-unknown", ""),
    ],
)
def test_file_that_is_no_mesh_is_told(tmp_path: Path, name: str, content: str, code: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with raises(code, found=message) as error:
        load_mesh(tmp_path / name)
    assert error.value.where is not None and name in error.value.where


def test_missing_file_is_told(tmp_path: Path) -> None:
    with raises("file-missing"):
        load_mesh(tmp_path / "a.glb")


def test_a_nan_that_no_face_uses_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text(OFF.format("nan 0 0", "0 2 1"))
    assert len(load_mesh(tmp_path / "a.off").mesh.faces) == 2


def test_inside_out_is_turned_and_noted(tmp_path: Path) -> None:
    shape = box()
    shape.invert()
    loaded = load_mesh(saved(tmp_path, shape, "a.off"))
    assert loaded.notes == ("faces flipped: the surface was inside out",)
    assert volume(loaded.mesh) == pytest.approx(np.prod(SIDES))
    outward = np.einsum("ij,ij->i", loaded.mesh.normals, loaded.mesh.vertices - [0, 0, 0.1])
    assert (outward > 0).all()


def volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("keep", "invert", "expected"),
    [
        (slice(None), False, False),
        (slice(None), True, True),
        (slice(2, None), False, False),  # a box without its floor
        (slice(2, None), True, True),
        (slice(0, 2), True, False),  # a card: nothing inside
    ],
)
def test_what_counts_as_inside_out(keep: slice, invert: bool, expected: bool) -> None:
    shape = box()
    order = np.argsort(shape.face_normals[:, 2], kind="stable")  # the floor first
    faces = shape.faces[order][keep]
    part = RawPart(shape.vertices, faces[:, ::-1] if invert else faces, material=None)  # type: ignore[arg-type]
    assert inside_out([part]) is expected


def test_normals_against_the_winding_are_made_anew(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    wrong = trimesh.Trimesh(ball.vertices, ball.faces, vertex_normals=-ball.vertices * 10, process=False)
    (tmp_path / "a.glb").write_bytes(trimesh.Scene(wrong).export(file_type="glb", include_normals=True))
    loaded = load_mesh(tmp_path / "a.glb")
    assert loaded.notes == ("inward normals recomputed",)
    assert agreement(loaded.mesh, loaded.mesh.vertices - [0, 0, 0.1]) > 0.999


def agreement(mesh: Mesh, directions: np.ndarray) -> float:
    """The least cosine between normals and directions."""
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return float(np.einsum("ij,ij->i", mesh.normals, units).min())


def test_ball_is_smooth_and_can_keeps_its_rims(tmp_path: Path) -> None:
    ball = load_mesh(saved(tmp_path, trimesh.creation.icosphere(subdivisions=4, radius=0.1), "a.stl")).mesh
    assert agreement(ball, ball.vertices - [0, 0, 0.1]) > 0.9999
    assert len(ball.vertices) == 2562  # one normal a position
    can = load_mesh(saved(tmp_path, trimesh.creation.cylinder(0.03, 0.1, sections=64), "b.stl")).mesh
    flat = np.abs(can.normals[:, 2]) > 0.5
    np.testing.assert_allclose(np.abs(can.normals[flat]), [[0, 0, 1]] * flat.sum(), atol=1e-5)
    assert (np.einsum("ij,ij->i", can.normals[~flat][:, :2], can.vertices[~flat][:, :2]) > 0.03 * 0.999).all()


def test_texture_seam_does_not_show_in_normals() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    apart = ball.vertices[ball.faces].reshape(-1, 3)  # each face with vertices of its own, as at seams
    split = crease_normals(apart, np.arange(len(apart)).reshape(-1, 3))
    np.testing.assert_allclose(split, crease_normals(ball.vertices, ball.faces), atol=1e-9)


def test_parts_keep_their_materials(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl grey\nKd 0.5 0.5 0.5\n")
    lines = CUBE_OBJ.splitlines()
    faces = [line for line in lines if line.startswith("f ")]
    rest = [line for line in lines if not line.startswith("f ")]
    text = ["mtllib a.mtl", *rest, "usemtl red", *faces[:2], "usemtl grey", *faces[2:]]
    (tmp_path / "a.obj").write_text("\n".join(text))
    mesh = load_mesh(tmp_path / "a.obj").mesh
    colors = {len(range(p.face_start, p.face_stop)): p.material.base_color.round(3).tolist() for p in mesh.parts}
    assert colors == {4: [1, 0, 0, 1], 8: [0.216, 0.216, 0.216, 1]}  # 8 bits of sRGB, made linear
    np.testing.assert_allclose(mesh.size, SIDES, rtol=1e-6)


def textured_obj(folder: Path, reference: str, material: str = "a.mtl") -> Path:
    (folder / "meshes").mkdir(exist_ok=True)
    (folder / "meshes" / "a.mtl").write_text(f"newmtl m\nKd 0 0 0\nmap_Kd {reference}\n")
    (folder / "meshes" / "a.obj").write_text(f"mtllib {material}\nusemtl m\n{CUBE_OBJ}\n")
    return folder / "meshes" / "a.obj"


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("label.png", "meshes/label.png"),
        ("my label.png", "meshes/my label.png"),
        ("tex\\label.png", "meshes/tex/label.png"),  # from Windows
        ("C:\\Users\\me\\label.png", "meshes/label.png"),
        ("/home/me/label.png", "meshes/label.png"),
        ("Label.PNG", "meshes/label.png"),  # from a file system that overlooks capitals
        ("../tex/label.png", "tex/label.png"),  # beside the meshes, inside the list's folder
        ("-s 1 1 1 -clamp on label.png", "meshes/label.png"),
    ],
)
def test_textures_are_found(tmp_path: Path, reference: str, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), (200, 10, 20)).save(tmp_path / file)
    loaded = load_mesh(textured_obj(tmp_path, reference), root=tmp_path)
    material = loaded.mesh.parts[0].material
    assert loaded.notes == ()
    assert material.texture is not None
    assert material.texture.shape == (2, 3, 4)
    assert material.texture[0, 0].tolist() == [200, 10, 20, 255]
    assert material.base_color.tolist() == [1, 1, 1, 1]  # the black diffuse colour beside a texture means nothing


def test_linked_files_are_followed(tmp_path: Path) -> None:
    """Stores of large data keep files elsewhere and lay links into the folder."""
    (tmp_path / "store").mkdir()
    Image.new("RGB", (3, 2)).save(tmp_path / "store" / "1234.png")
    path = textured_obj(tmp_path, "label.png")
    (path.parent / "label.png").symlink_to(tmp_path / "store" / "1234.png")
    assert load_mesh(path).mesh.parts[0].material.texture is not None


@pytest.mark.parametrize(
    ("reference", "material", "note"),
    [
        ("gone.png", "a.mtl", "missing texture 'gone.png'"),
        ("gone.png", "gone.mtl", "missing file 'gone.mtl'"),
        ("../../secret.png", "a.mtl", "missing texture '../../secret.png'"),  # outside the list's folder
    ],
)
def test_missing_companions_are_noted(tmp_path: Path, reference: str, material: str, note: str) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    (tmp_path / "list").mkdir()
    loaded = load_mesh(textured_obj(tmp_path / "list", reference, material), root=tmp_path / "list")
    assert [note in text for text in loaded.notes] == [True]
    assert loaded.mesh.parts[0].material.texture is None


def big_image(path: Path, width: int, height: int) -> None:
    """A PNG that claims a size and holds nothing."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])
def test_enormous_texture_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = textured_obj(tmp_path, "label.png")
    big_image(tmp_path / "meshes" / "label.png", *size)
    with raises("limit-exceeded", what="too large"):
        load_mesh(path)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_broken_texture_is_told(tmp_path: Path, content: bytes) -> None:
    path = textured_obj(tmp_path, "label.png")
    (tmp_path / "meshes" / "label.png").write_bytes(content)
    with raises("image-unreadable", what="texture", where=r"label\.png"):
        load_mesh(path)


def test_large_texture_is_shrunk_with_a_note(tmp_path: Path) -> None:
    path = textured_obj(tmp_path, "label.png")
    Image.new("L", (6000, 300), 77).save(tmp_path / "meshes" / "label.png")
    loaded = load_mesh(path)
    texture = loaded.mesh.parts[0].material.texture
    assert texture is not None
    assert texture.shape == (102, 2048, 4) and (texture[..., :3] == 77).all()
    assert loaded.notes == ("texture of 6000 x 300 px shrunk to 2048 x 102",)


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGBA", (1, 2, 3, 200), [1, 2, 3, 200]),
        ("LA", (9, 200), [9, 9, 9, 200]),
        ("L", 9, [9, 9, 9, 255]),
        ("I;16", 0x8080, [128, 128, 128, 255]),
        ("1", 1, [255, 255, 255, 255]),
    ],
)
def test_kinds_of_images(tmp_path: Path, mode: str, pixel: Any, expected: list[int]) -> None:
    path = textured_obj(tmp_path, "label.png")
    Image.new(mode, (2, 2), pixel).save(tmp_path / "meshes" / "label.png")
    texture = load_mesh(path).mesh.parts[0].material.texture
    assert texture is not None and texture[0, 0].tolist() == expected


@pytest.mark.parametrize("kind", ["vertex_colors", "face_colors"])
def test_colors_of_a_ply(tmp_path: Path, kind: str) -> None:
    shape = box()
    count = len(shape.vertices) if kind == "vertex_colors" else len(shape.faces)
    colors = np.column_stack([np.arange(count) * 20, np.full((count, 2), 7), np.full(count, 255)]).astype(np.uint8)
    shape = trimesh.Trimesh(shape.vertices, shape.faces, process=False, **{kind: colors})
    mesh = load_mesh(saved(tmp_path, shape, "a.ply")).mesh
    assert mesh.colors is not None
    assert {tuple(row) for row in mesh.colors} == {tuple(row) for row in colors}  # sRGB, as they are
    assert mesh.parts[0].material.base_color.tolist() == [1, 1, 1, 1]
    middles, wanted = (shape.vertices, colors) if kind == "vertex_colors" else (shape.triangles_center, colors)
    found = mesh.vertices if kind == "vertex_colors" else mesh.vertices[mesh.faces].mean(axis=1)
    seen = mesh.colors if kind == "vertex_colors" else mesh.colors[mesh.faces[:, 0]]
    _, nearest = cKDTree(middles - [3, -2, 4.9]).query(found)
    np.testing.assert_array_equal(seen, wanted[nearest])


def test_exported_glb_reads_back_equal(tmp_path: Path) -> None:
    path = textured_obj(tmp_path, "label.png")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "meshes" / "label.png")
    mesh = load_mesh(path).mesh
    (tmp_path / "b.glb").write_bytes(glb_of(mesh))
    again = load_mesh(tmp_path / "b.glb")
    np.testing.assert_array_equal(again.mesh.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.mesh.faces, mesh.faces)
    np.testing.assert_allclose(again.mesh.normals, mesh.normals, atol=1e-5)
    np.testing.assert_allclose(again.mesh.uv, mesh.uv, atol=1e-6)
    one, two = again.mesh.parts[0].material, mesh.parts[0].material
    np.testing.assert_array_equal(one.texture, two.texture)
    assert (one.roughness, one.metallic, one.alpha_cutoff) == (two.roughness, two.metallic, two.alpha_cutoff)
    assert again.notes == ()


def test_exported_glb_keeps_vertex_colors_and_parts(tmp_path: Path) -> None:
    from support.gltf_files import CARD_UV, GltfFile, card

    file = GltfFile()
    colors = file.accessor(np.array([[0.2, 0.4, 1.0], [0, 0, 0], [0.002, 0.01, 0.5], [0.6, 0.6, 0.6]]))
    looks = [file.material(baseColorFactor=[0.1, 0.2, 0.3, 1]), file.material(roughnessFactor=0.25, alphaMode="MASK")]
    looks += [file.material(extensions={"KHR_materials_transmission": {"transmissionFactor": 0.75}})]
    uv = file.accessor(CARD_UV)
    primitives = [card(file, look, COLOR_0=colors, TEXCOORD_0=uv) for look in looks]
    mesh = load_mesh(file.write(tmp_path / "a.gltf", primitives)).mesh
    (tmp_path / "b.glb").write_bytes(glb_of(mesh))
    again = load_mesh(tmp_path / "b.glb").mesh
    np.testing.assert_array_equal(again.colors, mesh.colors)
    for one, two in zip(again.parts, mesh.parts, strict=True):
        np.testing.assert_allclose(one.material.base_color, two.material.base_color, atol=1e-12)
        assert (one.face_start, one.face_stop) == (two.face_start, two.face_stop)
        assert one.material.alpha_cutoff == two.material.alpha_cutoff
        assert one.material.roughness == two.material.roughness
        assert one.material.glass == two.material.glass
    assert [part.material.transmission for part in again.parts] == [0, 0, 0.75]


def test_key_is_of_content(tmp_path: Path) -> None:
    first, again, other = (
        saved(tmp_path, box(sides), name) for sides, name in ((SIDES, "a.ply"), (SIDES, "b.ply"), (SIDES * 2, "c.ply"))
    )
    assert load_mesh(first).mesh.key == load_mesh(again).mesh.key != load_mesh(other).mesh.key


def test_millions_of_triangles_are_reduced_with_a_note(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=7, radius=0.1)
    loaded = load_mesh(saved(tmp_path, ball, "a.stl"))
    assert len(loaded.mesh.faces) <= 110_000
    assert loaded.notes == (f"{len(ball.faces)} triangles reduced to {len(loaded.mesh.faces)}",)
    np.testing.assert_allclose(np.linalg.norm(loaded.mesh.vertices - [0, 0, 0.1], axis=1), 0.1, rtol=1e-3)


def grid(count: int) -> RawPart:
    """A wavy sheet whose texture coordinates follow from x and y; the right half is a chart of its own."""
    x, y = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, count), indexing="ij")
    cell = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    faces = np.concatenate([np.c_[cell, cell + count, cell + 1], np.c_[cell + 1, cell + count, cell + count + 1]])
    vertices = np.c_[x.ravel(), y.ravel(), 0.05 * np.sin(4 * x.ravel())]
    corners = vertices[faces]
    right = corners[:, :, 0].mean(axis=1) > 0.5
    uv = corners[..., :2] * 0.4 + np.where(right, 0.55, 0.0)[:, None, None]
    return RawPart(corners.reshape(-1, 3), np.arange(faces.size).reshape(-1, 3), None, uv=uv.reshape(-1, 2))  # type: ignore[arg-type]


def test_reduced_mesh_keeps_its_texture_on_both_sides_of_a_seam() -> None:
    part = simplify_part(grid(80), 3000)
    assert part.uv is not None
    assert 1500 < len(part.faces) < 6000
    corners, uv = part.vertices[part.faces], part.uv[part.faces]
    right = uv.mean(axis=(1, 2)) > 0.5
    whole = corners[..., 0].max(axis=1) < 0.49, corners[..., 0].min(axis=1) > 0.51
    assert not right[whole[0]].any() and right[whole[1]].all()
    error = np.abs(uv - (corners[..., :2] * 0.4 + np.where(right, 0.55, 0.0)[:, None, None]))
    assert error[whole[0] | whole[1]].max() < 0.004  # 0.01 of the sheet: less than a face


@given(st.integers(0, 2**32 - 1), st.floats(0.15, 1.0))
@settings(max_examples=30, deadline=None)
def test_split_edges_leave_no_gap(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    ball = trimesh.creation.icosphere(subdivisions=1)
    vertices, faces = split_long_edges(ball.vertices * rng.uniform(0.3, 2, 3), ball.faces, limit)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.edges_unique_length.max() <= limit
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0


@pytest.mark.parametrize("folder", ["hope", "ycb", "groceries"])
def test_every_scan_loads_with_its_texture(shared_data: Path, folder: str) -> None:
    for sku in load_catalog(shared_data / folder / "skus.csv"):
        path = shared_data / folder / sku.mesh
        loaded = load_mesh(path)
        source = np.concatenate([part.vertices for part in read_mesh_file(path).parts])
        pose = loaded.normalized_from_source
        distance = cKDTree(loaded.mesh.vertices).query(source @ pose[:3, :3].T + pose[:3, 3])[0]
        assert distance.max() < 1e-6, sku.sku
        assert loaded.notes == (), sku.sku
        assert all(part.material.texture is not None for part in loaded.mesh.parts), sku.sku
        assert loaded.mesh.bounds[0, 2] == pytest.approx(0, abs=1e-7)
