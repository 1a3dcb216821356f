"""Models of BOP: meshes in millimetres about the middles of their boxes, and what is known of their sizes.

models/obj_000003.ply      vertices with normals and places in obj_000003.png, or colours; number 3 is category 3
models/models_info.json    of each: min_x, ... size_z of its box and the diameter, millimetres

A product of ours stands on z = 0 of its own frame; a model of BOP has its origin in the middle of its box, so poses are
moved. Symmetries are left out: print tells all sides of a product apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.color import srgb_from_linear
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.json_input import read_json
from assets.limits import DATASET_JSON, SET_CLASSES
from assets.mesh.types import Material, Mesh
from dataset.records import CategoryRecord
from dataset.values import number, short

MODELS, SIZES = "models", "models_info.json"
MM = 1000.0
# Pairs of points that are compared at once.
PAIRS = 1 << 22
# Pixels of a colour in an image of textures.
SWATCH = 8
FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


@dataclass(frozen=True)
class ModelFrames:
    """Origins of models in the frames of their products, metres, by obj_id; products without one keep their frame."""

    origins: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    def model_pose(self, number: int, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pose of a model from that of its product."""
        return self._moved(number, pose, 1.0)

    def product_pose(self, number: int, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pose of a product from that of its model."""
        return self._moved(number, pose, -1.0)

    def _moved(self, number: int, pose: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
        moved = pose.copy()
        if number in self.origins:
            moved[:3, 3] += sign * pose[:3, :3] @ self.origins[number]
        return moved


def write_models(
    folder: Path, categories: Sequence[CategoryRecord], mesh_of: Callable[[str], Mesh | None]
) -> ModelFrames:
    """Write the models of categories into `folder`/models. mesh_of: the mesh of a SKU, None if it is unknown."""
    (folder / MODELS).mkdir(parents=True, exist_ok=True)
    sizes: dict[str, dict[str, float]] = {}
    origins: dict[int, NDArray[np.float64]] = {}
    for one in categories:
        mesh = mesh_of(one.key or "") if one.id is not None else None
        if one.id is None or mesh is None or not len(mesh.vertices):
            continue
        points = mesh.vertices.astype(np.float64)
        origins[one.id] = (points.min(0) + points.max(0)) / 2
        model = (points - origins[one.id]) * MM
        name = f"obj_{one.id:06d}"
        atlas, uv = texture_atlas(mesh) or (None, None)
        if atlas is not None:
            Image.fromarray(atlas).save(folder / MODELS / f"{name}.png")
        write_atomic(folder / MODELS / f"{name}.ply", _ply(mesh, model, f"{name}.png", uv))
        sizes[str(one.id)] = _sizes(model)
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in sizes.items())
    write_atomic(folder / MODELS / SIZES, f"{{\n{rows}\n}}\n".encode())
    return ModelFrames(origins)


def read_frames(root: Path) -> ModelFrames:
    """Read where models have their origins: a product stands on z = 0 below the middle of its model's box.

    None is known without models_info.json. Raises SynthError if that cannot be used.
    """
    file = root / MODELS / SIZES
    if not file.is_file():
        return ModelFrames()
    content = read_json(file, DATASET_JSON, "sizes of models")
    rows = content.items() if isinstance(content, dict) else ()
    SET_CLASSES.check(len(rows), str(file))
    origins: dict[int, NDArray[np.float64]] = {}
    for key, row in rows:
        found = _origin(row) if key.isascii() and key.isdigit() and isinstance(row, dict) else None
        if found is None:
            what, expected = "sizes of models cannot be used", "min_x, ... size_z of each model by its number"
            where, told = str(file), f"{short(key)}: {short(row)}"
            raise SynthError(what, code="records-invalid", where=where, found=told, expected=expected)
        origins[int(key)] = found
    return ModelFrames(origins)


def _origin(row: Mapping[str, object]) -> NDArray[np.float64] | None:
    low = np.array([number(row.get(f"min_{axis}")) for axis in "xyz"])
    size = np.array([number(row.get(f"size_{axis}")) for axis in "xyz"])
    if not (np.abs([low, size]) < 1e6).all():
        return None
    # The middle of the foot is the product's origin: the model's is as far from it as the other way round.
    return -np.array([low[0] + size[0] / 2, low[1] + size[1] / 2, low[2]]) / MM


def _sizes(points: NDArray[np.float64]) -> dict[str, float]:
    low, high = points.min(0), points.max(0)
    box = {f"min_{axis}": float(value) for axis, value in zip("xyz", low, strict=True)}
    box |= {f"size_{axis}": float(value) for axis, value in zip("xyz", high - low, strict=True)}
    return {**box, "diameter": diameter_of(points)}


def diameter_of(points: NDArray[np.float64]) -> float:
    """Return the largest distance between two of (N, 3) points."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        points = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # flat, or too few
        points = np.unique(points, axis=0)
    step = max(PAIRS // len(points), 1)
    blocks = (points[first : first + step] for first in range(0, len(points), step))
    farthest = max(float(((block[:, None] - points[None]) ** 2).sum(-1).max()) for block in blocks)
    return farthest**0.5


def _ply(mesh: Mesh, places: NDArray[np.float64], texture: str, uv: NDArray[np.float64] | None) -> bytes:
    """Return the content of a PLY file, with a place in the texture for each vertex, else with its colour."""
    floats = ["x", "y", "z", "nx", "ny", "nz", *(("texture_u", "texture_v") if uv is not None else ())]
    bytes_ = () if uv is not None else ("red", "green", "blue")
    names = [*(f"property float {name}" for name in floats), *(f"property uchar {name}" for name in bytes_)]
    comment = [f"comment TextureFile {texture}"] if uv is not None else []
    vertex = [f"element vertex {len(places)}", *names]
    face = [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    head = "\n".join(["ply", "format binary_little_endian 1.0", *comment, *vertex, *face, "end_header", ""])
    numbers = np.hstack([places, mesh.normals, *([] if uv is None else [uv])])
    vertices = np.zeros(len(places), [("numbers", "<f4", len(floats)), ("color", "u1", len(bytes_))])
    vertices["numbers"] = numbers
    if uv is None:
        vertices["color"] = _vertex_colors(mesh)
    faces = np.zeros(len(mesh.faces), FACE)
    faces["count"], faces["corners"] = 3, mesh.faces
    return head.encode() + vertices.tobytes() + faces.tobytes()


def _vertex_colors(mesh: Mesh) -> NDArray[np.uint8]:
    """Return (V, 3) uint8 sRGB: the colours of vertices, else those of the materials of their faces."""
    if mesh.colors is not None:
        return mesh.colors[:, :3]
    colors = np.zeros((len(mesh.vertices), 3), np.uint8)
    for part in mesh.parts:
        colors[mesh.faces[part.face_start : part.face_stop]] = _flat_color(part.material)
    return colors


def _flat_color(material: Material) -> NDArray[np.uint8]:
    return (255 * np.clip(srgb_from_linear(material.base_color[:3]), 0, 1)).round().astype(np.uint8)


def texture_atlas(mesh: Mesh) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
    """Return one image of all textures and colours of a mesh, (H, W, 3) uint8 sRGB, and (V, 2) places in it.

    Places as in the mesh: 0 to 1 from the lower left corner. None if it has no textures.
    """
    textures = {
        id(one.material.texture): one.material.texture for one in mesh.parts if one.material.texture is not None
    }
    if not textures or mesh.uv is None:
        return None
    width = max([SWATCH * len(mesh.parts), *(texture.shape[1] for texture in textures.values())])
    height = SWATCH + sum(texture.shape[0] for texture in textures.values())
    atlas = np.zeros((height, width, 3), np.uint8)
    tops: dict[int, int] = {}
    top = SWATCH
    for key, texture in textures.items():
        atlas[top : top + texture.shape[0], : texture.shape[1]] = texture[..., :3]
        tops[key], top = top, top + texture.shape[0]
    places = np.zeros((len(mesh.vertices), 2))
    for column, part in enumerate(mesh.parts):
        corners = np.unique(mesh.faces[part.face_start : part.face_stop])
        sheet = part.material.texture
        if sheet is None:
            left = SWATCH * column
            atlas[:SWATCH, left : left + SWATCH] = _flat_color(part.material)
            x, y = np.full(len(corners), left + SWATCH / 2), np.full(len(corners), SWATCH / 2)
        else:
            uv = mesh.uv[corners].astype(np.float64)
            uv = np.where((uv < 0) | (uv > 1), uv % 1.0, uv)
            x = uv[:, 0] * (sheet.shape[1] - 1) + 0.5
            y = tops[id(sheet)] + (1 - uv[:, 1]) * (sheet.shape[0] - 1) + 0.5
        places[corners] = np.stack([x / width, 1 - y / height], axis=1)
    return atlas, places
