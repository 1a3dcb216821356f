"""Reading of glTF 2.0 files: container, buffers, accessors, images.

Not done by trimesh 5.2, which keeps colour factors in 8 bits, does not scale normalised integers (texture coordinates
of quantized files would run to 65535), and ignores texture transforms and whatever it cannot read.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import TEXTURE_FORMATS, open_image
from assets.files.json_input import parse_json
from assets.limits import MESH_BYTES, MESH_NUMBERS, Budget, read_file
from assets.mesh.companions import Companions

GLB_MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
DTYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


@dataclass(frozen=True)
class Gltf:
    """JSON tree of a file, its buffers, and the budget of numbers that may still be read from them."""

    path: Path
    tree: dict[str, Any]
    buffers: tuple[bytes, ...]
    companions: Companions
    numbers: Budget


def read_gltf(path: Path, companions: Companions) -> Gltf:
    """Read a .glb or .gltf file. Raises SynthError or ValueError if it is damaged or of another version."""
    data = read_file(path, MESH_BYTES, "the mesh file")
    binary = b""
    if data[:4] == b"glTF":
        chunks = _split_chunks(data)
        binary = chunks.get(BINARY_CHUNK, b"")
        data = chunks[JSON_CHUNK]
    tree = parse_json(data, "the mesh file", str(path))
    version = str(tree.get("asset", {}).get("version", "2.0"))
    if not version.startswith("2"):
        raise SynthError(
            "unsupported glTF version", code="gltf-version-unsupported", where=str(path), found=version, expected="2.0"
        )
    buffers = []
    for entry in tree.get("buffers", []):
        buffers.append(_read_uri(entry["uri"], companions) if "uri" in entry else binary)
        if len(buffers[-1]) < entry["byteLength"]:
            raise ValueError(f"buffer {len(buffers) - 1} ends after {len(buffers[-1])} of {entry['byteLength']} bytes")
    return Gltf(path, tree, tuple(buffers), companions, Budget(MESH_NUMBERS, str(path)))


def _split_chunks(data: bytes) -> dict[int, bytes]:
    """Return the first chunk of each kind."""
    _, version, length = struct.unpack_from("<III", data)
    if version != 2:
        raise ValueError(f"GLB of version {version}, expected 2")
    if length > len(data):
        raise ValueError(f"cut off: {len(data)} of {length} bytes")
    chunks: dict[int, bytes] = {}
    start = 12
    while start + 8 <= length:
        size, kind = struct.unpack_from("<II", data, start)
        chunks.setdefault(kind, data[start + 8 : start + 8 + size])
        start += 8 + size
    return chunks


def _read_uri(uri: str, companions: Companions) -> bytes:
    if uri.startswith("data:"):
        return base64.b64decode(uri.partition(",")[2])
    return companions.get(uri)


def accessor_values(gltf: Gltf, index: int) -> NDArray:
    """Return an accessor as (N, width) array in its own dtype; normalised integers as float64 in -1..1 or 0..1."""
    accessor = gltf.tree["accessors"][index]
    dtype, width, count = DTYPES[accessor["componentType"]], WIDTHS[accessor["type"]], int(accessor["count"])
    if count < 0:
        raise ValueError(f"accessor {index} claims {count} entries")
    gltf.numbers.take(count * width)
    if "bufferView" in accessor:
        values = _read_strided(gltf, accessor["bufferView"], accessor.get("byteOffset", 0), dtype, width, count)
    else:
        values = np.zeros((count, width), dtype)
    if "sparse" in accessor:
        values = _apply_sparse(gltf, accessor["sparse"], values)
    if accessor.get("normalized") and values.dtype.kind in "iu":
        return np.maximum(values / float(np.iinfo(values.dtype).max), -1.0)
    return values


def _apply_sparse(gltf: Gltf, sparse: dict[str, Any], values: NDArray) -> NDArray:
    where, what, count = sparse["indices"], sparse["values"], int(sparse["count"])
    dtype = DTYPES[where["componentType"]]
    indices = _read_strided(gltf, where["bufferView"], where.get("byteOffset", 0), dtype, 1, count)[:, 0]
    changed = values.copy()
    kind = values.dtype.type
    changed[indices] = _read_strided(gltf, what["bufferView"], what.get("byteOffset", 0), kind, values.shape[1], count)
    return changed


def _read_strided(gltf: Gltf, view_index: int, offset: int, dtype: type, width: int, count: int) -> NDArray:
    view = gltf.tree["bufferViews"][view_index]
    item: np.dtype = np.dtype(dtype).newbyteorder("<")
    stride = view.get("byteStride") or item.itemsize * width
    start = view.get("byteOffset", 0) + offset
    buffer = gltf.buffers[view["buffer"]]
    if count == 0:
        return np.zeros((0, width), dtype)
    if min(start, stride) < 0 or start + stride * (count - 1) + item.itemsize * width > len(buffer):
        raise ValueError(f"buffer view {view_index} reaches past the end of its buffer")
    shape, strides = (count, width), (stride, item.itemsize)
    return np.ndarray(shape, item, buffer, start, strides).astype(dtype)


def image_of(gltf: Gltf, texture: dict[str, Any] | None, notes: list[str]) -> Any:
    """Open the Pillow image of a textureInfo; None if there is none or its file is missing (noted).

    Raises SynthError if it exists but cannot be read.
    """
    if texture is None:
        return None
    source = _source_of(gltf.tree["textures"][texture["index"]])
    if source is None:
        notes.append("a texture without an image")
        return None
    entry = gltf.tree["images"][source]
    where = f"{gltf.path}: image {source}"
    try:
        data = _image_bytes(gltf, entry)
    except FileNotFoundError:
        return None  # the companions note it
    if entry.get("mimeType") == "image/ktx2" or data[:7] == b"\xabKTX 20":
        hint = "export it with PNG or JPEG textures"
        raise SynthError(
            "a texture cannot be read",
            code="texture-unsupported",
            where=where,
            found="KTX2 (Basis Universal)",
            hint=hint,
        )
    return open_image(data, where, "a texture", formats=TEXTURE_FORMATS)


def _source_of(texture: dict[str, Any]) -> int | None:
    for extension in ("EXT_texture_webp", "KHR_texture_basisu"):
        if "source" not in texture and extension in texture.get("extensions", {}):
            return int(texture["extensions"][extension]["source"])
    return texture.get("source")


def _image_bytes(gltf: Gltf, entry: dict[str, Any]) -> bytes:
    if "uri" in entry:
        return _read_uri(entry["uri"], gltf.companions)
    view = gltf.tree["bufferViews"][entry["bufferView"]]
    start = view.get("byteOffset", 0)
    return gltf.buffers[view["buffer"]][start : start + view["byteLength"]]
