"""Triangle meshes with materials, the project's only form of geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Separates a mesh's key from the suffix of a copy that differs in its print alone (worn, with a sticker).
PRINT = "-worn"


def frozen_array(value: object, dtype: type, shape: tuple[int | None, ...], name: str) -> NDArray:
    """Return `value` as a read-only array of `dtype` with a checked shape (None: any length), copied if needed.

    Raises ValueError with the field, the found and the expected shape.
    """
    array: NDArray = np.ascontiguousarray(value, dtype=dtype)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name}: expected shape {shape}, found {array.shape}")
    if array is value and array.flags.writeable:
        array = array.copy()
    array.flags.writeable = False
    return array


def cross_products(triangles: NDArray) -> NDArray:
    """Return (F, 3) the normals of triangles (F, 3, 3), twice as long as their areas."""
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


@dataclass(frozen=True, eq=False)
class Material:
    """Material of one part of a mesh, before changes by a scene.

    base_color: (4,) float64, linear RGBA, multiplies the texture. texture: (H, W, 4) uint8, sRGB + alpha, first row
    on top (v = 1), or None. roughness, metallic: 0 to 1. alpha_cutoff: texels with a lower alpha are holes for rays
    and pixels; None: the surface is opaque whatever its alpha.
    transmission: 0 to 1, share of the light that passes straight through each face after its reflection, tinted by the
    base colour (a thin sheet: nothing is refracted). pane: the surface is looked through (the glass door of a cooler):
    rays of labels never hit it, whereas every other transparent surface (a bottle, shrink wrap) is solid for labels.
    emission: radiance of a lamp times its base colour, in the unit of the environment, whose mean is 1. It is seen and
    mirrored, but lights nothing: the lights of a scene do. A lamp reflects nothing.
    """

    base_color: NDArray[np.float64]
    texture: NDArray[np.uint8] | None = None
    roughness: float = 0.6
    metallic: float = 0.0
    alpha_cutoff: float | None = None
    transmission: float = 0.0
    pane: bool = False
    emission: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_color", frozen_array(self.base_color, np.float64, (4,), "base_color"))
        if self.texture is not None:
            object.__setattr__(self, "texture", frozen_array(self.texture, np.uint8, (None, None, 4), "texture"))
        if not 0 <= self.transmission <= 1 or (self.pane and not self.transmission):
            raise ValueError(f"transmission: expected 0 to 1, over 0 for a pane, found {self.transmission}")
        if not 0 <= self.emission < float("inf"):
            raise ValueError(f"emission: expected 0 or more, found {self.emission}")

    @property
    def glass(self) -> tuple[float, bool] | None:
        """Transmission and pane; None if it is opaque. Keys and files leave it out then, as before it existed."""
        return (self.transmission, self.pane) if self.transmission else None

    @property
    def lamp(self) -> float | None:
        """Emission; None if it does not shine. Keys and files leave it out then, as before it existed."""
        return self.emission or None


@dataclass(frozen=True)
class MeshPart:
    """Faces [face_start, face_stop) of a mesh, all with the same material."""

    face_start: int
    face_stop: int
    material: Material


@dataclass(frozen=True, eq=False)
class Mesh:
    """Product or prop in its own frame: metres, Z up, standing on z = 0, bounding box centred on x = y = 0.

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
        """Key of the geometry, which copies with another print share with the mesh itself."""
        return self.key.partition(PRINT)[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        arrays = (self.vertices, self.faces, self.normals, self.uv, self.colors)
        textures = (part.material.texture for part in self.parts)
        return sum(array.nbytes for array in (*arrays, *textures) if array is not None)

    @cached_property
    def bounds(self) -> NDArray[np.float32]:
        """Lowest and highest corner, (2, 3) float32, metres."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @property
    def size(self) -> NDArray[np.float32]:
        """Width (x), depth (y) and height (z), (3,) float32, metres."""
        low, high = self.bounds
        return high - low


def shape_copy_key(mesh: Mesh, suffix: str) -> str:
    """Return the key of a copy of `mesh` with another shape or other normals."""
    shape = mesh.shape_key
    return f"{shape}{suffix}{mesh.key.removeprefix(shape)}"


@dataclass(frozen=True, eq=False)
class RawPart:
    """Part of a mesh file in the file's frame.

    vertices: (V, 3) float64. faces: (F, 3) int. uv (V, 2), normals (V, 3), colors (V, 4) uint8: None if absent.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    material: Material
    uv: NDArray[np.float64] | None = None
    normals: NDArray[np.float64] | None = None
    colors: NDArray[np.uint8] | None = None

    def placed(self, pose: NDArray[np.float64]) -> RawPart:
        """Return the part transformed by `pose` (4, 4), which may scale and mirror."""
        linear = pose[:3, :3]
        faces = self.faces[:, ::-1] if np.linalg.det(linear) < 0 else self.faces  # mirroring reverses the winding
        normals = None if self.normals is None or not np.linalg.det(linear) else self.normals @ np.linalg.inv(linear)
        return replace(self, vertices=self.vertices @ linear.T + pose[:3, 3], faces=faces, normals=normals)

    def flipped(self) -> RawPart:
        """Return the part turned inside out."""
        return replace(self, faces=self.faces[:, ::-1], normals=None if self.normals is None else -self.normals)
