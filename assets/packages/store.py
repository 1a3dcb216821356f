"""Packages made from pictures, as files of some ten kilobytes: geometry in 16-bit steps, textures as WebP.

What is read back is what a package is: one that was just built goes through the same codec, so that the first picture
of it and the thousandth are equal. Packages without pictures are not kept: drawing one anew takes no longer than
reading it would save (benchmarks/packshots.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.catalog.sku_lists import Root
from assets.catalog.types import PICTURES, Sku
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.image_input import open_picture
from assets.limits import PICTURE_BYTES, read_file
from assets.mesh.types import Material, Mesh, MeshPart

# Raised whenever shapes, artwork, cutting or this format change: what is kept of before is then left alone.
VERSION = 4
MAGIC = b"synthpk\1"
STEPS = 65535
# As near to the drawn texture as JPEG of quality 85, in half of its bytes; 40 ms to write, 10 ms to read.
WEBP = {"quality": 75, "method": 2}
# Columns of a row that its package does not follow from.
IRRELEVANT = ("licence", "mesh", "up", "units", "front", "rests", *PICTURES)


def has_pictures(sku: Sku) -> bool:
    """Whether a row names pictures of its package."""
    return any(getattr(sku, column) for column in PICTURES)


def package_digest(sku: Sku, root: Root, texture_px: int) -> str:
    """Digest of all that a package follows from: its row, the bytes of its pictures, the version of what makes it.

    Raises SynthError naming SKU, column and file where a picture cannot be read.
    """
    row = {field.name: getattr(sku, field.name) for field in fields(Sku) if field.name not in IRRELEVANT}
    digest = hashlib.sha256(json.dumps([VERSION, texture_px, row]).encode())
    for column in PICTURES:
        name = getattr(sku, column)
        if name:
            where = f"{root / name}, of SKU {sku.sku!r}"
            data = read_file(root / name, PICTURE_BYTES, f"the {column}", where)
            digest.update(f"\0{column}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def stored_package(path: Path, make: Callable[[], Mesh]) -> Mesh:
    """The package that `path` holds, or the one that `make` gives, then kept there. A damaged file is made anew."""
    with contextlib.suppress(OSError, SynthError):
        return unpack_mesh(path.read_bytes())
    packed = pack_mesh(make())
    with contextlib.suppress(OSError):  # a store that cannot be written costs time and nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, packed)
    return unpack_mesh(packed)


def pack_mesh(mesh: Mesh) -> bytes:
    """A mesh as bytes: positions in 65535ths of its box, textures as lossy WebP.

    The key is kept: equal packages have equal bytes and the reverse. Raises ValueError for vertex colours.
    """
    if mesh.colors is not None:
        raise ValueError("a package has no vertex colours")
    blocks: dict[str, NDArray[Any]] = {"vertices": mesh.vertices, "normals": mesh.normals}
    blocks |= {} if mesh.uv is None else {"uv": mesh.uv}
    steps = {name: _stepped(block) for name, block in blocks.items()}
    pictures = [_coded(part.material.texture) for part in mesh.parts]
    about = {
        "key": mesh.key,
        "count": len(mesh.vertices),
        "faces": len(mesh.faces),
        "boxes": {name: [low.tolist(), high.tolist()] for name, (low, high, _) in steps.items()},
        "parts": [
            [part.face_start, part.face_stop, *_look(part.material), len(data)]
            for part, data in zip(mesh.parts, pictures, strict=True)
        ],
    }
    geometry = zlib.compress(_shuffled(mesh.faces) + b"".join(_shuffled(step) for _, _, step in steps.values()), 6)
    head = json.dumps(about).encode()
    body = struct.pack("<II", len(head), len(geometry)) + head + geometry + b"".join(pictures)
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def unpack_mesh(packed: bytes) -> Mesh:
    """The mesh that `pack_mesh` made bytes of. Raises SynthError where they are others, or damaged."""
    body = packed[len(MAGIC) + 4 :]
    if packed[: len(MAGIC)] != MAGIC or zlib.crc32(body) != struct.unpack("<I", packed[len(MAGIC) : len(MAGIC) + 4])[0]:
        raise SynthError("a stored package is damaged", code="stored-package-damaged")
    head, size = struct.unpack("<II", body[:8])
    about = json.loads(body[8 : 8 + head])
    geometry = zlib.decompress(body[8 + head : 8 + head + size])
    count, number = about["count"], about["faces"]
    faces, at = _gathered(geometry, 0, (number, 3), np.dtype(np.int32))
    blocks = {}
    for name, (low, high) in about["boxes"].items():
        stepped, at = _gathered(geometry, at, (count, len(low)), np.dtype(np.uint16))
        blocks[name] = _unstepped(stepped, np.array(low), np.array(high))
    normals = blocks["normals"] / np.linalg.norm(blocks["normals"], axis=1, keepdims=True)
    parts, at = [], 8 + head + size
    for start, stop, color, roughness, metallic, cutoff, length in about["parts"]:
        texture = _decoded(body[at : at + length]) if length else None
        parts.append(MeshPart(start, stop, Material(np.array(color), texture, roughness, metallic, cutoff)))
        at += length
    vertices = blocks["vertices"].astype(np.float32)
    uv = blocks["uv"].astype(np.float32) if "uv" in blocks else None
    return Mesh(about["key"], vertices, faces, normals.astype(np.float32), tuple(parts), uv)


def _look(material: Material) -> list[Any]:
    return [material.base_color.tolist(), material.roughness, material.metallic, material.alpha_cutoff]


def _stepped(block: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint16]]:
    """Lowest and highest value of each column, and all values in steps between them, as differences downwards."""
    low, high = block.min(axis=0).astype(np.float64), block.max(axis=0).astype(np.float64)
    steps = np.rint((block - low) * (STEPS / np.maximum(high - low, 1e-300))).astype(np.uint16)
    return low, high, np.diff(steps, axis=0, prepend=np.uint16(0))


def _unstepped(steps: NDArray[np.uint16], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = low + np.cumsum(steps, axis=0, dtype=np.uint16) * ((high - low) / STEPS)
    return values


def _shuffled(block: NDArray[Any]) -> bytes:
    """The bytes of an array, first ones of all values first: so they repeat, and pack well."""
    flat = np.diff(block.ravel(), prepend=0).astype(block.dtype) if block.dtype == np.int32 else block.T.ravel()
    return np.ascontiguousarray(flat).view(np.uint8).reshape(-1, block.itemsize).T.tobytes()


def _gathered(data: bytes, at: int, shape: tuple[int, int], kind: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """The array whose bytes `_shuffled` gave, from a place in `data`, and the place after it."""
    size = shape[0] * shape[1] * kind.itemsize
    planes = np.frombuffer(data, np.uint8, size, at).reshape(kind.itemsize, -1)
    flat = np.ascontiguousarray(planes.T).view(kind).ravel()
    if kind == np.int32:
        return np.cumsum(flat, dtype=np.int32).reshape(shape), at + size
    return np.ascontiguousarray(flat.reshape(shape[::-1]).T), at + size


def _coded(texture: NDArray[np.uint8] | None) -> bytes:
    from PIL import Image

    if texture is None:
        return b""
    opaque = int(texture[..., 3].min()) == 255
    buffer = io.BytesIO()
    picture = Image.fromarray(texture)
    (picture.convert("RGB") if opaque else picture).save(buffer, "WEBP", **WEBP)
    return buffer.getvalue()


def _decoded(data: bytes) -> NDArray[np.uint8]:
    with open_picture(data, "a stored package", "a texture") as picture:
        return np.asarray(picture.convert("RGBA"))
