"""Reading a mesh file of any format that trimesh knows into plain arrays, part by part, with what is missing told."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.mesh import Material

# A texture with longer sides than this is shrunk: no camera of ours sees more.
MOST_TEXELS = 4096
SHRUNK_TEXELS = 2048
# glTF and its binary form have Y up by their standard.
Y_UP = (".glb", ".gltf")
METRES = {"m": 1.0, "meters": 1.0, "cm": 0.01, "centimeters": 0.01, "mm": 0.001, "millimeters": 0.001}
METRES |= {"in": 0.0254, "inches": 0.0254, "inch": 0.0254, "feet": 0.3048}


@dataclass(frozen=True, eq=False)
class RawPart:
    """One part as the file has it, placed in the file's frame.

    vertices (V, 3) float64. faces (F, 3) int. uv (V, 2), normals (V, 3), colors (V, 4) uint8: where the file has them.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    material: Material
    uv: NDArray[np.float64] | None = None
    normals: NDArray[np.float64] | None = None
    colors: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class RawMesh:
    """All parts of a file. metres: length of the file's unit if it states one. notes: what was mended or is missing."""

    parts: tuple[RawPart, ...]
    metres: float | None
    notes: tuple[str, ...]


def read_mesh_file(path: Path) -> RawMesh:
    """The parts of a mesh file. Raises SynthError where it is not there, not readable or without triangles."""
    scene = _load(path)
    notes: list[str] = list(_missing_files(path))
    parts = []
    for node in scene.graph.nodes_geometry:
        pose, name = scene.graph[node]
        geometry = scene.geometry[name]
        if hasattr(geometry, "faces") and len(geometry.faces):
            parts.append(_part(geometry, np.asarray(pose, dtype=np.float64), notes))
    if not parts:
        raise SynthError(
            "the mesh has no triangles", where=str(path), expected="a surface of triangles (no point cloud)"
        )
    stated = None if path.suffix.lower() in (".obj", ".ply", ".stl", ".off") else METRES.get(str(scene.units))
    return RawMesh(tuple(parts), stated, tuple(notes))


def _load(path: Path) -> Any:
    import trimesh
    from PIL import Image

    if not path.is_file():
        raise SynthError("the mesh file is not there", where=str(path), hint="check the column 'mesh' of the SKU list")
    known = sorted(trimesh.available_formats())
    if path.suffix.lower().lstrip(".") not in known:
        raise SynthError("unknown mesh format", where=str(path), found=path.suffix, expected=", ".join(known))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # trimesh and Pillow warn of what is reported below in our words
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return trimesh.load_scene(path, process=False)
    except MemoryError:
        raise
    except Exception as error:  # loaders raise whatever their format's parser raises
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        hint = "open it in a 3D program and export it anew, GLB is the safest"
        raise SynthError("the mesh file cannot be read", where=str(path), found=found, hint=hint) from error


def _part(geometry: Any, pose: NDArray[np.float64], notes: list[str]) -> RawPart:
    vertices = np.asarray(geometry.vertices, dtype=np.float64) @ pose[:3, :3].T + pose[:3, 3]
    faces = np.asarray(geometry.faces, dtype=np.int64)
    if np.linalg.det(pose[:3, :3]) < 0:  # a mirroring node turns the faces inside out
        faces = faces[:, ::-1]
    part = RawPart(vertices, faces, Material(np.ones(4)))
    if "vertex_normals" in geometry._cache:
        turned: NDArray = np.asarray(geometry.vertex_normals) @ np.linalg.inv(pose[:3, :3])
        part = replace(part, normals=turned)
    visual = geometry.visual
    if visual.kind == "texture":
        uv = None if visual.uv is None else np.asarray(visual.uv, dtype=np.float64)[:, :2]
        return replace(part, uv=uv, material=_material(visual.material, notes))
    if visual.kind in ("vertex", "face"):
        return replace(part, colors=np.asarray(visual.vertex_colors, dtype=np.uint8))
    return replace(part, material=Material(np.array([0.5, 0.5, 0.5, 1.0])))


