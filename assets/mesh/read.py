"""Reading of a mesh file in any format of trimesh into plain arrays, part by part, with notes on missing files."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.limits import MESH_BYTES, MESH_FACES, MESH_NODES, Budget, check_file
from assets.mesh.bounds import check_bounds
from assets.mesh.companions import Companions
from assets.mesh.gltf_parts import read_gltf_parts
from assets.mesh.materials import GREY, material_of
from assets.mesh.types import Material, RawPart

GLTF = (".glb", ".gltf")
# Formats that trimesh also opens but that are not products: archives, drawings, point clouds.
NO_MESHES = {"zip", "bz2", "tar.bz2", "tar.gz", "dxf", "xyz", "stl_ascii", "zae", "3dxml", "xaml"}
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
STATED_METRES = {"meter": 1.0, "centimeter": 0.01, "millimeter": 0.001, "micron": 1e-6, "inch": 0.0254, "foot": 0.3048}
STATED_METRES |= {"mm": 0.001, "inches": 0.0254, "feet": 0.3048}


@dataclass(frozen=True, eq=False)
class RawMesh:
    """All parts of a file. metres: length of the file's unit if it states one. up: "y" or "z", of the format.

    notes: messages on what was repaired or is missing.
    """

    parts: tuple[RawPart, ...]
    metres: float | None
    up: str
    notes: tuple[str, ...]


class _Read(NamedTuple):
    parts: list[RawPart]
    metres: float | None
    up: str


def read_mesh_file(path: Path, root: Path | None = None) -> RawMesh:
    """Read the parts of a mesh file. root: the folder that its textures may be in, its own if None.

    Raises SynthError if it is missing, unreadable or without triangles.
    """
    check_file(path, MESH_BYTES, "the mesh file")
    companions = Companions(path, root)
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # problems are reported below in our own words
            if path.suffix.lower() in GLTF:
                read = _Read(read_gltf_parts(companions, path, notes), 1.0, "y")
            else:
                read = _read_with_trimesh(companions, path, notes)
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # loaders raise whatever the parser of the format raises
        raise _unreadable_error(path, error) from error
    if companions.broken:
        raise companions.broken[0]
    parts = tuple(part for part in read.parts if len(part.faces))
    if not parts:
        expected = "a surface of triangles (not a point cloud)"
        raise SynthError("the mesh has no triangles", code="mesh-empty", where=str(path), expected=expected)
    return RawMesh(parts, read.metres, read.up, (*companions.notes(), *dict.fromkeys(notes)))


def _unreadable_error(path: Path, error: Exception) -> SynthError:
    found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    hint = "open it in a 3D program and export it again, GLB is the safest"
    return SynthError("the mesh file cannot be read", code="mesh-unreadable", where=str(path), found=found, hint=hint)


def _read_with_trimesh(companions: Companions, path: Path, notes: list[str]) -> _Read:
    import trimesh

    kind = path.suffix.lower().lstrip(".")
    known = sorted(set(trimesh.available_formats()) - NO_MESHES)
    if kind not in known:
        raise SynthError(
            "unknown mesh format",
            code="mesh-format-unknown",
            where=str(path),
            found=path.suffix,
            expected=", ".join(known),
        )
    check_bounds(path)
    with path.open("rb") as file:
        scene = trimesh.load_scene(file, file_type=kind, resolver=companions, process=False)
    parts, faces = [], Budget(MESH_FACES, str(path))
    MESH_NODES.check(len(scene.graph.nodes_geometry), str(path))
    for node in scene.graph.nodes_geometry:
        pose, name = scene.graph[node]
        geometry = scene.geometry[name]
        if hasattr(geometry, "faces") and len(geometry.faces):
            faces.take(len(geometry.faces))
            parts.append(_convert_part(geometry, companions, path, notes).placed(np.asarray(pose, dtype=np.float64)))
    return _Read(parts, _unit_metres(scene.units), _find_up_axis(path))


def _unit_metres(units: str | None) -> float | None:
    """Return the length of the unit that a file states: COLLADA as "0.0254 * meters", 3MF as a word."""
    if units is None:
        return None
    number, _, word = str(units).rpartition(" * ")
    return STATED_METRES.get(word, STATED_METRES.get(word.rstrip("s"), 1.0)) * float(number or 1)


def _find_up_axis(path: Path) -> str:
    """Return the up axis: COLLADA states it (default Y); no other format does (Z)."""
    if path.suffix.lower() != ".dae":
        return "z"
    stated = re.search(rb"<up_axis>\s*([XYZ])_UP", path.read_bytes())
    return "z" if stated and stated[1] == b"Z" else "y"


def _convert_part(geometry: Any, companions: Companions, path: Path, notes: list[str]) -> RawPart:
    vertices, faces = np.asarray(geometry.vertices, np.float64), np.asarray(geometry.faces, np.int64)
    # At this point trimesh's cache contains only normals from the file, not those that it would compute.
    normals = geometry.vertex_normals if "vertex_normals" in geometry._cache else None
    part = RawPart(vertices, faces, Material(GREY), normals=None if normals is None else np.array(normals))
    visual = geometry.visual
    if visual.kind == "texture":
        uv = None if visual.uv is None else np.asarray(visual.uv, dtype=np.float64)[:, :2]
        return replace(part, uv=uv, material=material_of(visual.material, notes, str(path), companions.pixels))
    if visual.kind == "vertex":
        return _with_colors(part, np.asarray(visual.vertex_colors, dtype=np.uint8))
    if visual.kind == "face":
        apart = replace(part, vertices=vertices[faces].reshape(-1, 3), faces=np.arange(faces.size).reshape(-1, 3))
        return _with_colors(
            replace(apart, normals=None), np.repeat(np.asarray(visual.face_colors, np.uint8), 3, axis=0)
        )
    return part


def _with_colors(part: RawPart, colors: NDArray[np.uint8]) -> RawPart:
    return replace(part, colors=colors, material=Material(np.ones(4)))
