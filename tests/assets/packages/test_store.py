"""Stored packages: small, equal to what was built, known by all that they follow from."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.catalog.package_kinds import KINDS
from assets.catalog.types import Catalog, Sku
from assets.library import Library
from assets.mesh.types import Material, Mesh, MeshPart
from assets.packages.build import TEXTURE_PX, build_package, make_package
from assets.packages.packshots.art import PackageArt
from assets.packages.store import has_images, pack_mesh, package_digest, stored_package, unpack_mesh
from support.errors import raises

CAN = Sku("c", "Beans", package="can", width_m=0.075, depth_m=0.075, height_m=0.11, packshot="front.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A packshot and a list of two cans, of which one has it."""
    image = Image.new("RGB", (300, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 50, 250, 343), fill=(30, 120, 60))
    draw.ellipse((90, 120, 210, 240), fill=(240, 200, 40))
    image.save(tmp_path / "front.jpg", quality=90)
    rows = "sku,name,package,width_m,depth_m,height_m,packshot\nc,Beans,can,.075,.075,.11,front.jpg\n"
    (tmp_path / "list.csv").write_text(rows + "d,Peas,can,.075,.075,.11,\n")
    return tmp_path


def library(folder: Path) -> Library:
    return Library(load_catalog(folder / "list.csv"), Backdrops.open(), cache_dir=folder / "cache")


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "cache").rglob("*.pkg"))


def equal(first: Mesh, second: Mesh) -> bool:
    names = ("vertices", "faces", "normals", "uv")
    same = all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)
    looks = [
        (a.face_start, a.face_stop, a.material.roughness, a.material.metallic, a.material.alpha_cutoff)
        == (b.face_start, b.face_stop, b.material.roughness, b.material.metallic, b.material.alpha_cutoff)
        and np.array_equal(a.material.base_color, b.material.base_color)
        and (a.material.texture is None) == (b.material.texture is None)
        and (a.material.texture is None or np.array_equal(a.material.texture, b.material.texture))
        for a, b in zip(first.parts, second.parts, strict=True)
    ]
    return same and all(looks) and first.key == second.key


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives(kind: str) -> None:
    units = {"unit_package": "can", "pack_count": 6.0} if kind == "multipack" else {}
    sku = replace(CAN, package=kind, packshot="", width_m=0.12, depth_m=0.08, height_m=0.18, **units)
    mesh = build_package(sku, PackageArt(), texture_px=160)
    packed = pack_mesh(mesh)
    back = unpack_mesh(packed)
    assert np.array_equal(back.faces, mesh.faces) and back.key == mesh.key
    assert back.vertices == pytest.approx(mesh.vertices, abs=3e-6)  # metres
    assert back.uv == pytest.approx(mesh.uv, abs=1e-4)
    unit = np.linalg.norm(mesh.normals, axis=1) > 0.5
    assert back.normals[unit] == pytest.approx(mesh.normals[unit], abs=1e-4)
    for before, after in zip(mesh.parts, back.parts, strict=True):
        assert (before.material.texture is None) == (after.material.texture is None)
        if before.material.texture is not None and after.material.texture is not None:
            off = before.material.texture.astype(float) - after.material.texture
            assert np.sqrt((off**2).mean()) < 12  # levels
    assert pack_mesh(mesh) == packed
    assert len(packed) < 60_000
    welded = [trimesh.Trimesh(m.vertices, m.faces) for m in (mesh, back)]
    assert welded[0].is_watertight == welded[1].is_watertight


def test_holes_and_missing_textures_survive() -> None:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (20, 30, 4), dtype=np.uint8)
    corners = np.array([(0, 0, 0), (0.1, 0, 0), (0, 0, 0.2), (0.1, 0.0, 0.2)], np.float32)
    normals, faces = np.tile(np.float32([0, -1, 0]), (4, 1)), np.array([(0, 1, 2), (1, 3, 2)], np.int32)
    parts = (
        MeshPart(0, 1, Material(np.ones(4), texture, alpha_cutoff=0.5)),
        MeshPart(1, 2, Material(np.array([1, 0.5, 0, 1]), None, 0.2, 1.0, transmission=0.8, pane=True)),
    )
    mesh = Mesh("key", corners, faces, normals, parts)
    back = unpack_mesh(pack_mesh(mesh))
    first, second = (part.material for part in back.parts)
    assert first.texture is not None and np.array_equal(first.texture[..., 3], texture[..., 3])
    assert first.alpha_cutoff == 0.5 and second.metallic == 1.0 and back.uv is None
    assert np.array_equal(second.base_color, [1, 0.5, 0, 1])
    assert (first.glass, second.glass) == (None, (0.8, True))
    with pytest.raises(ValueError, match="vertex colours"):
        pack_mesh(replace(mesh, colors=np.zeros((4, 4), np.uint8)))


