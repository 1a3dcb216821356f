"""Parts of a glTF file: nodes, primitives and materials according to the standard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.color import srgb_from_linear
from assets.errors import SynthError
from assets.limits import MESH_FACES, MESH_NODES, Budget
from assets.mesh.companions import Companions
from assets.mesh.gltf import Gltf, accessor_values, image_of, read_gltf
from assets.mesh.materials import cutoff_of, texture_of, unit_color, unit_number
from assets.mesh.types import Material, RawPart

TRIANGLES, STRIP, FAN = 4, 5, 6
# Supported required extensions: implemented here, or irrelevant to shape and print. Of KHR_materials_..., TRANSMISSION
# and SPECULAR are read, the others ignored.
KNOWN = ("KHR_texture_transform", "KHR_mesh_quantization", "EXT_texture_webp", "KHR_lights_punctual")
SPECULAR = "KHR_materials_pbrSpecularGlossiness"
TRANSMISSION = "KHR_materials_transmission"


def read_gltf_parts(companions: Companions, path: Any, notes: list[str]) -> list[RawPart]:
    """Read all triangles of the scene, in the file's frame. Raises SynthError, or other errors for damaged files."""
    gltf = read_gltf(path, companions)
    _check_extensions(gltf)
    materials: dict[int | None, Material] = {}
    parts: list[RawPart] = []
    faces = Budget(MESH_FACES, str(path))
    for mesh, pose in _placed_meshes(gltf):
        for primitive in gltf.tree["meshes"][mesh]["primitives"]:
            if primitive.get("mode", TRIANGLES) not in (TRIANGLES, STRIP, FAN):
                notes.append("lines or points left out")
                continue
            number = primitive.get("material")
            if number not in materials:
                materials[number] = _read_material(gltf, number, notes)
            parts.append(_read_part(gltf, primitive, pose, materials[number]))
            faces.take(len(parts[-1].faces))
    return parts


def _check_extensions(gltf: Gltf) -> None:
    required = gltf.tree.get("extensionsRequired", [])
    # KHR_texture_basisu is reported where the texture is needed.
    known = (*KNOWN, "KHR_texture_basisu")
    unknown = [name for name in required if name not in known and not name.startswith("KHR_materials_")]
    if unknown:
        hint = "export it without compression and extensions"
        raise SynthError(
            "the mesh requires unsupported glTF extensions",
            code="gltf-extension-unsupported",
            where=str(gltf.path),
            found=", ".join(unknown),
            hint=hint,
        )


