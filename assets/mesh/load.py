"""Loading of a mesh file as a Mesh: read, repaired and normalised to metres, Z up, standing on z = 0."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.mesh.normals import crease_normals
from assets.mesh.read import METRES, read_mesh_file
from assets.mesh.repair import clean_normals, clean_part, inside_out
from assets.mesh.simplify import KEPT_FACES, MAX_FACES, simplify_part
from assets.mesh.types import Mesh, MeshPart, RawPart, frozen_array

# Range of a product's longest side in metres: outside, the file's unit cannot be the metre.
MIN_LONGEST_M, MAX_LONGEST_M = 0.005, 3.0
# Range of the longest side for which a guessed unit is suggested.
LIKELY = (0.02, 1.5)
# Stated sizes are applied per axis only if they fit the mesh's proportions within this factor.
MAX_MISFIT = 1.10
# Sides smaller than this fraction of the longest are flat; a longest side below MIN_EXTENT, in any unit, is a point.
FLAT, MIN_EXTENT = 1e-6, 1e-9
Z_FROM_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
# Rotation about Z that turns each side to the front, -y.
TO_FRONT = {
    "-y": np.eye(3),
    "+y": np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]]),
    "+x": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "-x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
}
Size = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, eq=False)
class LoadedMesh:
    """Normalised mesh. normalized_from_source: (4, 4) float64, from the file's own coordinates, scale included.

    notes: messages on what was repaired, missing or doubtful.
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
    longest_m: float = MAX_LONGEST_M,
) -> LoadedMesh:
    """Load a mesh file as a Mesh. size: stated width (x), depth (y), height (z) in metres, None if unknown.

    units, up: of the file, "" = those of its format (metres and Z up if it defines none). front: the side, once Z is
    up, that is turned to -y ("" = "-y"). root: the folder that its textures may be in, the file's own if None.
    longest_m: the largest plausible length of its longest side. Raises SynthError if the file is unreadable, empty,
    contains NaN, or has an implausible size.
    """
    path = Path(path)
    raw = read_mesh_file(path, root)
    parts, notes = _repair_parts(raw.parts, path)
    rotation = TO_FRONT[front or "-y"] @ (Z_FROM_Y_UP if (up or raw.up) == "y" else np.eye(3))
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts]) @ rotation.T
    scale, sizing = _find_scale(np.ptp(corners, axis=0), units, raw.metres, size, longest_m, path)
    low, high = (corners * scale).min(axis=0), (corners * scale).max(axis=0)
    offset = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    pose = np.eye(4)
    pose[:3, :3] = scale[:, None] * rotation
    # Offsets within float32 rounding are ignored, so an exported mesh reads back equal.
    pose[:3, 3] = np.where(np.abs(offset) < 1e-7, 0.0, offset)
    return LoadedMesh(_assemble(parts, pose), pose, (*raw.notes, *notes, *sizing))


def _repair_parts(raw: Sequence[RawPart], path: Path) -> tuple[list[RawPart], list[str]]:
    """Check, simplify and orient the parts. Raises SynthError for invalid coordinates or vertex indices."""
    notes: list[str] = []
    parts = [clean_part(part, number, path, notes) for number, part in enumerate(raw, start=1)]
    total = sum(len(part.faces) for part in parts)
    if total > MAX_FACES:
        parts = [simplify_part(part, max(int(KEPT_FACES * len(part.faces) / total), 4)) for part in parts]
        notes.append(f"{total} triangles reduced to {sum(len(part.faces) for part in parts)}")
    if inside_out(parts):
        parts = [part.flipped() for part in parts]
        notes.append("faces flipped: the surface was inside out")
    return [clean_normals(part, notes) for part in parts], list(dict.fromkeys(notes))


def _find_scale(
    extent: NDArray, units: str, stated: float | None, size: Size, longest_m: float, path: Path
) -> tuple[NDArray[np.float64], list[str]]:
    """Return factors (3,) from the file's unit to metres along x, y, z, and notes on doubtful ones."""
    # A side that is flat up to rounding does not determine the scale.
    known = [axis for axis in range(3) if size[axis] is not None and extent[axis] > FLAT * extent.max()]
    if known and extent.max() > MIN_EXTENT:
        return _fit_size(extent, size, known)
    metres = METRES[units] if units else (stated or 1.0)
    if not MIN_LONGEST_M <= float(extent.max()) * metres <= longest_m:
        raise _implausible_size(extent, metres, longest_m, path)
    return np.full(3, metres), []


