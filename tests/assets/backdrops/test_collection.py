"""Backdrops, textures, rooms, props and wear."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import trimesh

from assets.backdrops.collection import Backdrops
from assets.mesh.types import Material, Mesh, MeshPart
from assets.props.bodies import make_prop
from assets.props.decoys import decoy_shape, make_decoy
from assets.props.look import Shape, ShapeKind, Texture, TextureKind
from assets.props.textures import render_texture
from assets.props.wear import worn_mesh
from support.errors import raises

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
PROCEDURAL = [kind for kind in get_args(TextureKind) if kind not in ("image", "print")]


def mean_over_sphere(light: np.ndarray) -> float:
    weights = np.sin((np.arange(len(light)) + 0.5) / len(light) * np.pi)
    return float(((light @ LUMINANCE).mean(axis=1) * weights).sum() / weights.sum())


@pytest.mark.parametrize("key", Backdrops.open().hdris)
def test_every_hdri_that_comes_along_is_a_light(key: str) -> None:
    light = Backdrops.open().hdri(key)
    assert light.dtype == np.float32 and light.shape[1] == 2 * light.shape[0] <= 1024
    assert np.isfinite(light).all() and light.min() >= 0
    assert mean_over_sphere(light) == pytest.approx(1, rel=1e-3)
    assert light.max() > 4  # something shines


def test_the_users_hdris_replace_ours_and_are_cleaned(tmp_path: Path) -> None:
    pixels = np.full((128, 256, 3), 0.5, np.float32)
    pixels[3, 5] = [np.inf, np.nan, -1]
    (tmp_path / "sub").mkdir()
    cv2.imwrite(str(tmp_path / "sub" / "shop.exr"), pixels)
    cv2.imwrite(str(tmp_path / "big.hdr"), np.full((1024, 2048, 3), 0.25, np.float32))
    backdrops = Backdrops.open(hdri_dir=tmp_path)
    assert backdrops.hdris == ("big.hdr", "sub/shop.exr")
    assert np.isfinite(backdrops.hdri("sub/shop.exr")).all()
    assert backdrops.hdri("big.hdr") == pytest.approx(1, rel=0.01)
    assert backdrops.hdri("big.hdr").shape == (512, 1024, 3)


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), np.float32)
    pixels[..., 2] = 1  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.hdr"), pixels)
    light = Backdrops.open(hdri_dir=tmp_path).hdri("red.hdr")
    assert light[0, 0, 0] > 1 and light[0, 0, 2] == 0


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.hdr", b"no image"), ("a.exr", b"")],
)
def test_broken_hdris_are_told(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with raises("hdri-unreadable"):
        Backdrops.open(hdri_dir=tmp_path).hdri(name)


def test_a_square_image_is_no_panorama(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.hdr"), np.ones((64, 64, 3), np.float32))
    with raises("hdri-not-panorama"):
        Backdrops.open(hdri_dir=tmp_path).hdri("a.hdr")


def test_empty_and_missing_folders_are_told(tmp_path: Path) -> None:
    with raises("folder-empty"):
        Backdrops.open(photo_dir=tmp_path)
    with raises("folder-missing"):
        Backdrops.open(surface_dir=tmp_path / "gone")


def test_surfaces_leave_out_other_maps_and_share_no_key_with_photographs(tmp_path: Path) -> None:
    for name in ("oak.jpg", "oak_n.jpg", "oak_roughness.png", "shelf.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 90, np.uint8))
    both = Backdrops.open(photo_dir=tmp_path, surface_dir=tmp_path)
    assert both.surfaces == ("surfaces/oak.jpg", "surfaces/shelf.png")
    assert len(both.photos) == 4
    assert both.texture_image(Texture("image", key="surfaces/oak.jpg")).shape == (8, 8, 3)
    with raises("unknown-name", hint=r"did you mean 'oak\.jpg'"):
        both.photo("oakk.jpg")


def test_several_folders_are_taken_together(tmp_path: Path) -> None:
    for folder, grey in (("a", 30), ("b", 200)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "hall.png"), np.full((8, 8, 3), grey, np.uint8))
    both = Backdrops.open(photo_dir=(tmp_path / "a", tmp_path / "b"))
    assert both.photos == ("1/hall.png", "2/hall.png")
    assert [int(both.photo(key)[0, 0, 0]) for key in both.photos] == [30, 200]
    one = Backdrops.open(photo_dir=(tmp_path / "a",))
    assert one.hashes() == Backdrops.open(photo_dir=tmp_path / "a").hashes()
    with raises("input-duplicate"):
        Backdrops.open(photo_dir=(tmp_path / "a", tmp_path / "b" / ".." / "a"))


def test_hashes_name_everything(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "oak.png"), np.full((8, 8, 3), 90, np.uint8))
    hashes = Backdrops.open(surface_dir=tmp_path).hashes()
    assert len(hashes["oak.png"]) == 64
    assert hashes["builtin/supermarket"] == "builtin"


@pytest.mark.parametrize("kind", PROCEDURAL)
def test_textures_tile_and_follow_from_their_seed(kind: TextureKind) -> None:
    texture = Texture(kind, colors=((0.9, 0.5, 0.2), (0.2, 0.3, 0.6)), seed=4)
    image = render_texture(texture, 128)
    assert image.shape == (128, 128, 3)
    assert np.array_equal(image, render_texture(texture, 128))
    smooth = cv2.GaussianBlur(np.tile(image, (2, 2, 1)), (0, 0), 2).astype(int)
    inner = max(np.abs(np.diff(smooth[40:100, 40:100], axis=axis)).max() for axis in (0, 1))
    seam = max(np.abs(smooth[:, 128] - smooth[:, 127]).max(), np.abs(smooth[128] - smooth[127]).max())
    assert seam <= inner + 25
    if kind != "solid":
        assert image.std(axis=(0, 1)).max() > 5


@pytest.mark.parametrize("kind", [kind for kind in get_args(ShapeKind) if kind != "pack"])
def test_props_are_closed_bodies_of_their_size(kind: ShapeKind) -> None:
    shape = Shape(kind, 0.2, 0.2, 0.07 if kind == "torus" else 0.3)
    mesh = make_prop(shape, np.full((4, 4, 3), 99, np.uint8), 0.1, kind)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert solid.is_watertight
    assert solid.volume > 0
    assert mesh.size == pytest.approx([shape.width, shape.depth, shape.height], rel=0.01)
    assert mesh.bounds[1 if kind == "slab" else 0, 2] == pytest.approx(0, abs=1e-7)


def test_one_repeat_covers_its_metres() -> None:
    mesh = make_prop(Shape("slab", 2.0, 1.0, 0.04), np.zeros((4, 4, 3), np.uint8), 0.5, "slab")
    assert mesh.uv is not None
    top = np.flatnonzero(mesh.normals[:, 2] > 0.9)
    assert np.ptp(mesh.uv[top], axis=0) == pytest.approx([4, 2])


def test_wear_grows_and_keeps_the_shape() -> None:
    texture = np.full((128, 128, 4), (30, 60, 200, 255), np.uint8)
    box = trimesh.creation.box()
    material = Material(np.ones(4), texture, roughness=0.4)
    uv = np.zeros((8, 2))
    mesh = Mesh("m", box.vertices, box.faces, box.vertex_normals, (MeshPart(0, 12, material),), uv=uv)
    change = []
    for wear in (0.25, 0.5, 0.75, 1.0):
        worn = worn_mesh(mesh, wear)
        assert worn.vertices is mesh.vertices
        image = worn.parts[0].material.texture
        assert image is not None
        change.append(np.abs(image.astype(int) - texture).mean())
        assert worn.parts[0].material.roughness > 0.4
        assert worn.key != mesh.key
    assert change == sorted(change)
    assert 0.3 < change[0] < 12 and change[-1] < 60
    assert np.array_equal(
        worn_mesh(mesh, 0.5).parts[0].material.texture, worn_mesh(mesh, 0.5).parts[0].material.texture
    )


def test_blender_loaded_or_not_the_same_hdris_are_there() -> None:
    """Loading bpy puts another folder of that name onto the path; workers would then light scenes differently."""
    import importlib.util
    import subprocess
    import sys

    if importlib.util.find_spec("bpy") is None:
        pytest.skip("bpy is not installed")
    code = "import sys; exec(sys.argv[1])\nfrom assets.backdrops.collection import Backdrops\n"
    code += "print(Backdrops.open().hdris)"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, first], capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for first in ("", "import bpy", "import bpy, sys; del sys.modules['bpy']")
    }
    assert len(outputs) == 1
    assert "bpy/studio" in outputs.pop()


def test_a_pack_of_an_invented_brand_is_printed_and_of_its_size() -> None:
    kinds = set()
    for seed in range(12):
        shape = decoy_shape(seed)
        mesh = make_decoy(shape, seed)
        assert mesh.size == pytest.approx([shape.width, shape.depth, shape.height], rel=0.02)
        assert mesh.bounds[0, 2] == pytest.approx(0, abs=1e-6)
        images = [part.material.texture for part in mesh.parts if part.material.texture is not None]
        assert max(image[..., :3].std() for image in images) > 10
        kinds.add(len(mesh.faces) > 200)
    assert decoy_shape(3) == decoy_shape(3) != decoy_shape(4)
    assert kinds == {False, True}  # boxes, and round ones
