"""From a mesh file to a Mesh: read, diagnosed, brought to metres, Z up, standing on z = 0."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.mesh.normals import crease_normals
from assets.mesh.raw_part import RawPart
from assets.mesh.read import METRES, read_mesh_file
from assets.mesh.repair import inside_out, sound_normals, sound_part
from assets.mesh.simplify import KEPT_FACES, MAX_FACES, simplify_part
from assets.mesh.types import Mesh, MeshPart, frozen_array

# A product's longest side in metres: outside, the file's unit is not the metre.
SHORTEST, LONGEST = 0.005, 3.0
# What a guess at the unit must lead to.
LIKELY = (0.02, 1.5)
# Stated sizes that differ from the mesh's proportions by more than this are not forced upon it.
PROPORTION = 1.10
# Sides smaller than this share of the longest are flat; a longest side below SMALLEST, in any unit, is a point.
FLAT, SMALLEST = 1e-6, 1e-9
Z_FROM_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
# By the side that is the front: the turn about Z that takes it to -y.
TO_FRONT = {
    "-y": np.eye(3),
    "+y": np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]]),
    "+x": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "-x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
}
Size = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, eq=False)
class LoadedMesh:
    """A normalised mesh. normalized_from_source: (4, 4) float64, from the file's own coordinates, scale included.

    notes: what was mended, missing or doubtful, for people.
    """

    mesh: Mesh
    normalized_from_source: NDArray[np.float64]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        pose = frozen_array(self.normalized_from_source, np.float64, (4, 4), "normalized_from_source")
        object.__setattr__(self, "normalized_from_source", pose)


def load_mesh(
    path: Path | str,
    *,
    units: str = "",
    up: str = "",
    front: str = "",
    size: Size = (None, None, None),
    root: Path | None = None,
) -> LoadedMesh:
    """A mesh file as a Mesh. size: stated width (x), depth (y), height (z) in metres, None where unknown.

    units, up: how the file is to be read, "" = as its format says (metres and Z up where it says nothing). front: the
    side, once Z is up, that is turned to -y ("" = "-y"). root: the folder that its textures may lie in, the file's own
    if None. Raises SynthError where the file cannot be read, is empty, holds NaN, or has a size that no product has.
    """
    path = Path(path)
    raw = read_mesh_file(path, root)
    parts, notes = _mend(raw.parts, path)
    turn = TO_FRONT[front or "-y"] @ (Z_FROM_Y_UP if (up or raw.up) == "y" else np.eye(3))
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts]) @ turn.T
    scale, sizing = _scale(np.ptp(corners, axis=0), units, raw.metres, size, path)
    low, high = (corners * scale).min(axis=0), (corners * scale).max(axis=0)
    offset = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    pose = np.eye(4)
    pose[:3, :3] = scale[:, None] * turn
    # A mesh that stands where it should but for float32's rounding is left there: what was exported reads back equal.
    pose[:3, 3] = np.where(np.abs(offset) < 1e-7, 0.0, offset)
    return LoadedMesh(_assemble(parts, pose), pose, (*raw.notes, *notes, *sizing))


def _mend(raw: Sequence[RawPart], path: Path) -> tuple[list[RawPart], list[str]]:
    """Checked, lighter and outside out. Raises SynthError where coordinates are no numbers or faces name none."""
    notes: list[str] = []
    parts = [sound_part(part, number, path, notes) for number, part in enumerate(raw, start=1)]
    total = sum(len(part.faces) for part in parts)
    if total > MAX_FACES:
        parts = [simplify_part(part, max(int(KEPT_FACES * len(part.faces) / total), 4)) for part in parts]
        notes.append(f"{total} triangles reduced to {sum(len(part.faces) for part in parts)}")
    if inside_out(parts):
        parts = [part.flipped() for part in parts]
        notes.append("faces turned: the surface was inside out")
    return [sound_normals(part, notes) for part in parts], list(dict.fromkeys(notes))


def _scale(
    extent: NDArray, units: str, stated: float | None, size: Size, path: Path
) -> tuple[NDArray[np.float64], list[str]]:
    """Factors (3,) from the file's unit to metres along x, y, z, and notes about doubtful ones."""
    # A side that is flat but for rounding says nothing about the scale.
    known = [axis for axis in range(3) if size[axis] is not None and extent[axis] > FLAT * extent.max()]
    if known and extent.max() > SMALLEST:
        return _scale_to(extent, size, known)
    metres = METRES[units] if units else (stated or 1.0)
    if not SHORTEST <= float(extent.max()) * metres <= LONGEST:
        raise _absurd_size(extent, metres, path)
    return np.full(3, metres), []


