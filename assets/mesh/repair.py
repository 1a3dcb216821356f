"""Diagnosing the parts of a mesh file: what is no surface is refused, what can be mended is mended and noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.mesh.raw_part import RawPart

# A surface that encloses less than this share of its box, inwards, is open or flat and not inside out.
MIN_VOLUME = 0.05
# Beyond this, in whatever unit, a coordinate is damage: the Earth is 10^10 mm wide. Its cube still is a number.
FARTHEST = 1e12
# A texture that repeats more often than this is damage; in float32 its coordinates would have no digits left.
MAX_REPEATS = 1e6


def sound_part(part: RawPart, number: int, path: Path, notes: list[str]) -> RawPart:
    """The part without faces that are no triangles. number: of the part, for people.

    Raises SynthError where a face names a vertex that is not there, or one without sensible numbers as coordinates.
    """
    count = len(part.vertices)
    if part.faces.min() < 0 or part.faces.max() >= count:
        found, expected = f"part {number}: vertex {part.faces.max()}", f"vertices 0 to {count - 1}"
        what = "the mesh refers to vertices that do not exist"
        raise SynthError(what, code="mesh-invalid", where=str(path), found=found, expected=expected)
    used = np.unique(part.faces)
    bad = used[~(np.abs(part.vertices[used]) <= FARTHEST).all(axis=1)]  # also those that are no numbers
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
    if uv is not None and not (sound := np.abs(uv) <= MAX_REPEATS).all():
        notes.append("texture coordinates that are no numbers set to 0")
        uv = np.where(sound, uv, 0.0)
    return replace(part, faces=part.faces[proper], uv=uv)


def inside_out(parts: Sequence[RawPart]) -> bool:
    """Whether the faces look inwards: the volume they enclose about the middle of the whole is clearly negative."""
    triangles = np.concatenate([part.vertices[part.faces] for part in parts])
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    a, b, c = np.moveaxis(triangles - (low + high) / 2, 1, 0)
    volume = float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    return volume < -MIN_VOLUME * float(np.prod(high - low))


def sound_normals(part: RawPart, notes: list[str]) -> RawPart:
    """The part with its normals dropped where they are no directions or look against the faces' winding."""
    if part.normals is None:
        return part
    picked = part.normals[part.faces]
    lengths = np.linalg.norm(picked, axis=2)
    if not np.isfinite(lengths).all() or (lengths < 1e-6).any():
        notes.append("normals that are no directions computed anew")
        return replace(part, normals=None)
    along = np.einsum("fcd,fd->fc", picked, _crosses(part.vertices[part.faces]))
    if (along < 0).mean() > 0.5:
        notes.append("normals that looked inwards computed anew")
        return replace(part, normals=None)
    return part


def _crosses(triangles: NDArray) -> NDArray:
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
