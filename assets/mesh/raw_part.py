"""Part of a mesh file before normalisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material


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
