"""Packages from sizes and artwork: exact sizes, closed outward surfaces, print where it belongs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.catalog.barcode import check_digit, ean13, modules
from assets.catalog.load import load_catalog
from assets.catalog.types import Sku
from assets.demo import demo_list
from assets.mesh.types import Mesh
from assets.packages.build import make_package
from assets.packages.print.artwork import label_colors
from support.errors import raises

CARTON = Sku("c", "Oat Flakes", package="carton", width_m=0.19, height_m=0.28, depth_m=0.06, brand="Morgenrot")
KINDS = ("carton", "can", "bottle")


def face_normals(mesh: Mesh) -> np.ndarray:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    crosses = np.cross(b - a, c - a)
    return crosses / np.linalg.norm(crosses, axis=1, keepdims=True)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(KINDS), st.floats(0.02, 0.4), st.floats(0.02, 0.4), st.floats(0.03, 0.5))
def test_a_package_has_its_size_and_stands_on_the_table(kind: str, width: float, depth: float, height: float) -> None:
    mesh = make_package(replace(CARTON, package=kind, width_m=width, depth_m=depth, height_m=height), Path())
    assert mesh.size == pytest.approx([width, depth, height], abs=1e-6)
    assert mesh.bounds.sum(axis=0)[:2] == pytest.approx(0, abs=1e-6)
    assert mesh.bounds[0, 2] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_surfaces_look_outwards(kind: str) -> None:
    mesh = make_package(replace(CARTON, package=kind, width_m=0.08, depth_m=0.08), Path())
    shading = mesh.normals[mesh.faces].mean(axis=1)
    assert np.einsum("ij,ij->i", face_normals(mesh), shading).min() > 0.5
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume > 0


def test_a_carton_is_closed() -> None:
    mesh = make_package(CARTON, Path())
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(0.19 * 0.28 * 0.06, rel=0.05)


def pixels_facing(mesh: Mesh, direction: tuple[float, float, float]) -> np.ndarray:
    """Texels under the corners of the faces that look in a direction, (N, 3)."""
    (part,) = mesh.parts
    faces = mesh.faces[face_normals(mesh) @ direction > 0.99]
    assert mesh.uv is not None
    assert part.material.texture is not None
    height, width = part.material.texture.shape[:2]
    uv = mesh.uv[np.unique(faces)].astype(float)
    middle = uv.mean(axis=0)
    uv = middle + (uv - middle) * 0.8
    rows, columns = ((1 - uv[:, 1]) * height).astype(int), (uv[:, 0] * width).astype(int)
    return part.material.texture[rows, columns, :3].astype(int)


def test_the_packshot_is_on_the_front_and_its_ground_on_the_sides(tmp_path: Path) -> None:
    shot = Image.new("RGB", (190, 280), (20, 160, 60))
    shot.paste((250, 20, 20), (0, 0, 190, 140))  # the upper half is red
    shot.save(tmp_path / "front.png")
    mesh = make_package(replace(CARTON, packshot="front.png"), tmp_path)
    front = pixels_facing(mesh, (0, -1, 0))
    assert {tuple(pixel) for pixel in front} == {(250, 20, 20), (20, 160, 60)}


def test_print_is_upright_and_not_mirrored(tmp_path: Path) -> None:
    """Seen from -Y with +X to the right, the packshot's left half is on the left."""
    shot = Image.new("RGB", (190, 280), (255, 255, 255))
    shot.paste((0, 0, 255), (0, 0, 95, 280))
    shot.save(tmp_path / "front.png")
    mesh = make_package(replace(CARTON, packshot="front.png"), tmp_path)
    front = mesh.faces[face_normals(mesh) @ (0, -1, 0) > 0.99]
    assert mesh.uv is not None
    corners = np.unique(front)
    left, right = (corners[mesh.vertices[corners, 0] < 0], corners[mesh.vertices[corners, 0] > 0])
    low, high = (corners[mesh.vertices[corners, 2] < 0.1], corners[mesh.vertices[corners, 2] > 0.1])
    assert mesh.uv[left, 0].max() < mesh.uv[right, 0].min()
    assert mesh.uv[low, 1].max() < mesh.uv[high, 1].min()


@pytest.mark.parametrize("kind", ["can", "bottle"])
def test_the_front_of_a_wrap_faces_minus_y(kind: str) -> None:
    mesh = make_package(replace(CARTON, package=kind, width_m=0.08, depth_m=0.08), Path())
    label = next(part for part in mesh.parts if part.material.texture is not None)
    corners = np.unique(mesh.faces[label.face_start : label.face_stop])
    assert mesh.uv is not None
    nearest = corners[mesh.vertices[corners, 1].argmin()]
    assert mesh.uv[nearest, 0] == pytest.approx(0.5, abs=0.02)
    right = corners[mesh.vertices[corners, 0].argmax()]
    assert mesh.uv[right, 0] == pytest.approx(0.75, abs=0.02)


def test_the_same_row_gives_the_same_package_and_another_name_another() -> None:
    assert make_package(CARTON, Path()).key == make_package(CARTON, Path()).key
    assert make_package(replace(CARTON, name="Rye Flakes"), Path()).key != make_package(CARTON, Path()).key


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"depth_m": None}, "package-size-missing", ""),
        ({"packshot": "gone.png"}, "file-missing", "packshot"),
        ({"packshot": "broken.png"}, "image-unreadable", "packshot"),
    ],
)
def test_what_cannot_be_made_is_told_with_its_sku(tmp_path: Path, change: dict, code: str, told: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with raises(code, what=told) as caught:
        make_package(replace(CARTON, **change), tmp_path)
    assert "'c'" in str(caught.value)


def test_demo_products_differ_and_look_alikes_are_alike() -> None:
    catalog = load_catalog(demo_list())
    meshes = {sku.sku: make_package(sku, catalog.root) for sku in catalog}
    assert len({mesh.key for mesh in meshes.values()}) == len(catalog) >= 12
    one, other = meshes["demo-0001"], meshes["demo-0002"]
    assert one.size == pytest.approx(other.size)
    first, second = (part.material.texture for part in (one.parts[0], other.parts[0]))
    assert first is not None and second is not None
    assert first.shape == second.shape
    assert np.abs(first.astype(int) - second).mean() > 5


@pytest.mark.parametrize("colors", ["", "#112233", "#112233 #445566 #778899", "nonsense", "red, blue"])
def test_colours_are_always_three(colors: str) -> None:
    found = label_colors(replace(CARTON, colors=colors))
    assert len(found) == 3
    if colors.startswith("#112233"):
        assert found[0] == (0x11, 0x22, 0x33)


def test_barcodes_follow_the_standard() -> None:
    assert check_digit("400638133393") == "1"  # the example of the standard
    assert ean13("4006381333939") == "4006381333931"  # a wrong last digit is mended
    bars = modules("4006381333931")
    assert len(bars) == 95
    assert (bars[:3], bars[45:50], bars[-3:]) == ("101", "01010", "101")


@given(st.text(min_size=1))
def test_any_key_gives_a_barcode(key: str) -> None:
    code = ean13(key)
    assert len(code) == 13 and code.isdecimal()
    assert len(modules(code)) == 95
