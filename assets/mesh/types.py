"""Mesh: triangles with their look, the one form in which geometry travels through the project."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Between a mesh's key and what names its worn copy.
WORN = "-worn"


def frozen_array(value: object, dtype: type, shape: tuple[int | None, ...], name: str) -> NDArray:
    """A read-only copy-if-needed of `value` as `dtype`, its shape checked (None: any length).

    Raises ValueError naming the field, what was found and what was expected.
    """
    array: NDArray = np.ascontiguousarray(value, dtype=dtype)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name}: expected shape {shape}, found {array.shape}")
    if array is value and array.flags.writeable:
        array = array.copy()
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Material:
    """How one part of a mesh looks before a scene changes it.

    base_color: (4,) float64, linear RGBA, multiplies the texture. texture: (H, W, 4) uint8, sRGB + alpha, first row
    on top (v = 1), or None. roughness, metallic: 0 to 1. alpha_cutoff: texels whose alpha is below it are holes that
    rays and pixels pass through; None: the surface is solid whatever its alpha.
    """

    base_color: NDArray[np.float64]
    texture: NDArray[np.uint8] | None = None
    roughness: float = 0.6
    metallic: float = 0.0
    alpha_cutoff: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_color", frozen_array(self.base_color, np.float64, (4,), "base_color"))
        if self.texture is not None:
            object.__setattr__(self, "texture", frozen_array(self.texture, np.uint8, (None, None, 4), "texture"))


@dataclass(frozen=True)
class MeshPart:
    """The faces [face_start, face_stop) of a mesh, all of one material."""

    face_start: int
    face_stop: int
    material: Material


@dataclass(frozen=True, eq=False)
class Mesh:
    """A product or prop in its own frame: metres, Z up, standing on z = 0, its box centred on x = y = 0.

    vertices: (V, 3) float32. faces: (F, 3) int32, counter-clockwise seen from outside. normals: (V, 3) float32, unit.
    uv: (V, 2) float32, v = 0 at the texture's bottom, or None. colors: (V, 4) uint8 sRGB vertex colours or None.
    parts: cover all faces in order. key: content hash, equal for equal meshes (backends cache by it).
    """

    key: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    parts: tuple[MeshPart, ...]
    uv: NDArray[np.float32] | None = None
    colors: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        count = len(self.vertices)
        object.__setattr__(self, "vertices", frozen_array(self.vertices, np.float32, (None, 3), "vertices"))
        object.__setattr__(self, "faces", frozen_array(self.faces, np.int32, (None, 3), "faces"))
        object.__setattr__(self, "normals", frozen_array(self.normals, np.float32, (count, 3), "normals"))
        if self.uv is not None:
            object.__setattr__(self, "uv", frozen_array(self.uv, np.float32, (count, 2), "uv"))
        if self.colors is not None:
            object.__setattr__(self, "colors", frozen_array(self.colors, np.uint8, (count, 4), "colors"))
        if len(self.faces) and not 0 <= int(self.faces.min()) <= int(self.faces.max()) < count:
            raise ValueError(f"faces: an index is outside 0..{count - 1}")
        ends = [part.face_stop for part in self.parts]
        if [0, *ends[:-1]] != [part.face_start for part in self.parts] or not ends or ends[-1] != len(self.faces):
            raise ValueError(f"parts: must cover the {len(self.faces)} faces in order")

    @property
    def shape_key(self) -> str:
        """The key of the geometry: that of the mesh itself, which its worn copies share."""
        return self.key.partition(WORN)[0]

    @cached_property
    def bounds(self) -> NDArray[np.float32]:
        """(2, 3) float32, metres: the lowest and the highest corner."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @property
    def size(self) -> NDArray[np.float32]:
        """(3,) float32, metres: width (x), depth (y), height (z)."""
        low, high = self.bounds
        return high - low
