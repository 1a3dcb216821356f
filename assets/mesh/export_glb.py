"""Export of a Mesh as GLB (binary glTF 2.0)."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb
from assets.mesh.gltf import BINARY_CHUNK, GLB_MAGIC, JSON_CHUNK
from assets.mesh.gltf_parts import TRANSMISSION
from assets.mesh.types import Material, Mesh

EMISSION = "KHR_materials_emissive_strength"
# glTF has Y up; the inverse of the conversion on import.
Y_UP_FROM_Z = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
FLOAT, UINT32 = 5126, 5125
ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963


def glb_of(mesh: Mesh) -> bytes:
    """Encode a mesh as binary glTF, in metres; `load_mesh` restores the same geometry and materials."""
    file = _Writer()
    shared = {
        "POSITION": file.add(mesh.vertices @ Y_UP_FROM_Z.T, bounds=True),
        "NORMAL": file.add(mesh.normals @ Y_UP_FROM_Z.T),
    }
    if mesh.uv is not None:
        shared["TEXCOORD_0"] = file.add(mesh.uv * [1, -1] + [0, 1])
    if mesh.colors is not None:
        shared["COLOR_0"] = file.add(linear_from_srgb(mesh.colors[:, :3] / 255.0))
    primitives = [
        {
            "attributes": shared,
            "indices": file.add_faces(mesh.faces[part.face_start : part.face_stop]),
            "material": file.add_material(part.material),
        }
        for part in mesh.parts
    ]
    return file.finished(primitives)


class _Writer:
    """glTF tree under construction and the binary data it refers to."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._tree: dict[str, list[Any]] = {"bufferViews": [], "accessors": [], "materials": []}

    def add(self, values: NDArray, *, bounds: bool = False) -> int:
        """Add float vectors (N, 2 or 3); return the index of their accessor."""
        array: NDArray = np.ascontiguousarray(values, "<f4")
        about: dict[str, Any] = {"componentType": FLOAT, "type": f"VEC{array.shape[1]}"}
        if bounds:
            about |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        return self._add_accessor(array, len(array), ARRAY_BUFFER, about)

    def add_faces(self, faces: NDArray) -> int:
        indices: NDArray = np.ascontiguousarray(faces, "<u4")
        return self._add_accessor(indices, indices.size, ELEMENT_BUFFER, {"componentType": UINT32, "type": "SCALAR"})

    def add_material(self, material: Material) -> int:
        look: dict[str, Any] = {
            "baseColorFactor": np.clip(material.base_color, 0, 1).tolist(),
            "metallicFactor": material.metallic,
            "roughnessFactor": material.roughness,
        }
        if material.texture is not None:
            look["baseColorTexture"] = {"index": self._add_texture(material.texture)}
        entry: dict[str, Any] = {"pbrMetallicRoughness": look, "doubleSided": True}
        if material.alpha_cutoff is not None:
            entry |= {"alphaMode": "MASK", "alphaCutoff": material.alpha_cutoff}
        if material.transmission:
            entry["extensions"] = {TRANSMISSION: {"transmissionFactor": material.transmission}}
            self._use(TRANSMISSION)
        if material.emission:
            entry["emissiveFactor"] = look["baseColorFactor"][:3]
            entry["extensions"] = {EMISSION: {"emissiveStrength": material.emission}}
            self._use(EMISSION)
        self._tree["materials"].append(entry)
        return len(self._tree["materials"]) - 1

    def _use(self, extension: str) -> None:
        used = self._tree.setdefault("extensionsUsed", [])
        if extension not in used:
            used.append(extension)

    def finished(self, primitives: list[dict[str, Any]]) -> bytes:
        tree = {
            "asset": {"version": "2.0", "generator": "synth"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": primitives}],
            "buffers": [{"byteLength": len(self._data)}],
            **self._tree,
        }
        text = json.dumps(tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(self._data)
        head = struct.pack("<III", GLB_MAGIC, 2, length) + struct.pack("<II", len(text), JSON_CHUNK)
        return head + text + struct.pack("<II", len(self._data), BINARY_CHUNK) + bytes(self._data)

    def _add_texture(self, texture: NDArray[np.uint8]) -> int:
        from PIL import Image

        buffer = io.BytesIO()
        opaque = bool((texture[..., 3] == 255).all())
        Image.fromarray(np.ascontiguousarray(texture[..., :3]) if opaque else texture).save(buffer, "PNG")
        images = self._tree.setdefault("images", [])
        images.append({"mimeType": "image/png", "bufferView": self._add_view(buffer.getvalue(), None)})
        self._tree.setdefault("textures", []).append({"source": len(images) - 1})
        return len(images) - 1

    def _add_accessor(self, array: NDArray, count: int, target: int, about: dict[str, Any]) -> int:
        view = self._add_view(array.tobytes(), target)
        self._tree["accessors"].append({"bufferView": view, "count": count, **about})
        return len(self._tree["accessors"]) - 1

    def _add_view(self, data: bytes, target: int | None) -> int:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self._data += data + b"\0" * (-len(data) % 4)
        self._tree["bufferViews"].append(view)
        return len(self._tree["bufferViews"]) - 1
