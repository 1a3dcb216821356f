"""Meshes and textures on the GPU, kept between scenes in a cache of limited size."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb
from assets.library import Library
from assets.mesh.types import Material, Mesh, MeshPart
from render.backends.raster.gl import GL, Program, upload_image
from render.backends.raster.lod import DENSE, LEVELS, level_for, open_area, shadow_shell
from render.backends.raster.textures import spread_colors, used_texels

# Anisotropic filtering, which is free on a GPU. In software a value of 4 took 90 of 200 ms, while plain mipmaps with a
# bias towards sharper levels came as close to path tracing.
ANISOTROPY = 8.0


@dataclass(frozen=True, eq=False)
class Chunk:
    """Faces [start, stop) of the bound mesh, all of one material. texture: GL name.

    middle: (3,) of their box, mesh frame, if they are transparent.
    """

    start: int
    stop: int
    material: Material
    texture: int
    middle: NDArray[np.float64] | None = None

    @property
    def cutoff(self) -> float:
        return -1.0 if self.material.alpha_cutoff is None else float(self.material.alpha_cutoff)


@dataclass(frozen=True, eq=False)
class Arrays:
    """A vertex array with its buffers. holes: area through which back faces are visible, in squared diagonals."""

    vertex_array: int
    buffers: tuple[int, ...]
    bytes: int
    holes: float

    def delete(self) -> None:
        GL.glDeleteVertexArrays(1, [self.vertex_array])
        GL.glDeleteBuffers(len(self.buffers), list(self.buffers))


@dataclass(frozen=True, eq=False)
class GpuShape:
    """Geometry of a mesh, shared by its worn copies.

    key: Mesh.shape_key. levels: arrays and number of faces of each level of detail, full mesh first. shell: the mesh
    that casts its shadow. corners: (8, 3) of its box, mesh frame. used: which texels of a texture its triangles show,
    by the texture's size and the parts that have it.
    """

    key: str
    levels: tuple[tuple[Arrays, int], ...]
    shell: tuple[Arrays, int]
    corners: NDArray[np.float64]
    used: dict[tuple[int, ...], NDArray[np.bool_]]

    @property
    def own(self) -> list[Arrays]:
        """All arrays of the shape, each once."""
        levels = [arrays for arrays, _ in self.levels]
        return levels if self.shell in self.levels else [*levels, self.shell[0]]

    @property
    def bytes(self) -> int:
        return sum(arrays.bytes for arrays in self.own)

    def level(self, diagonal_px: float) -> tuple[Arrays, int]:
        """Return the lightest level that looks like the full mesh in an image in which the mesh's box is that long."""
        return self.levels[level_for([faces for _, faces in self.levels], diagonal_px)]

    def delete(self) -> None:
        for arrays in self.own:
            arrays.delete()