def _material(material: Any, notes: list[str]) -> Material:
    """A trimesh material in our terms: PBR as it is; the older kind without its shininess, which means nothing."""
    if type(material).__name__ == "MultiMaterial":
        material = material.materials[0]
    physical = type(material).__name__ == "PBRMaterial"
    image = material.baseColorTexture if physical else getattr(material, "image", None)
    color = material.baseColorFactor if physical else (None if image is not None else material.diffuse)
    texture = None if image is None else _texture(image, notes)
    return Material(
        base_color=_linear_color(color, physical),
        texture=texture,
        roughness=_number(getattr(material, "roughnessFactor", None), 0.6 if not physical else 1.0),
        metallic=_number(getattr(material, "metallicFactor", None), 0.0),
        alpha_cutoff=_cutoff(material, physical, texture, notes),
    )


def _linear_color(color: Any, physical: bool) -> NDArray[np.float64]:
    """RGBA as linear floats: trimesh keeps 8 bits; glTF's factor is linear, an OBJ's diffuse colour sRGB."""
    if color is None:
        return np.ones(4)
    values = np.asarray(color)
    values = values / 255.0 if values.dtype.kind in "ui" else values.astype(np.float64)
    values = np.concatenate([values, np.ones(4)])[:4] if len(values) == 3 else values[:4]
    if not physical:
        coded = values[:3]
        values = np.append(np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4), values[3])
    return values


def _number(value: Any, default: float) -> float:
    return default if value is None else float(np.clip(value, 0, 1))


def _texture(image: Any, notes: list[str]) -> NDArray[np.uint8]:
    from PIL import Image

    if max(image.size) > MOST_TEXELS:
        notes.append(f"texture of {image.size[0]} x {image.size[1]} px shrunk to {SHRUNK_TEXELS} px")
        scale = SHRUNK_TEXELS / max(image.size)
        size = (max(round(image.size[0] * scale), 1), max(round(image.size[1] * scale), 1))
        image = image.convert("RGBA").resize(size, Image.Resampling.BOX)
    return np.asarray(image.convert("RGBA"), dtype=np.uint8)


def _cutoff(material: Any, physical: bool, texture: NDArray[np.uint8] | None, notes: list[str]) -> float | None:
    """Where holes begin: as glTF says for MASK; half for any other texture that really has see-through texels."""
    mode = getattr(material, "alphaMode", None) if physical else None
    if mode == "MASK":
        cutoff = material.alphaCutoff
        return 0.5 if cutoff is None else float(cutoff)
    if mode == "OPAQUE" or texture is None or (texture[..., 3] >= 128).all():
        return None
    notes.append("see-through texture drawn as cut-out: holes where alpha is under one half")
    return 0.5


def companion_files(path: Path) -> list[Path]:
    """The other files that a mesh file names (materials, textures, buffers), there or not, in a stable order."""
    suffix = path.suffix.lower()
    if suffix == ".obj":
        return _of_obj(path)
    if suffix == ".gltf":
        return _of_gltf(path)
    if suffix == ".dae":
        return _named(path, r"<init_from>\s*(?:file://)?([^<#][^<]*?)\s*</init_from>")
    if suffix == ".ply":
        return _named(path, r"comment TextureFile (\S.*)", most=1 << 16)
    return []


def _of_obj(path: Path) -> list[Path]:
    materials = _named(path, r"(?m)^mtllib[ \t]+(.+?)\s*$")
    images = []
    for material in materials:
        if material.is_file():
            images += _named(material, r"(?mi)^\s*map_Kd[ \t]+(?:-\S+[ \t]+\S+[ \t]+)*(.+?)\s*$")
    return [*materials, *images]


def _of_gltf(path: Path) -> list[Path]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        entries = [*data.get("buffers", []), *data.get("images", [])]
        names = [entry["uri"] for entry in entries if not entry.get("uri", "data:").startswith("data:")]
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return []
    return [path.parent / name for name in names]


def _named(path: Path, pattern: str, most: int = -1) -> list[Path]:
    try:
        with path.open("rb") as file:
            text = file.read(most).decode("utf-8", errors="replace")
    except OSError:
        return []
    names = dict.fromkeys(match.replace("\\", "/") for match in re.findall(pattern, text))
    return [path.parent / name for name in names]


def _missing_files(path: Path) -> list[str]:
    """Companions that are not there: the loader passes over them in silence, and the product would be plain."""
    missing = [file.name for file in companion_files(path) if not file.is_file()]
    return [f"missing file {name!r}, named by {path.name} or its material: it looks plain" for name in missing]