def _placed_meshes(gltf: Gltf) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Iterate over index and pose (4, 4) of each mesh of the scene. Raises ValueError if nodes contain themselves."""
    nodes = gltf.tree.get("nodes", [])
    scenes = gltf.tree.get("scenes", [])
    if scenes:
        roots = scenes[gltf.tree.get("scene", 0)].get("nodes", [])
    else:
        inner = {child for node in nodes for child in node.get("children", [])}
        roots = [number for number in range(len(nodes)) if number not in inner]
    waiting = [(number, np.eye(4)) for number in reversed(roots)]
    seen = 0
    while waiting:
        number, parent = waiting.pop()
        seen += 1
        MESH_NODES.check(seen, str(gltf.path))
        if seen > len(nodes):
            raise ValueError("a node is in the scene twice")
        pose = parent @ _pose_of(nodes[number])
        if "mesh" in nodes[number]:
            yield nodes[number]["mesh"], pose
        waiting += [(child, pose) for child in reversed(nodes[number].get("children", []))]


def _pose_of(node: dict[str, Any]) -> NDArray[np.float64]:
    if "matrix" in node:
        return np.asarray(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = np.asarray(node.get("rotation", [0, 0, 0, 1]), np.float64)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    pose = np.eye(4)
    pose[:3, :3] = rotation * np.asarray(node.get("scale", [1, 1, 1]), np.float64)
    pose[:3, 3] = node.get("translation", [0, 0, 0])
    return pose


def _read_part(gltf: Gltf, primitive: dict[str, Any], pose: NDArray[np.float64], material: Material) -> RawPart:
    attributes = primitive["attributes"]
    vertices = accessor_values(gltf, attributes["POSITION"])[:, :3].astype(np.float64)
    corners = np.arange(len(vertices))
    if "indices" in primitive:
        corners = accessor_values(gltf, primitive["indices"])[:, 0].astype(np.int64)
    faces = _make_triangles(corners, primitive.get("mode", TRIANGLES))
    normals = accessor_values(gltf, attributes["NORMAL"])[:, :3] if "NORMAL" in attributes else None
    part = RawPart(
        vertices,
        faces,
        material,
        uv=_read_uv(gltf, primitive),
        normals=None if normals is None else normals.astype(np.float64),
        colors=_read_colors(gltf, attributes),
    )
    return part.placed(pose)


def _make_triangles(corners: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == FAN:
        return np.stack([np.full(max(len(corners) - 2, 0), corners[0]), corners[1:-1], corners[2:]], axis=1)
    faces = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    faces[1::2] = faces[1::2, [1, 0, 2]]  # every other triangle of a strip has reversed winding
    return faces


def _base_texture(gltf: Gltf, number: int | None) -> dict[str, Any] | None:
    if number is None:
        return None
    material = gltf.tree["materials"][number]
    if SPECULAR in material.get("extensions", {}):
        return material["extensions"][SPECULAR].get("diffuseTexture")
    return material.get("pbrMetallicRoughness", {}).get("baseColorTexture")


def _read_uv(gltf: Gltf, primitive: dict[str, Any]) -> NDArray[np.float64] | None:
    """Read the texture coordinates of the base colour, (V, 2), v = 0 at the bottom; None without a texture."""
    texture = _base_texture(gltf, primitive.get("material"))
    if texture is None:
        return None
    transform = texture.get("extensions", {}).get("KHR_texture_transform", {})
    number = transform.get("texCoord", texture.get("texCoord", 0))
    if f"TEXCOORD_{number}" not in primitive["attributes"]:
        return None
    uv = accessor_values(gltf, primitive["attributes"][f"TEXCOORD_{number}"])[:, :2].astype(np.float64)
    angle = float(transform.get("rotation", 0.0))
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    uv = (uv * transform.get("scale", [1, 1])) @ rotation.T + transform.get("offset", [0, 0])
    return uv * [1, -1] + [0, 1]


def _read_colors(gltf: Gltf, attributes: dict[str, int]) -> NDArray[np.uint8] | None:
    """Read vertex colours as (V, 4) uint8 sRGB; the file's are linear. None if all are white."""
    if "COLOR_0" not in attributes:
        return None
    linear = accessor_values(gltf, attributes["COLOR_0"]).astype(np.float64)[:, :3]
    coded = (np.clip(srgb_from_linear(linear), 0, 1) * 255 + 0.5).astype(np.uint8)
    return None if (coded == 255).all() else np.concatenate([coded, np.full((len(coded), 1), 255, np.uint8)], axis=1)


def _read_material(gltf: Gltf, number: int | None, notes: list[str]) -> Material:
    if number is None:
        return Material(np.ones(4))
    entry = gltf.tree["materials"][number]
    image = image_of(gltf, _base_texture(gltf, number), notes)
    texture = None if image is None else texture_of(image, notes, str(gltf.path), gltf.companions.pixels)
    color, roughness, metallic = _read_factors(gltf, entry, notes)
    mode = entry.get("alphaMode", "OPAQUE")
    if mode == "BLEND" and color[3] < 0.99:
        notes.append("a transparent surface is rendered opaque")
    cutoff = {"MASK": unit_number(entry.get("alphaCutoff"), 0.5), "BLEND": None, "OPAQUE": None}[mode]
    cutoff = cutoff_of(texture, notes) if mode == "BLEND" else cutoff
    glass = entry.get("extensions", {}).get(TRANSMISSION, {})  # its texture is left out: no file that we know has one
    return Material(color, texture, roughness, metallic, cutoff, unit_number(glass.get("transmissionFactor"), 0.0))


def _read_factors(gltf: Gltf, entry: dict[str, Any], notes: list[str]) -> tuple[NDArray[np.float64], float, float]:
    """Return base colour (4,) linear, roughness and metallic, the last two as means over their texture."""
    old = entry.get("extensions", {}).get(SPECULAR)
    if old is not None:
        return (
            unit_color(old.get("diffuseFactor", [1, 1, 1, 1])),
            1 - unit_number(old.get("glossinessFactor"), 1.0),
            0.0,
        )
    look = entry.get("pbrMetallicRoughness", {})
    color = unit_color(look.get("baseColorFactor", [1, 1, 1, 1]))
    image = image_of(gltf, look.get("metallicRoughnessTexture"), notes)
    rough, metal = (1.0, 1.0) if image is None else _mean_green_blue(gltf, image)
    # The standard's default is metal, but a file that does not set it is far more likely to be printed board.
    default = 0.0 if image is None else 1.0
    roughness = unit_number(look.get("roughnessFactor"), 1.0) * rough
    return color, roughness, unit_number(look.get("metallicFactor"), default) * metal


def _mean_green_blue(gltf: Gltf, image: Any) -> tuple[float, float]:
    means = texture_of(image, [], str(gltf.path), gltf.companions.pixels)[..., 1:3].reshape(-1, 2).mean(axis=0) / 255
    return float(means[0]), float(means[1])