def _scale_to(extent: NDArray, size: Size, known: list[int]) -> tuple[NDArray[np.float64], list[str]]:
    """Factors that give the stated size: one per axis where it fits the mesh's proportions, else one for all."""
    factors = np.array([float(size[axis] or 0) / extent[axis] for axis in known])
    if factors.max() / factors.min() <= PROPORTION:
        return (factors if len(known) == 3 else np.full(3, factors.mean())), []
    # Of three numbers one may be wrong: the middle one is not. Of two the height is the one least often mixed up.
    factor = float(np.median(factors)) if len(known) == 3 else float(factors[-1])
    found = " x ".join(f"{side:.3g}" for side in extent * factor)
    wanted = " x ".join("?" if side is None else f"{side:.3g}" for side in size)
    note = f"stated size {wanted} m (width x depth x height) does not fit the mesh's proportions: kept as {found} m"
    return np.full(3, factor), [note + _axes_hint(extent, size)]


def _axes_hint(extent: NDArray, size: Size) -> str:
    """Which mistake would explain stated sizes that do not fit: exchanged sides, or another axis upwards."""
    if None in size:
        return ""
    for order, meaning in (
        ((1, 0, 2), "width and depth seem exchanged: see column 'front'"),
        ((0, 2, 1), "Y and Z: see column 'up'"),
    ):
        factors = np.array([float(size[axis] or 0) for axis in order]) / np.maximum(extent, 1e-12)
        if factors.max() / factors.min() <= PROPORTION:
            return f" ({meaning})"
    return ""


def _absurd_size(extent: NDArray, metres: float, path: Path) -> SynthError:
    longest = float(extent.max())
    fits = [unit for unit, length in METRES.items() if length != metres and LIKELY[0] <= longest * length <= LIKELY[1]]
    found = f"{' x '.join(f'{side:.4g}' for side in extent * metres)} m"
    expected = f"a longest side between {SHORTEST} and {LONGEST} m"
    guess = f"its unit looks like {' or '.join(fits)}: " if fits else ""
    hint = f"{guess}put it into the column 'units' (m, cm, mm, in), or the real size into width_m, height_m, depth_m"
    return SynthError(
        "implausible product size",
        code="mesh-size-implausible",
        where=str(path),
        found=found,
        expected=expected,
        hint=hint,
    )


def _assemble(parts: Sequence[RawPart], pose: NDArray[np.float64]) -> Mesh:
    """One Mesh of all parts, moved by `pose`, with normals; corners that agree in everything share a vertex."""
    has_uv = any(part.uv is not None for part in parts)
    has_colors = any(part.colors is not None for part in parts)
    blocks, stretches, start, stop = [], [], 0, 0
    for part in parts:
        block, faces = _corner_block(part, pose, has_uv, has_colors)
        blocks.append(block)
        stretches.append((faces + start, MeshPart(stop, stop + len(faces), part.material)))
        start, stop = start + len(block), stop + len(faces)
    table = np.concatenate(blocks)
    arrays = {
        "vertices": table[:, :3].astype(np.float32),
        "normals": table[:, 3:6].astype(np.float32),
        "faces": np.concatenate([faces for faces, _ in stretches]).astype(np.int32),
        "uv": table[:, 6:8].astype(np.float32) if has_uv else None,
        "colors": table[:, -4:].astype(np.uint8) if has_colors else None,
    }
    pieces = tuple(piece for _, piece in stretches)
    return Mesh(key=mesh_key(pieces, **arrays), parts=pieces, **arrays)


def _corner_block(
    part: RawPart, pose: NDArray[np.float64], has_uv: bool, has_colors: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Unique corners (V, 6 to 12): position, normal, uv, colour; and faces into them."""
    vertices = part.vertices @ pose[:3, :3].T + pose[:3, 3]
    if part.normals is None:
        normals = crease_normals(vertices, part.faces).reshape(-1, 3)
    else:
        turned = part.normals @ np.linalg.inv(pose[:3, :3])
        normals = (turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-30))[part.faces].reshape(-1, 3)
    picked = part.faces.reshape(-1)
    columns = [vertices[picked], np.round(normals, 5)]
    if has_uv:
        columns.append(np.zeros((len(picked), 2)) if part.uv is None else part.uv[picked])
    if has_colors:
        columns.append(np.full((len(picked), 4), 255.0) if part.colors is None else part.colors[picked].astype(float))
    unique, inverse = np.unique(np.concatenate(columns, axis=1), axis=0, return_inverse=True)
    unique[:, 3:6] /= np.maximum(np.linalg.norm(unique[:, 3:6], axis=1, keepdims=True), 1e-30)
    return unique, inverse.reshape(-1, 3)


def mesh_key(parts: Sequence[MeshPart], **arrays: NDArray | None) -> str:
    """Content hash of a mesh: equal for equal geometry and look."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {None if array is None else array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    for part in parts:
        material = part.material
        text = (part.face_start, part.face_stop, material.roughness, material.metallic, material.alpha_cutoff)
        digest.update(repr((text, material.base_color.tolist())).encode())
        digest.update(b"" if material.texture is None else repr(material.texture.shape).encode())
        digest.update(b"" if material.texture is None else material.texture.tobytes())
    return digest.hexdigest()[:32]
