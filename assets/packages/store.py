"""Cache of packages made from images: files of some ten kilobytes, with 16-bit geometry and WebP textures.

A package that was just built passes through the same codec, so that its first and thousandth image are equal. Packages
without images are not cached, since generating one is as fast as reading it (benchmarks/packshots.py).
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
from assets.catalog.types import IMAGES, Sku
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.image_input import open_image
from assets.limits import IMAGE_BYTES, read_file
from assets.mesh.types import Material, Mesh, MeshPart

# Incremented whenever shapes, artwork, cutting or this format change; older files are then ignored.
VERSION = 4
MAGIC = b"synthpk\1"
STEPS = 65535
# As accurate as JPEG of quality 85 in half of its bytes; 40 ms to write, 10 ms to read.
WEBP = {"quality": 75, "method": 2}
# Columns that do not affect the package.
IRRELEVANT = ("licence", "mesh", "up", "units", "front", "rests", *IMAGES)


def has_images(sku: Sku) -> bool:
    """Return whether a row has images of its package."""
    return any(getattr(sku, column) for column in IMAGES)


def package_digest(sku: Sku, root: Root, texture_px: int) -> str:
    """Return the digest of everything that determines a package: its row, the bytes of its images, the code version.

    Raises SynthError with SKU, column and file if an image cannot be read.
    """
    row = {field.name: getattr(sku, field.name) for field in fields(Sku) if field.name not in IRRELEVANT}
    digest = hashlib.sha256(json.dumps([VERSION, texture_px, row]).encode())
    for column in IMAGES:
        name = getattr(sku, column)
        if name:
            where = f"{root / name}, of SKU {sku.sku!r}"
            data = read_file(root / name, IMAGE_BYTES, f"the {column}", where)
            digest.update(f"\0{column}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def stored_package(path: Path, make: Callable[[], Mesh]) -> Mesh:
    """Load the package at `path`, or make and store it there. A damaged file is replaced."""
    with contextlib.suppress(OSError, SynthError):
        return unpack_mesh(path.read_bytes())
    packed = pack_mesh(make())
    with contextlib.suppress(OSError):  # an unwritable cache only costs time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, packed)
    return unpack_mesh(packed)


def pack_mesh(mesh: Mesh) -> bytes:
    """Encode a mesh: positions in 65535ths of its bounding box, textures as lossy WebP.

    The key is kept: packages are equal if and only if their bytes are. Raises ValueError for vertex colours.
    """
    if mesh.colors is not None:
        raise ValueError("a package has no vertex colours")
    blocks: dict[str, NDArray[Any]] = {"vertices": mesh.vertices, "normals": mesh.normals}
    blocks |= {} if mesh.uv is None else {"uv": mesh.uv}
    steps = {name: _quantize(block) for name, block in blocks.items()}
    images = [_encode_texture(part.material.texture) for part in mesh.parts]
    about = {
        "key": mesh.key,
        "count": len(mesh.vertices),
        "faces": len(mesh.faces),
        "boxes": {name: [low.tolist(), high.tolist()] for name, (low, high, _) in steps.items()},
        "parts": [
            [part.face_start, part.face_stop, *_material_fields(part.material), len(data)]
            for part, data in zip(mesh.parts, images, strict=True)
        ],
    }
    geometry = zlib.compress(
        _shuffle_bytes(mesh.faces) + b"".join(_shuffle_bytes(step) for _, _, step in steps.values()), 6
    )
    head = json.dumps(about).encode()
    body = struct.pack("<II", len(head), len(geometry)) + head + geometry + b"".join(images)
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def unpack_mesh(packed: bytes) -> Mesh:
    """Decode a mesh encoded by `pack_mesh`. Raises SynthError if the bytes are damaged or something else."""
    body = packed[len(MAGIC) + 4 :]
    if packed[: len(MAGIC)] != MAGIC or zlib.crc32(body) != struct.unpack("<I", packed[len(MAGIC) : len(MAGIC) + 4])[0]:
        raise SynthError("a stored package is damaged", code="stored-package-damaged")
    head, size = struct.unpack("<II", body[:8])
    about = json.loads(body[8 : 8 + head])
    geometry = zlib.decompress(body[8 + head : 8 + head + size])
    count, number = about["count"], about["faces"]
    faces, at = _unshuffle_bytes(geometry, 0, (number, 3), np.dtype(np.int32))
    blocks = {}
    for name, (low, high) in about["boxes"].items():
        stepped, at = _unshuffle_bytes(geometry, at, (count, len(low)), np.dtype(np.uint16))
        blocks[name] = _dequantize(stepped, np.array(low), np.array(high))
    normals = blocks["normals"] / np.linalg.norm(blocks["normals"], axis=1, keepdims=True)
    parts, at = [], 8 + head + size
    for start, stop, color, *look, length in about["parts"]:
        texture = _decode_texture(body[at : at + length]) if length else None
        parts.append(MeshPart(start, stop, Material(np.array(color), texture, *look)))
        at += length
    vertices = blocks["vertices"].astype(np.float32)
    uv = blocks["uv"].astype(np.float32) if "uv" in blocks else None
    return Mesh(about["key"], vertices, faces, normals.astype(np.float32), tuple(parts), uv)


def _material_fields(material: Material) -> list[Any]:
    look = [material.base_color.tolist(), material.roughness, material.metallic, material.alpha_cutoff]
    return look + list(material.glass or ())


def _quantize(block: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint16]]:
    """Return lowest and highest value of each column, and the values quantized between them, as row differences."""
    low, high = block.min(axis=0).astype(np.float64), block.max(axis=0).astype(np.float64)
    steps = np.rint((block - low) * (STEPS / np.maximum(high - low, 1e-300))).astype(np.uint16)
    return low, high, np.diff(steps, axis=0, prepend=np.uint16(0))


def _dequantize(steps: NDArray[np.uint16], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = low + np.cumsum(steps, axis=0, dtype=np.uint16) * ((high - low) / STEPS)
    return values


def _shuffle_bytes(block: NDArray[Any]) -> bytes:
    """Return the bytes of an array grouped by significance, which compresses well."""
    flat = np.diff(block.ravel(), prepend=0).astype(block.dtype) if block.dtype == np.int32 else block.T.ravel()
    return np.ascontiguousarray(flat).view(np.uint8).reshape(-1, block.itemsize).T.tobytes()


def _unshuffle_bytes(data: bytes, at: int, shape: tuple[int, int], kind: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Read an array of `_shuffle_bytes` at an offset in `data`; return it and the offset behind it."""
    size = shape[0] * shape[1] * kind.itemsize
    planes = np.frombuffer(data, np.uint8, size, at).reshape(kind.itemsize, -1)
    flat = np.ascontiguousarray(planes.T).view(kind).ravel()
    if kind == np.int32:
        return np.cumsum(flat, dtype=np.int32).reshape(shape), at + size
    return np.ascontiguousarray(flat.reshape(shape[::-1]).T), at + size


def _encode_texture(texture: NDArray[np.uint8] | None) -> bytes:
    from PIL import Image

    if texture is None:
        return b""
    opaque = int(texture[..., 3].min()) == 255
    buffer = io.BytesIO()
    image = Image.fromarray(texture)
    (image.convert("RGB") if opaque else image).save(buffer, "WEBP", **WEBP)
    return buffer.getvalue()


def _decode_texture(data: bytes) -> NDArray[np.uint8]:
    with open_image(data, "a stored package", "a texture") as image:
        return np.asarray(image.convert("RGBA"))