def test_what_is_read_is_what_was_built(folder: Path) -> None:
    first = library(folder).product("c")
    (file,) = kept(folder)
    before = file.stat().st_mtime_ns, file.read_bytes()
    again = library(folder).product("c")
    assert equal(first, again) and (file.stat().st_mtime_ns, file.read_bytes()) == before
    file.unlink()
    assert equal(library(folder).product("c"), first)
    assert file.read_bytes() == before[1]


def test_packages_without_images_are_not_kept(folder: Path) -> None:
    mesh = library(folder).product("d")
    assert kept(folder) == [] and not has_images(library(folder).catalog.find("d"))
    assert equal(mesh, make_package(replace(CAN, sku="d", name="Peas", packshot=""), folder))


@pytest.mark.parametrize("damage", [b"", b"nonsense", slice(0, 200), slice(0, -1)])
def test_a_damaged_file_is_made_anew(folder: Path, damage: bytes | slice) -> None:
    first = library(folder).product("c")
    (file,) = kept(folder)
    whole = file.read_bytes()
    file.write_bytes(damage if isinstance(damage, bytes) else whole[damage])
    assert equal(library(folder).product("c"), first)
    assert file.read_bytes() == whole


def test_one_wrong_bit_is_damage(folder: Path) -> None:
    packed = bytearray(pack_mesh(make_package(CAN, folder, texture_px=64)))
    packed[len(packed) // 2] ^= 4
    with raises("stored-package-damaged"):
        unpack_mesh(bytes(packed))


def test_a_store_that_cannot_be_written_costs_nothing_else(folder: Path) -> None:
    (folder / "file").touch()
    mesh = stored_package(folder / "file" / "x.pkg", lambda: make_package(CAN, folder, texture_px=64))
    assert mesh.size == pytest.approx([0.075, 0.075, 0.11], abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [{"name": "Peas"}, {"width_m": 0.08}, {"colors": "#fff"}, {"package": "jar"}, {"brand": "B"}, {"mass_kg": 0.4}],
)
def test_another_row_is_another_package(folder: Path, change: dict) -> None:
    assert package_digest(replace(CAN, **change), folder, 640) != package_digest(CAN, folder, 640)


def test_the_digest_follows_images_and_not_their_dates(folder: Path) -> None:
    before = package_digest(CAN, folder, 640)
    os.utime(folder / "front.jpg", (1, 1))
    (folder / "other.jpg").write_bytes((folder / "front.jpg").read_bytes())
    assert package_digest(replace(CAN, packshot="other.jpg", licence="mine"), folder, 640) == before
    assert package_digest(replace(CAN, packshot="", packshot_back="other.jpg"), folder, 640) != before
    assert package_digest(CAN, folder, 320) != before
    (folder / "front.jpg").write_bytes(b"other")
    assert package_digest(CAN, folder, 640) != before


def test_a_bad_image_is_told_with_row_column_and_file(folder: Path) -> None:
    (folder / "front.jpg").write_bytes(b"no image")
    with raises("image-unreadable") as error:
        library(folder).product("c")
    assert all(word in str(error.value) for word in ("SKU 'c'", "row 2", "packshot", "front.jpg"))
    assert kept(folder) == []


def test_the_path_is_the_digests(folder: Path) -> None:
    ours = library(folder)
    assert isinstance(ours.catalog, Catalog)
    path = ours.stored_path(CAN)
    assert path is not None and path.stem == package_digest(CAN, folder, TEXTURE_PX)
    assert ours.stored_path(ours.catalog.find("d")) is None