def _fit_size(extent: NDArray, size: Size, known: list[int]) -> tuple[NDArray[np.float64], list[str]]:
    """Return factors for the stated size: one per axis if it fits the mesh's proportions, otherwise one for all."""
    factors = np.array([float(size[axis] or 0) / extent[axis] for axis in known])
    if factors.max() / factors.min() <= MAX_MISFIT:
        return (factors if len(known) == 3 else np.full(3, factors.mean())), []
    # Of three factors the median is right if one is wrong. Of two, the height is least often mixed up.
    factor = float(np.median(factors)) if len(known) == 3 else float(factors[-1])
    found = " x ".join(f"{side:.3g}" for side in extent * factor)
    wanted = " x ".join("?" if side is None else f"{side:.3g}" for side in size)
    note = f"stated size {wanted} m (width x depth x height) does not fit the mesh's proportions: kept as {found} m"
    return np.full(3, factor), [note + _axes_hint(extent, size)]


def _axes_hint(extent: NDArray, size: Size) -> str:
    """Return a hint at the mistake that explains misfitting sizes: swapped sides, or another up axis."""
    if None in size:
        return ""
    for order, meaning in (
        ((1, 0, 2), "width and depth seem swapped: see column 'front'"),
        ((0, 2, 1), "Y and Z: see column 'up'"),
    ):
        factors = np.array([float(size[axis] or 0) for axis in order]) / np.maximum(extent, 1e-12)
        if factors.max() / factors.min() <= MAX_MISFIT:
            return f" ({meaning})"
    return ""


def _implausible_size(extent: NDArray, metres: float, longest_m: float, path: Path) -> SynthError:
    longest = float(extent.max())
    fits = [unit for unit, length in METRES.items() if length != metres and LIKELY[0] <= longest * length <= LIKELY[1]]
    found = f"{' x '.join(f'{side:.4g}' for side in extent * metres)} m"
    expected = f"a longest side between {MIN_LONGEST_M} and {longest_m} m"
    guess = f"its unit looks like {' or '.join(fits)}: " if fits else ""
    hint = f"{guess}set the column 'units' (m, cm, mm, in), or the real size in width_m, height_m, depth_m"
    return SynthError(
        "implausible product size",
        code="mesh-size-implausible",
        where=str(path),
        found=found,
        expected=expected,
        hint=hint,
    )


def _assemble(parts: Sequence[RawPart], pose: NDArray[np.float64]) -> Mesh:
    """Merge all parts, transformed by `pose`, into one Mesh with normals; identical corners share a vertex."""
    has_uv = any(part.uv is not None for part in parts)
    has_colors = any(part.colors is not None for part in parts)
    blocks, spans, start, stop = [], [], 0, 0
    for part in parts:
        block, faces = _corner_block(part, pose, has_uv, has_colors)
        blocks.append(block)
        spans.append((faces + start, MeshPart(stop, stop + len(faces), part.material)))
        start, stop = start + len(block), stop + len(faces)
    table = np.concatenate(blocks)
    arrays = {
        "vertices": table[:, :3].astype(np.float32),
        "normals": table[:, 3:6].astype(np.float32),
        "faces": np.concatenate([faces for faces, _ in spans]).astype(np.int32),
        "uv": table[:, 6:8].astype(np.float32) if has_uv else None,
        "colors": table[:, -4:].astype(np.uint8) if has_colors else None,
    }
    pieces = tuple(piece for _, piece in spans)
    return Mesh(key=mesh_key(pieces, **arrays), parts=pieces, **arrays)


def _corner_block(
    part: RawPart, pose: NDArray[np.float64], has_uv: bool, has_colors: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return unique corners (V, 6 to 12): position, normal, uv, colour; and faces that index them."""
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
    """Compute the content hash of a mesh: equal for equal geometry and materials."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {None if array is None else array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    for part in parts:
        material = part.material
        text = (part.face_start, part.face_stop, material.roughness, material.metallic, material.alpha_cutoff)
        digest.update(repr((text, material.base_color.tolist())).encode())
        digest.update(b"" if material.glass is None else repr(material.glass).encode())
        digest.update(b"" if material.lamp is None else f"emission {material.lamp!r}".encode())
        digest.update(b"" if material.texture is None else repr(material.texture.shape).encode())
        digest.update(b"" if material.texture is None else material.texture.tobytes())
    return digest.hexdigest()[:32]
