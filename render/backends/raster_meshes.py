"""Meshes and pictures on the graphics device, kept from scene to scene until others need their room."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh import Material, Mesh
from render.backends.raster_gl import GL, upload_image
from render.backends.raster_lod import shadow_shell

ANISOTROPY = 4.0


@dataclass(frozen=True, eq=False)
class Chunk:
    """Triangles of one material: indices [start, start + count) of the bound mesh. texture: GL name, 0 for none."""

    start: int
    count: int
    material: Material
    texture: int

    @property
    def cutoff(self) -> float:
        return -1.0 if self.material.alpha_cutoff is None else float(self.material.alpha_cutoff)


@dataclass(frozen=True, eq=False)
class Arrays:
    """A vertex array with its buffers."""

    vertex_array: int
    buffers: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    bytes: int

    def delete(self) -> None:
        GL.glDeleteVertexArrays(1, [self.vertex_array])
        GL.glDeleteBuffers(len(self.buffers), list(self.buffers))


@dataclass(frozen=True, eq=False)
class GpuMesh:
    """A mesh on the device. shell: what casts its shadow, fewer triangles. corners: (8, 3) of its box, mesh frame.

    mean_color: (3,) linear, of all it shows, as light that it throws back on others.
    """

    full: Arrays
    shell: Arrays
    textures: tuple[int, ...]
    corners: NDArray[np.float64]
    mean_color: NDArray[np.float64]
    bytes: int

    def delete(self) -> None:
        self.full.delete()
        if self.shell is not self.full:
            self.shell.delete()
        if self.textures:
            GL.glDeleteTextures(list(self.textures))


class MeshStore:
    """Uploads each mesh once; past `limit` bytes the ones used longest ago go, never those of the scene at hand."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._meshes: OrderedDict[str, GpuMesh] = OrderedDict()
        self._white = upload_image(np.full((1, 1, 4), 255, np.uint8), anisotropy=1.0)

    def fetch(self, meshes: Iterable[Mesh]) -> list[GpuMesh]:
        """The meshes of one scene on the device, in order."""
        meshes = list(meshes)
        for mesh in meshes:
            if mesh.key not in self._meshes:
                self._meshes[mesh.key] = upload_mesh(mesh, white=self._white)
            self._meshes.move_to_end(mesh.key)
        found = [self._meshes[mesh.key] for mesh in meshes]
        needed = {mesh.key for mesh in meshes}
        while len(self._meshes) > len(needed) and sum(item.bytes for item in self._meshes.values()) > self._limit:
            self._meshes.popitem(last=False)[1].delete()
        return found

    def close(self) -> None:
        for item in self._meshes.values():
            item.delete()
        self._meshes.clear()
        GL.glDeleteTextures([self._white])


def upload_mesh(mesh: Mesh, *, white: int) -> GpuMesh:
    """The mesh, its pictures and its shadow shell on the device. white: the texture of parts without a picture."""
    pictures: dict[int, int] = {}
    chunks = []
    for part in mesh.parts:
        picture = part.material.texture if mesh.uv is not None else None
        if picture is not None and id(picture) not in pictures:
            pictures[id(picture)] = upload_image(picture, anisotropy=ANISOTROPY)
        texture = white if picture is None else pictures[id(picture)]
        count = 3 * (part.face_stop - part.face_start)
        chunks.append(Chunk(3 * part.face_start, count, part.material, texture))
    full = _upload_arrays(
        mesh.vertices, mesh.faces, tuple(chunks), normals=mesh.normals, uv=mesh.uv, colors=mesh.colors
    )
    holed = any(part.material.alpha_cutoff is not None for part in mesh.parts)
    shell = full
    found = None if holed else shadow_shell(mesh.vertices, mesh.faces)
    if found is not None:
        vertices, faces = found
        solid = Chunk(0, 3 * len(faces), mesh.parts[0].material, white)
        shell = _upload_arrays(vertices, faces, (solid,))
    low, high = mesh.bounds.astype(np.float64)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    # A third more for the mipmaps.
    kept = {
        id(part.material.texture): part.material.texture.nbytes
        for part in mesh.parts
        if part.material.texture is not None
    }
    picture_bytes = sum(kept.values())
    size = full.bytes + (0 if shell is full else shell.bytes) + picture_bytes * 4 // 3
    return GpuMesh(full, shell, tuple(pictures.values()), corners, mean_color(mesh), size)


def mean_color(mesh: Mesh) -> NDArray[np.float64]:
    """(3,) linear RGB: the plain mean over the parts' pictures times their base colours; vertex colours count too."""
    sums, total = np.zeros(3), 0
    for part in mesh.parts:
        faces = part.face_stop - part.face_start
        color = part.material.base_color[:3].copy()
        if part.material.texture is not None and mesh.uv is not None:
            step = max(1, part.material.texture.shape[0] // 64)
            color *= _linear(part.material.texture[::step, ::step, :3]).mean(axis=(0, 1))
        sums += color * faces
        total += faces
    if mesh.colors is not None:
        sums *= _linear(mesh.colors[:, :3]).mean(axis=0)
    return np.clip(sums / max(total, 1), 0, 1)


def _linear(srgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    value = srgb / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _upload_arrays(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    chunks: tuple[Chunk, ...],
    *,
    normals: NDArray[np.float32] | None = None,
    uv: NDArray[np.float32] | None = None,
    colors: NDArray[np.uint8] | None = None,
) -> Arrays:
    vertex_array = int(GL.glGenVertexArrays(1))
    GL.glBindVertexArray(vertex_array)
    buffers = []
    size = 0
    for slot, given in enumerate([vertices, normals, uv, colors]):
        if given is None:
            continue
        values = np.ascontiguousarray(given)
        buffers.append(_upload_buffer(GL.GL_ARRAY_BUFFER, values))
        kind = GL.GL_UNSIGNED_BYTE if values.dtype == np.uint8 else GL.GL_FLOAT
        scaled = GL.GL_TRUE if values.dtype == np.uint8 else GL.GL_FALSE
        GL.glVertexAttribPointer(slot, values.shape[1], kind, scaled, 0, ctypes.c_void_p(0))
        GL.glEnableVertexAttribArray(slot)
        size += values.nbytes
    buffers.append(_upload_buffer(GL.GL_ELEMENT_ARRAY_BUFFER, np.ascontiguousarray(faces, dtype=np.uint32)))
    GL.glBindVertexArray(0)
    return Arrays(vertex_array, tuple(buffers), chunks, size + faces.nbytes)


def _upload_buffer(target: int, values: NDArray) -> int:
    buffer = int(GL.glGenBuffers(1))
    GL.glBindBuffer(target, buffer)
    GL.glBufferData(target, values.nbytes, values, GL.GL_STATIC_DRAW)
    return buffer


def draw_chunk(chunk: Chunk) -> None:
    """Draws triangles of the vertex array that is bound."""
    GL.glDrawElements(GL.GL_TRIANGLES, chunk.count, GL.GL_UNSIGNED_INT, ctypes.c_void_p(4 * chunk.start))
