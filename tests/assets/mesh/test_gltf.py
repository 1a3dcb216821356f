"""glTF files as the standard says: each way to store a card reads as the same card."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.catalog.types import Sku
from assets.mesh.load import LoadedMesh, load_mesh
from assets.mesh.sources import digest_files, source_digest
from assets.mesh.types import Mesh
from support.errors import raises
from support.gltf_files import CARD, CARD_FACES, CARD_UV, GltfFile, card


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


# Red and green above, blue and white below.
FOUR = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]])


def textured(file: GltfFile, **more: Any) -> int:
    return file.material(baseColorTexture={"index": file.image(png(FOUR)), **more})


def corner(mesh: Mesh, x: float, z: float) -> int:
    """The vertex of the card in that corner: -1 left or below, 1 right or above."""
    middle = mesh.bounds.mean(axis=0)
    return int(np.argmax((mesh.vertices - middle) @ [x, 0, z]))


def uv_of_corners(loaded: LoadedMesh) -> np.ndarray:
    """(4, 2) at the lower left, lower right, upper right and upper left."""
    assert loaded.mesh.uv is not None
    return np.array([loaded.mesh.uv[corner(loaded.mesh, x, z)] for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))])


STANDING = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


def test_card_stands_facing_minus_y_with_its_texture_upright(tmp_path: Path) -> None:
    file = GltfFile()
    loaded = load_mesh(file.write(tmp_path / "a.gltf", [card(file, textured(file), TEXCOORD_0=file.accessor(CARD_UV))]))
    np.testing.assert_allclose(loaded.mesh.size, [0.2, 0, 0.1], atol=1e-7)
    np.testing.assert_allclose(loaded.mesh.normals, [[0, -1, 0]] * 4, atol=1e-6)  # +Z of the file looks along -Y
    np.testing.assert_allclose(uv_of_corners(loaded), STANDING, atol=1e-6)
    texture = loaded.mesh.parts[0].material.texture
    assert texture is not None
    np.testing.assert_array_equal(texture[..., :3], FOUR)


def quantized(file: GltfFile) -> dict[str, int]:
    return {"TEXCOORD_0": file.accessor(CARD_UV * 65535, "u2", normalized=True)}


def bytes_with_stride(file: GltfFile) -> dict[str, int]:
    rows = b"".join(struct.pack("<2B2x", *row) for row in CARD_UV * 255)
    view = file.view(rows, byteStride=4)
    about = {"bufferView": view, "componentType": 5121, "type": "VEC2", "count": 4, "normalized": True}
    file.tree["accessors"].append(about)
    return {"TEXCOORD_0": len(file.tree["accessors"]) - 1}


def sparse(file: GltfFile) -> dict[str, int]:
    uv = file.accessor(np.where(np.arange(4)[:, None] == 2, 0.5, CARD_UV))
    indices, values = file.view(struct.pack("<B", 2)), file.view(struct.pack("<2f", *CARD_UV[2]))
    stored = {"indices": {"bufferView": indices, "componentType": 5121}, "values": {"bufferView": values}, "count": 1}
    file.tree["accessors"][uv]["sparse"] = stored
    return {"TEXCOORD_0": uv}


@pytest.mark.parametrize("attributes", [quantized, bytes_with_stride, sparse])
def test_texture_coordinates_in_other_codes(tmp_path: Path, attributes: Any) -> None:
    file = GltfFile()
    path = file.write(tmp_path / "a.gltf", [card(file, textured(file), **attributes(file))])
    np.testing.assert_allclose(uv_of_corners(load_mesh(path)), STANDING, atol=1e-6)


def test_second_set_of_texture_coordinates(tmp_path: Path) -> None:
    file = GltfFile()
    sets = {"TEXCOORD_0": file.accessor(np.zeros((4, 2))), "TEXCOORD_1": file.accessor(CARD_UV)}
    path = file.write(tmp_path / "a.gltf", [card(file, textured(file, texCoord=1), **sets)])
    np.testing.assert_allclose(uv_of_corners(load_mesh(path)), STANDING, atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"offset": [0.25, 0]}, STANDING + [0.25, 0]),
        ({"scale": [0.5, 1]}, STANDING * [0.5, 1]),
        ({"offset": [0, 0.5], "scale": [1, 0.5]}, STANDING * [1, 0.5]),  # the lower half of the image
        # A quarter turn about the image's upper left corner: (u, v) from above becomes (v, -u).
        ({"rotation": np.pi / 2}, [[1, 1], [1, 2], [0, 2], [0, 1]]),
    ],
)
def test_texture_transform(tmp_path: Path, transform: dict, expected: Any) -> None:
    file = GltfFile()
    material = textured(file, extensions={"KHR_texture_transform": transform})
    file.tree["extensionsRequired"] = ["KHR_texture_transform"]
    path = file.write(tmp_path / "a.gltf", [card(file, material, TEXCOORD_0=file.accessor(CARD_UV))])
    np.testing.assert_allclose(uv_of_corners(load_mesh(path)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "order"),
    [(4, None), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3])],  # triangles, strip, fan
)
def test_modes_of_triangles_wind_alike(tmp_path: Path, mode: int, order: list[int] | None) -> None:
    file = GltfFile()
    primitive = {**card(file), "mode": mode}
    if order is not None:
        primitive["indices"] = file.accessor(np.array(order), "u1")
    mesh = load_mesh(file.write(tmp_path / "a.gltf", [primitive])).mesh
    assert len(mesh.faces) == 2
    np.testing.assert_allclose(mesh.normals, [[0, -1, 0]] * len(mesh.normals), atol=1e-6)


def test_faces_without_indices(tmp_path: Path) -> None:
    file = GltfFile()
    path = file.write(tmp_path / "a.gltf", [{"attributes": {"POSITION": file.accessor(CARD[CARD_FACES])}}])
    assert len(load_mesh(path).mesh.faces) == 2


HALF = np.sqrt(0.5)


@pytest.mark.parametrize(
    ("node", "size"),
    [
        ({"scale": [2, 3, 1]}, [0.4, 0, 0.3]),
        ({"rotation": [0, 0, HALF, HALF]}, [0.1, 0, 0.2]),  # a quarter turn about the viewing axis
        ({"translation": [5, 6, 7]}, [0.2, 0, 0.1]),
        ({"matrix": [0, 2, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 9, 9, 9, 1]}, [0.1, 0, 0.4]),  # column by column
        ({"scale": [-1, 1, 1]}, [0.2, 0, 0.1]),  # mirrored, and still seen from its front
    ],
)
def test_nodes_place_meshes(tmp_path: Path, node: dict, size: list[float]) -> None:
    file = GltfFile()
    loaded = load_mesh(file.write(tmp_path / "a.gltf", [card(file)], **node))
    np.testing.assert_allclose(loaded.mesh.size, size, atol=1e-6)
    np.testing.assert_allclose(loaded.mesh.normals, [[0, -1, 0]] * 4, atol=1e-6)


def test_children_and_repeated_meshes(tmp_path: Path) -> None:
    file = GltfFile()
    primitive = card(file)
    inner = [{"mesh": 0}, {"mesh": 0, "translation": [0, 0.3, 0]}]
    file.tree["nodes"] = [{"children": [1, 2], "scale": [0.5, 0.5, 0.5]}, *inner]
    file.tree |= {"scenes": [{"nodes": [0]}], "scene": 0}
    mesh = load_mesh(file.write(tmp_path / "a.gltf", [primitive])).mesh
    np.testing.assert_allclose(mesh.size, [0.1, 0, 0.2], atol=1e-6)
    assert len(mesh.parts) == 2


@pytest.mark.parametrize(
    ("look", "color", "roughness", "metallic"),
    [
        ({}, [1, 1, 1, 1], 1.0, 0.0),  # silent about metal: print on board
        (
            {"baseColorFactor": [0.01, 0.5, 1, 1], "roughnessFactor": 0.3, "metallicFactor": 1},
            [0.01, 0.5, 1, 1],
            0.3,
            1,
        ),
        ({"baseColorFactor": [2, -1, 0.5, 1]}, [1, 0, 0.5, 1], 1.0, 0.0),  # held between 0 and 1
    ],
)
def test_factors_are_exact(tmp_path: Path, look: dict, color: list[float], roughness: float, metallic: float) -> None:
    file = GltfFile()
    material = load_mesh(file.write(tmp_path / "a.gltf", [card(file, file.material(**look))])).mesh.parts[0].material
    np.testing.assert_array_equal(material.base_color, color)
    assert (material.roughness, material.metallic) == (roughness, metallic)


def test_roughness_and_metal_are_means_of_their_texture(tmp_path: Path) -> None:
    file = GltfFile()
    gloss = file.image(png(np.full((4, 4, 3), [0, 51, 255])))
    look = file.material(metallicRoughnessTexture={"index": gloss}, roughnessFactor=0.5)
    material = load_mesh(file.write(tmp_path / "a.gltf", [card(file, look)])).mesh.parts[0].material
    assert (material.roughness, material.metallic) == pytest.approx((0.1, 1.0))


def test_old_specular_materials(tmp_path: Path) -> None:
    file = GltfFile()
    old = {"diffuseFactor": [0.2, 0.3, 0.4, 1], "glossinessFactor": 0.75}
    look = file.material(extensions={"KHR_materials_pbrSpecularGlossiness": old})
    material = load_mesh(file.write(tmp_path / "a.gltf", [card(file, look)])).mesh.parts[0].material
    np.testing.assert_array_equal(material.base_color, [0.2, 0.3, 0.4, 1])
    assert material.roughness == 0.25


@pytest.mark.parametrize(
    ("mode", "alpha", "cutoff", "note"),
    [
        ({}, 0, None, None),  # opaque: alpha means nothing
        ({"alphaMode": "MASK"}, 0, 0.5, None),
        ({"alphaMode": "MASK", "alphaCutoff": 0.2}, 255, 0.2, None),
        ({"alphaMode": "BLEND"}, 0, 0.5, "cut-out"),  # truly see-through
        ({"alphaMode": "BLEND"}, 200, None, None),  # an exporter's habit
    ],
)
def test_alpha(tmp_path: Path, mode: dict, alpha: int, cutoff: float | None, note: str | None) -> None:
    file = GltfFile()
    image = np.full((2, 2, 4), 255, np.uint8)
    image[0, 0, 3] = alpha
    look = file.material(baseColorTexture={"index": file.image(png(image))}, **mode)
    loaded = load_mesh(file.write(tmp_path / "a.gltf", [card(file, look, TEXCOORD_0=file.accessor(CARD_UV))]))
    assert loaded.mesh.parts[0].material.alpha_cutoff == cutoff
    assert [note in text for text in loaded.notes] == ([True] if note else [])


def test_transparency_is_read_and_changes_the_digest_of_its_file_alone(tmp_path: Path) -> None:
    digests = []
    for number, glass in enumerate(({}, {"KHR_materials_transmission": {"transmissionFactor": 0.9}})):
        file = GltfFile()
        path = file.write(tmp_path / "a.gltf", [card(file, file.material(extensions=glass))])
        material = load_mesh(path).mesh.parts[0].material
        assert (material.transmission, material.pane) == ((0.0, 0.9)[number], False)
        found = source_digest(Sku("a", "a", mesh="a.gltf"), tmp_path, version=2, index_dir=tmp_path / "index")
        digests.append((found, digest_files([path], json.dumps([2, "", "", None, None, None, ".gltf"]))))
    assert digests[0][0] == digests[0][1] and digests[1][0] != digests[1][1]


@pytest.mark.parametrize(("dtype", "scale"), [("f4", 1), ("u1", 255), ("u2", 65535)])
def test_vertex_colors_are_linear_in_the_file(tmp_path: Path, dtype: str, scale: int) -> None:
    file = GltfFile()
    linear = np.array([[0.2, 0.4, 1.0], [0, 0, 0], [1, 1, 1], [0.6, 0.6, 0.6]])
    colors = file.accessor(np.round(linear * scale) if scale > 1 else linear, dtype, normalized=scale > 1)
    mesh = load_mesh(file.write(tmp_path / "a.gltf", [card(file, COLOR_0=colors)])).mesh
    assert mesh.colors is not None
    np.testing.assert_allclose(mesh.colors[corner(mesh, -1, -1)], [124, 170, 255, 255], atol=1)  # IEC 61966-2-1
    np.testing.assert_allclose(mesh.colors[corner(mesh, -1, 1)][:3], 203, atol=1)


def broken(tree: dict) -> None:
    tree["bufferViews"][0]["byteLength"] = 8
    tree["accessors"][0]["count"] = 10_000


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            lambda tree: tree.update(extensionsRequired=["KHR_draco_mesh_compression"]),
            "gltf-extension-unsupported",
            "KHR_draco_mesh_compression",
        ),
        (lambda tree: tree["asset"].update(version="1.0"), "gltf-version-unsupported", ""),
        (broken, "mesh-unreadable", "reaches past the end"),
        (lambda tree: tree["accessors"][0].update(count=10**12), "limit-exceeded", "numbers in the arrays"),
        (lambda tree: tree["nodes"][0].update(children=[0]), "mesh-unreadable", "twice"),  # a node inside itself
        (lambda tree: tree["nodes"].clear(), "mesh-empty", ""),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(mode=1), "mesh-empty", ""),  # lines
        (lambda tree: tree["buffers"][0].update(uri="gone.bin"), "mesh-unreadable", "gone.bin"),
        (lambda tree: tree.pop("accessors"), "mesh-unreadable", ""),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, change: Any, code: str, message: str) -> None:
    file = GltfFile()
    path = file.write(tmp_path / "a.gltf", [card(file)])
    tree = json.loads(path.read_text())
    tree["scenes"] = [{"nodes": list(range(len(tree["nodes"])))}]
    change(tree)
    if not tree["nodes"]:
        tree["scenes"] = []
    path.write_text(json.dumps(tree))
    with raises(code, text=message):
        load_mesh(path)


@pytest.mark.parametrize(
    ("data", "mime", "code", "message"),
    [
        (b"\xabKTX 20\xbb\r\n", "image/ktx2", "texture-unsupported", "KTX2"),
        (b"no image", "image/png", "image-unreadable", ""),
        (
            png(np.arange(64 * 64 * 3).reshape(64, 64, 3) ** 2 % 251)[:900],
            "image/png",
            "image-unreadable",
            "",
        ),  # cut off
    ],
)
def test_texture_that_cannot_be_read_is_told(tmp_path: Path, data: bytes, mime: str, code: str, message: str) -> None:
    file = GltfFile()
    look = file.material(baseColorTexture={"index": file.image(data, mime)})
    with raises(code, found=message):
        load_mesh(file.write(tmp_path / "a.gltf", [card(file, look, TEXCOORD_0=file.accessor(CARD_UV))]))


def test_missing_texture_is_noted(tmp_path: Path) -> None:
    file = GltfFile()
    file.tree |= {"images": [{"uri": "my%20label.png"}], "textures": [{"source": 0}]}
    look = file.material(baseColorTexture={"index": 0})
    path = file.write(tmp_path / "a.gltf", [card(file, look, TEXCOORD_0=file.accessor(CARD_UV))])
    loaded = load_mesh(path)
    assert loaded.notes == ("missing texture 'my label.png', referenced by a.gltf: rendered without it",)
    assert loaded.mesh.parts[0].material.texture is None
    Image.new("RGB", (2, 2), "red").save(tmp_path / "my label.png")
    assert load_mesh(path).mesh.parts[0].material.texture is not None


@pytest.mark.parametrize("keep", [0, 3, 11, 19, 40, 200, -1])
def test_glb_that_is_cut_off_is_told(tmp_path: Path, keep: int) -> None:
    from assets.mesh.export_glb import glb_of

    file = GltfFile()
    whole = glb_of(load_mesh(file.write(tmp_path / "a.gltf", [card(file)])).mesh)
    (tmp_path / "b.glb").write_bytes(whole[:keep])
    with raises("json-invalid", "mesh-unreadable"):
        load_mesh(tmp_path / "b.glb")
