"""From a mesh file to a Mesh: read, diagnosed, brought to metres, Z up, standing on z = 0."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.mesh import Mesh, Part, frozen_array
from assets.mesh_normals import crease_normals
from assets.mesh_read import METRES, Y_UP, RawMesh, RawPart, read_mesh_file
from assets.mesh_simplify import KEPT_FACES, MOST_FACES, simplify_part

# A product's longest side in metres: outside, the file's unit is not the metre.
SHORTEST, LONGEST = 0.005, 3.0
# Stated sizes that differ from the mesh's proportions by more than this are not forced upon it.
PROPORTION = 1.10
Z_FROM_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
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


def load_mesh(path: Path | str, *, units: str = "", up: str = "", size: Size = (None, None, None)) -> LoadedMesh:
    """A mesh file as a Mesh. size: stated width (x), depth (y), height (z) in metres, None where unknown.

    units, up: how the file is to be read, "" = as its format says (metres and Z up where it says nothing). Raises
    SynthError where the file cannot be read, is empty, holds NaN, or has a size that no product has.
    """
    path = Path(path)
    raw = read_mesh_file(path)
    _check_numbers(raw, path)
    parts, notes = _mend(raw.parts)
    turn = Z_FROM_Y_UP if (up or ("y" if path.suffix.lower() in Y_UP else "z")) == "y" else np.eye(3)
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts]) @ turn.T
    scale, sizing = _scale(np.ptp(corners, axis=0), units, raw.metres, size, path)
    linear = scale[:, None] * turn
    low, high = (corners * scale).min(axis=0), (corners * scale).max(axis=0)
    pose = np.eye(4)
    pose[:3, :3] = linear
    pose[:3, 3] = [-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]]
    return LoadedMesh(_assemble(parts, pose), pose, (*raw.notes, *notes, *sizing))


def _check_numbers(raw: RawMesh, path: Path) -> None:
    for number, part in enumerate(raw.parts, start=1):
        bad = np.flatnonzero(~np.isfinite(part.vertices).all(axis=1))
        if len(bad):
            found = f"part {number}: {len(bad)} of {len(part.vertices)} vertices, the first is vertex {bad[0]}"
            raise SynthError("the mesh has coordinates that are no numbers", where=str(path), found=found)
        if part.faces.min() < 0 or part.faces.max() >= len(part.vertices):
            expected = f"vertices 0 to {len(part.vertices) - 1}"
            raise SynthError("the mesh names vertices that it does not have", where=str(path), expected=expected)


def _mend(parts: Sequence[RawPart]) -> tuple[list[RawPart], list[str]]:
    notes = []
    total = sum(len(part.faces) for part in parts)
    if total > MOST_FACES:
        parts = [simplify_part(part, max(int(KEPT_FACES * len(part.faces) / total), 4)) for part in parts]
        notes.append(f"{total} triangles reduced to {sum(len(part.faces) for part in parts)}")
    if _inside_out(parts):
        parts = [_flip(part) for part in parts]
        notes.append("faces turned: the surface was inside out")
    return list(parts), notes


def _inside_out(parts: Sequence[RawPart]) -> bool:
    """Whether the faces look inwards: the volume they enclose is clearly negative."""
    volume = extent = 0.0
    for part in parts:
        triangles = part.vertices[part.faces]
        middle = triangles.mean(axis=(0, 1))
        a, b, c = np.moveaxis(triangles - middle, 1, 0)
        volume += float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
        extent += float(np.prod(np.maximum(np.ptp(part.vertices, axis=0), 1e-12)))
    # Open or flat surfaces enclose nothing much: a small negative number says nothing about them.
    return volume < -0.05 * extent


def _flip(part: RawPart) -> RawPart:
    return replace(part, faces=part.faces[:, ::-1], normals=None if part.normals is None else -part.normals)


def _scale(
    extent: NDArray, units: str, stated: float | None, size: Size, path: Path
) -> tuple[NDArray[np.float64], list[str]]:
    """Factors (3,) from the file's unit to metres along x, y, z, and notes about doubtful ones."""
    known = [axis for axis in range(3) if size[axis] is not None and extent[axis] > 0]
    if known:
        return _scale_to(extent, size, known)
    metres = METRES[units] if units else (stated or 1.0)
    longest = float(extent.max()) * metres
    if not SHORTEST <= longest <= LONGEST:
        raise _absurd_size(extent * metres, longest, units, path)
    return np.full(3, metres), []


def _scale_to(extent: NDArray, size: Size, known: list[int]) -> tuple[NDArray[np.float64], list[str]]:
    factors = np.array([float(size[axis] or 0) / extent[axis] for axis in known])
    agree = factors.max() / factors.min() <= PROPORTION
    if agree and len(known) == 3:
        return factors, []
    if agree:
        return np.full(3, factors.mean()), []
    middle = float(np.median(factors))
    found = " x ".join(f"{side:.3g}" for side in extent * middle)
    wanted = " x ".join("?" if side is None else f"{side:.3g}" for side in size)
    return np.full(3, middle), [f"stated size {wanted} m does not fit the mesh's proportions: kept as {found} m"]


def _absurd_size(sides: NDArray, longest: float, units: str, path: Path) -> SynthError:
    fits = [name for name in ("mm", "cm", "in", "m") if SHORTEST * 4 <= longest * METRES[name] <= 1.5 and name != units]
    found = f"{' x '.join(f'{side:.4g}' for side in sides)} m"
    expected = f"a longest side between {SHORTEST} and {LONGEST} m"
    guess = f"it looks like {' or '.join(fits)}: " if fits else ""
    hint = (
        f"{guess}put the unit into the column 'units' (m, cm, mm, in), or the real size into width_m, height_m, depth_m"
    )
    return SynthError("a product of that size cannot be", where=str(path), found=found, expected=expected, hint=hint)


def _assemble(parts: Sequence[RawPart], pose: NDArray[np.float64]) -> Mesh:
    """One Mesh of all parts, moved by `pose`, with normals; corners that agree in everything share a vertex."""
    has_uv = any(part.uv is not None for part in parts)
    has_colors = any(part.colors is not None for part in parts)
    blocks, stretches, start, stop = [], [], 0, 0
    for part in parts:
        block, faces = _corner_block(part, pose, has_uv, has_colors)
        blocks.append(block)
        stretches.append((faces + start, Part(stop, stop + len(faces), part.material)))
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


def mesh_key(parts: Sequence[Part], **arrays: NDArray | None) -> str:
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