@dataclass(frozen=True, eq=False)
class GpuMesh:
    """A mesh on the GPU. chunks: of its whole surface. white: texture for parts without one.

    mean_color: (3,) linear, of the whole surface, as the light that it reflects onto others. bytes: of the textures.
    """

    shape: GpuShape
    chunks: tuple[Chunk, ...]
    white: int
    textures: tuple[int, ...]
    mean_color: NDArray[np.float64]
    bytes: int

    def chunks_of(self, arrays: Arrays, faces: int) -> tuple[Chunk, ...]:
        """Return the chunks to draw of a level of the shape."""
        if arrays is self.shape.levels[0][0]:
            return self.chunks
        return (replace(self.chunks[0], start=0, stop=faces),)

    @property
    def shell_chunks(self) -> tuple[Chunk, ...]:
        """Chunks to draw of the shape's shell."""
        if self.shape.shell in self.shape.levels:
            return self.chunks
        return (Chunk(0, self.shape.shell[1], self.chunks[0].material, self.white),)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Corners (8, 3) of its box, mesh frame."""
        return self.shape.corners

    def delete(self) -> None:
        if self.textures:
            GL.glDeleteTextures(list(self.textures))


class MeshStore:
    """Cache of uploaded meshes; above `limit` bytes the least recently used go, but none of the current scene."""

    def __init__(self, library: Library, limit: int, *, software: bool) -> None:
        self._library, self._limit = library, limit
        self._software = software
        # Least recently used first. Not an LRUCache, in which counting the bytes of all meshes would use all of them.
        self._meshes: dict[str, GpuMesh] = {}
        self._shapes: dict[str, GpuShape] = {}
        self._white = upload_image(np.full((1, 1, 4), 255, np.uint8), anisotropy=1.0)
        self._unwrap = Program("unwrap.vert", "unwrap.frag")

    def fetch(self, meshes: Sequence[Mesh]) -> list[GpuMesh]:
        """Return the meshes of one scene on the GPU, in order."""
        for mesh in meshes:
            kept = self._meshes.pop(mesh.key, None)
            self._meshes[mesh.key] = kept or self._upload(mesh)
        self._trim({mesh.key for mesh in meshes})
        return [self._meshes[mesh.key] for mesh in meshes]

    def close(self) -> None:
        for mesh in self._meshes.values():
            mesh.delete()
        for shape in self._shapes.values():
            shape.delete()
        self._meshes.clear()
        self._shapes.clear()
        GL.glDeleteTextures([self._white])
        self._unwrap.delete()

    def _trim(self, needed: set[str]) -> None:
        size = sum(mesh.bytes for mesh in self._meshes.values()) + sum(shape.bytes for shape in self._shapes.values())
        while size > self._limit and len(self._meshes) > len(needed):
            dropped = self._meshes.pop(next(iter(self._meshes)))
            dropped.delete()
            size -= dropped.bytes
            if all(item.shape is not dropped.shape for item in self._meshes.values()):
                size -= dropped.shape.bytes
                self._shapes.pop(dropped.shape.key).delete()

    def _upload(self, mesh: Mesh) -> GpuMesh:
        """Upload a mesh and its textures."""
        if mesh.shape_key not in self._shapes:
            self._shapes[mesh.shape_key] = upload_shape(mesh, self._library)
        shape = self._shapes[mesh.shape_key]
        textures, size = _upload_textures(mesh, shape, ANISOTROPY if not self._software else 1.0, self._unwrap)
        chunks = tuple(
            Chunk(
                part.face_start,
                part.face_stop,
                part.material,
                textures.get(id(part.material.texture), self._white),
                _middle(mesh, part) if part.material.transmission else None,
            )
            for part in mesh.parts
        )
        return GpuMesh(shape, chunks, self._white, tuple(textures.values()), mean_color(mesh), size)


def _middle(mesh: Mesh, part: MeshPart) -> NDArray[np.float64]:
    corners = mesh.vertices[mesh.faces[part.face_start : part.face_stop]].reshape(-1, 3).astype(np.float64)
    return (corners.min(axis=0) + corners.max(axis=0)) / 2


def upload_shape(mesh: Mesh, library: Library) -> GpuShape:
    """Upload the geometry of a mesh, of its lighter copies and of its shadow shell."""
    full = _upload_mesh(mesh)
    holed = any(part.material.alpha_cutoff is not None or part.material.transmission for part in mesh.parts)
    if holed:
        full = replace(full, holes=np.inf)
    levels = [(full, len(mesh.faces))]
    if len(mesh.faces) > DENSE and len(mesh.parts) == 1 and not holed:
        lighter = [library.lighter(mesh, faces) for faces in LEVELS]
        levels += [(_upload_mesh(light), len(light.faces)) for light in lighter]
    found = None if holed else shadow_shell(mesh.vertices, mesh.faces)
    shell = levels[0] if found is None else (_upload_arrays(*found), len(found[1]))
    low, high = mesh.bounds.astype(np.float64)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    return GpuShape(mesh.shape_key, tuple(levels), shell, corners, {})


def _upload_textures(mesh: Mesh, shape: GpuShape, anisotropy: float, unwrap: Program) -> tuple[dict[int, int], int]:
    """Upload the textures of a mesh; returns their GL names by the texture's id(), and their bytes."""
    textures: dict[int, int] = {}
    size = 0
    for part in mesh.parts:
        texture = part.material.texture
        if texture is None or mesh.uv is None or id(texture) in textures:
            continue
        sharing = [number for number, other in enumerate(mesh.parts) if other.material.texture is texture]
        key = (texture.shape[0], texture.shape[1], *sharing)
        if key not in shape.used:
            parts = [mesh.parts[number] for number in sharing]
            shape.used[key] = used_texels(mesh, parts, shape.levels[0][0].vertex_array, unwrap, (key[0], key[1]))
        textures[id(texture)] = upload_image(spread_colors(texture, shape.used[key]), anisotropy=anisotropy)
        size += texture.nbytes * 4 // 3  # a third more for the mipmaps
    return textures, size


def mean_color(mesh: Mesh) -> NDArray[np.float64]:
    """Return the mean linear RGB (3,) of the parts' textures times base and vertex colours, weighted by faces."""
    sums, total = np.zeros(3), 0
    for part in mesh.parts:
        faces = part.face_stop - part.face_start
        color = part.material.base_color[:3].copy()
        if part.material.texture is not None and mesh.uv is not None:
            step = max(1, part.material.texture.shape[0] // 64)
            color *= linear_from_srgb(part.material.texture[::step, ::step, :3] / 255.0).mean(axis=(0, 1))
        sums += color * faces
        total += faces
    if mesh.colors is not None:
        sums *= linear_from_srgb(mesh.colors[:, :3] / 255.0).mean(axis=0)
    return np.clip(sums / max(total, 1), 0, 1)


def _upload_mesh(mesh: Mesh) -> Arrays:
    return _upload_arrays(mesh.vertices, mesh.faces, normals=mesh.normals, uv=mesh.uv, colors=mesh.colors)


def _upload_arrays(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
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
    return Arrays(vertex_array, tuple(buffers), size + faces.nbytes, open_area(vertices, faces))


def _upload_buffer(target: int, values: NDArray) -> int:
    buffer = int(GL.glGenBuffers(1))
    GL.glBindBuffer(target, buffer)
    GL.glBufferData(target, values.nbytes, values, GL.GL_STATIC_DRAW)
    return buffer
