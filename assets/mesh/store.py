"""Meshes and rest poses as files: what was normalised once is read back in milliseconds."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from assets.files.atomic import atomic_file
from assets.files.image_input import open_picture
from assets.mesh.rest import Rest
from assets.mesh.types import Material, Mesh, MeshPart

T = TypeVar("T")


def load_or_make(path: Path, read: Callable[[Path], T], make: Callable[[], T], write: Callable[[Path, T], None]) -> T:
    """What `path` holds, or what `make` gives, then stored there. A damaged file is made anew in silence.

    A cache that cannot be written (full or read-only disk) costs time and nothing else.
    """
    # What readers of zip, PNG and JSON raise on damaged files has no common kind.
    with contextlib.suppress(Exception):
        return read(path)
    made = make()
    with contextlib.suppress(OSError):
        write(path, made)
    return made


def write_mesh(path: Path, mesh: Mesh, notes: tuple[str, ...] = ()) -> None:
    """Stores a mesh whole or not at all: arrays as they are, textures as PNG."""
    arrays: dict[str, NDArray] = {"vertices": mesh.vertices, "faces": mesh.faces, "normals": mesh.normals}
    arrays |= {name: array for name, array in (("uv", mesh.uv), ("colors", mesh.colors)) if array is not None}
    parts = []
    for number, part in enumerate(mesh.parts):
        material = part.material
        if material.texture is not None:
            arrays[f"texture{number}"] = _png_of(material.texture)
        parts.append(
            {
                "span": [part.face_start, part.face_stop],
                "base_color": material.base_color.tolist(),
                "roughness": material.roughness,
                "metallic": material.metallic,
                "alpha_cutoff": material.alpha_cutoff,
            }
        )
    about = json.dumps({"key": mesh.key, "parts": parts, "notes": notes})
    _write_arrays(path, {**arrays, "about": np.frombuffer(about.encode(), np.uint8)})


def read_mesh(path: Path) -> Mesh:
    """The mesh that `write_mesh` stored. Raises OSError, ValueError or KeyError where the file is none."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        about = json.loads(bytes(stored["about"]))
        parts = tuple(_part(number, part, stored) for number, part in enumerate(about["parts"]))
        optional = {name: stored.get(name) for name in ("uv", "colors")}
        return Mesh(about["key"], stored["vertices"], stored["faces"], stored["normals"], parts, **optional)


def _part(number: int, part: dict[str, Any], stored: Mapping[str, NDArray]) -> MeshPart:
    texture = _pixels_of(stored[f"texture{number}"]) if f"texture{number}" in stored else None
    look = {name: part[name] for name in ("roughness", "metallic", "alpha_cutoff")}
    start, stop = part["span"]
    return MeshPart(start, stop, Material(np.array(part["base_color"]), texture, **look))


def write_rest(path: Path, rest: Rest) -> None:
    """Stores hull and rest poses."""
    # A third of the bytes, read as fast: a large catalogue has very many of them.
    _write_arrays(path, {name: getattr(rest, name) for name in REST_FIELDS}, np.savez_compressed)


def read_rest(path: Path) -> Rest:
    """What `write_rest` stored."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return Rest(*(stored[name] for name in REST_FIELDS))


REST_FIELDS = ("hull_vertices", "hull_faces", "rotations", "weights")


def _write_arrays(path: Path, arrays: Mapping[str, NDArray], save: Callable[..., None] = np.savez) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        save(file, **arrays)


def _png_of(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    buffer = io.BytesIO()
    opaque = bool((texture[..., 3] == 255).all())
    # Level 1: three times faster to write than the default, 10 % larger.
    Image.fromarray(texture[..., :3] if opaque else texture).save(buffer, "PNG", compress_level=1)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _pixels_of(png: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with open_picture(png.tobytes(), "a stored mesh", "a texture") as image:
        return np.asarray(image.convert("RGBA"))
