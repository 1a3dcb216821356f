"""Meshes in Blender: built once per Mesh.key, shared by placements, limited in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from cachetools import LRUCache

from assets.color import linear_from_srgb
from assets.mesh.types import Mesh
from render.backends.cycles.look import COLOR_LAYER, UV_LAYER, make_material, texture_image


@dataclass(frozen=True)
class _Resident:
    mesh: Any
    materials: tuple[Any, ...]
    images: tuple[Any, ...]
    size: int


class ResidentMeshes(LRUCache[str, _Resident]):
    """Cache of meshes, textures and materials in Blender; above `limit` bytes the least recently used are freed."""

    def __init__(self, bpy: Any, *, limit: int) -> None:
        # Objects of the current scene use the meshes, so they are only freed between scenes.
        super().__init__(math.inf, lambda resident: resident.size)
        self._bpy, self._limit = bpy, limit

    def take(self, mesh: Mesh) -> Any:
        """Return Blender's copy of `mesh`, built if it is not cached."""
        if mesh.key not in self:
            self[mesh.key] = _build(self._bpy, mesh)
        return self[mesh.key].mesh

    def trim(self) -> None:
        """Free the least recently used meshes down to the limit; only call it when no object uses a mesh."""
        while self.currsize > self._limit:
            self.popitem()

    def clear(self) -> None:
        """Free everything."""
        while self:
            self.popitem()

    def popitem(self) -> tuple[str, _Resident]:
        """Free the one used longest ago."""
        key, resident = super().popitem()
        self._bpy.data.batch_remove([resident.mesh, *resident.materials, *resident.images])
        return key, resident


def _build(bpy: Any, mesh: Mesh) -> _Resident:
    name = mesh.key[:48]  # Blender truncates names to 63 characters
    data = bpy.data.meshes.new(name)
    _fill(data, mesh)
    images: dict[int, Any] = {}
    materials = []
    for part in mesh.parts:
        texture = part.material.texture
        if texture is not None and mesh.uv is not None and id(texture) not in images:
            images[id(texture)] = texture_image(bpy, name, texture)
        materials.append(make_material(bpy, name, mesh, part.material, images.get(id(texture))))
        data.materials.append(materials[-1])
    size = (
        mesh.vertices.nbytes * 4
        + mesh.faces.nbytes * 4
        + sum(4 * image.size[0] * image.size[1] for image in images.values())
    )
    return _Resident(data, tuple(materials), tuple(images.values()), size)


def _fill(data: Any, mesh: Mesh) -> None:
    # A face with a repeated vertex has no area: it is not in the labels, and Blender fails to build its edges.
    a, b, c = mesh.faces.T
    solid = (a != b) & (b != c) & (c != a)
    corners = np.ascontiguousarray(mesh.faces[solid]).ravel()
    count = len(corners) // 3
    data.vertices.add(len(mesh.vertices))
    data.vertices.foreach_set("co", mesh.vertices.ravel())
    data.loops.add(3 * count)
    data.loops.foreach_set("vertex_index", corners)
    data.polygons.add(count)
    data.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    data.polygons.foreach_set("material_index", _slots(mesh)[solid])
    if mesh.uv is not None:
        data.uv_layers.new(name=UV_LAYER).uv.foreach_set("vector", mesh.uv[corners].ravel())
    if mesh.colors is not None:
        layer = data.color_attributes.new(COLOR_LAYER, "FLOAT_COLOR", "POINT")
        layer.data.foreach_set("color", _linear(mesh.colors).ravel())
    data.update(calc_edges=True)
    data.normals_split_custom_set_from_vertices(mesh.normals)


def _slots(mesh: Mesh) -> np.ndarray:
    """Return the number of the part of each face, (F,) int32."""
    return np.repeat(np.arange(len(mesh.parts)), [part.face_stop - part.face_start for part in mesh.parts]).astype(
        np.int32
    )


def _linear(colors: np.ndarray) -> np.ndarray:
    """Convert sRGB vertex colours (V, 4) uint8 to linear (V, 4) float32; alpha is unchanged."""
    values = colors.astype(np.float64) / 255.0
    values[:, :3] = linear_from_srgb(values[:, :3])
    return values.astype(np.float32)
