"""Validation and repair of the parts of a mesh file; repairs are noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.mesh.types import RawPart, cross_products

# A surface with a smaller negative volume, as a fraction of its box, is open or flat rather than inside out.
MIN_VOLUME = 0.05
# Larger coordinates, in whatever unit, are damaged data: the Earth is 10^10 mm wide. The cube is still finite.
MAX_COORDINATE = 1e12
# Larger texture coordinates are damaged data; float32 would leave no fractional digits.
MAX_REPEATS = 1e6


def clean_part(part: RawPart, number: int, path: Path, notes: list[str]) -> RawPart:
    """Return the part without degenerate faces. number: of the part, for messages.

    Raises SynthError if a face refers to a missing vertex, or to one with invalid coordinates.
    """
    count = len(part.vertices)
    if part.faces.min() < 0 or part.faces.max() >= count:
        found, expected = f"part {number}: vertex {part.faces.max()}", f"vertices 0 to {count - 1}"
        what = "the mesh refers to vertices that do not exist"
        raise SynthError(what, code="mesh-invalid", where=str(path), found=found, expected=expected)
    used = np.unique(part.faces)
    bad = used[~(np.abs(part.vertices[used]) <= MAX_COORDINATE).all(axis=1)]  # also NaN
    if len(bad):
        found = f"part {number}: {len(bad)} of {len(used)} vertices, the first is vertex {bad[0]}"
        hint = "repair it in a 3D program: the scanner or the exporter left holes in the data"
        what = "the mesh has coordinates that are not finite or too large"
        raise SynthError(what, code="mesh-invalid", where=str(path), found=found, hint=hint)
    a, b, c = part.faces.T
    proper = (a != b) & (b != c) & (c != a)
    if not proper.any():
        raise SynthError(
            "the mesh has no triangles",
            code="mesh-empty",
            where=str(path),
            found=f"part {number}: lines and points only",
        )
    uv = part.uv
    if uv is not None and not (valid := np.abs(uv) <= MAX_REPEATS).all():
        notes.append("invalid texture coordinates set to 0")
        uv = np.where(valid, uv, 0.0)
    return replace(part, faces=part.faces[proper], uv=uv)


def inside_out(parts: Sequence[RawPart]) -> bool:
    """Return whether the faces point inwards: their signed volume about the centre of all parts is clearly negative."""
    triangles = np.concatenate([part.vertices[part.faces] for part in parts])
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    a, b, c = np.moveaxis(triangles - (low + high) / 2, 1, 0)
    volume = float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    return volume < -MIN_VOLUME * float(np.prod(high - low))


def clean_normals(part: RawPart, notes: list[str]) -> RawPart:
    """Return the part without its normals if they are invalid or opposed to the faces' winding."""
    if part.normals is None:
        return part
    picked = part.normals[part.faces]
    lengths = np.linalg.norm(picked, axis=2)
    if not np.isfinite(lengths).all() or (lengths < 1e-6).any():
        notes.append("invalid normals recomputed")
        return replace(part, normals=None)
    along = np.einsum("fcd,fd->fc", picked, cross_products(part.vertices[part.faces]))
    if (along < 0).mean() > 0.5:
        notes.append("inward normals recomputed")
        return replace(part, normals=None)
    return part
