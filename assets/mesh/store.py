"""Cached meshes and resting poses as files: normalised once, read back in milliseconds."""

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
from assets.files.image_input import open_image
from assets.mesh.rest import Rest
from assets.mesh.types import Material, Mesh, MeshPart

T = TypeVar("T")


def load_or_make(path: Path, read: Callable[[Path], T], make: Callable[[], T], write: Callable[[Path, T], None]) -> T:
    """Load `path`, or make the value and store it there. A damaged file is silently replaced.

    A cache that cannot be written (full or read-only disk) only costs time.
    """
    # Readers of zip, PNG and JSON raise unrelated exceptions for damaged files.
    with contextlib.suppress(Exception):
        return read(path)
    value = make()
    with contextlib.suppress(OSError):
        write(path, value)
    return value


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Store a mesh atomically: arrays as they are, textures as PNG."""
    arrays: dict[str, NDArray] = {"vertices": mesh.vertices, "faces": mesh.faces, "normals": mesh.normals}
    arrays |= {name: array for name, array in (("uv", mesh.uv), ("colors", mesh.colors)) if array is not None}
    parts = []
    for number, part in enumerate(mesh.parts):
        material = part.material
        if material.texture is not None:
            arrays[f"texture{number}"] = _encode_png(material.texture)
        parts.append(
            {
                "span": [part.face_start, part.face_stop],
                "base_color": material.base_color.tolist(),
                "roughness": material.roughness,
                "metallic": material.metallic,
                "alpha_cutoff": material.alpha_cutoff,
                **({} if material.glass is None else {"transmission": material.transmission, "pane": material.pane}),
                **({} if material.lamp is None else {"emission": material.lamp}),
            }
        )
    about = json.dumps({"key": mesh.key, "parts": parts})
    _write_arrays(path, {**arrays, "about": np.frombuffer(about.encode(), np.uint8)})


def read_mesh(path: Path) -> Mesh:
    """Load a mesh stored by `write_mesh`. Raises OSError, ValueError or KeyError if the file is not one."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        about = json.loads(bytes(stored["about"]))
        parts = tuple(_read_part(number, part, stored) for number, part in enumerate(about["parts"]))
        optional = {name: stored.get(name) for name in ("uv", "colors")}
        return Mesh(about["key"], stored["vertices"], stored["faces"], stored["normals"], parts, **optional)


def _read_part(number: int, part: dict[str, Any], stored: Mapping[str, NDArray]) -> MeshPart:
    texture = _decode_png(stored[f"texture{number}"]) if f"texture{number}" in stored else None
    look = {name: value for name, value in part.items() if name not in ("span", "base_color")}
    start, stop = part["span"]
    return MeshPart(start, stop, Material(np.array(part["base_color"]), texture, **look))


def write_rest(path: Path, rest: Rest) -> None:
    """Store hull and resting poses."""
    # Compressed: a third of the bytes and as fast to read; a large catalogue has very many of them.
    _write_arrays(path, {name: getattr(rest, name) for name in REST_FIELDS}, np.savez_compressed)


def read_rest(path: Path) -> Rest:
    """Load hull and resting poses stored by `write_rest`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return Rest(*(stored[name] for name in REST_FIELDS))


REST_FIELDS = ("hull_vertices", "hull_faces", "rotations", "weights")


def _write_arrays(path: Path, arrays: Mapping[str, NDArray], save: Callable[..., None] = np.savez) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        save(file, **arrays)


def _encode_png(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    buffer = io.BytesIO()
    opaque = bool((texture[..., 3] == 255).all())
    # Level 1: three times faster to write than the default, 10 % larger.
    Image.fromarray(texture[..., :3] if opaque else texture).save(buffer, "PNG", compress_level=1)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _decode_png(png: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with open_image(png.tobytes(), "a stored mesh", "a texture") as image:
        return np.asarray(image.convert("RGBA"))
