"""glTF files made by hand, for tests of what exporters rarely write."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class GltfFile:
    """A .gltf tree under construction, its one buffer embedded."""

    def __init__(self) -> None:
        self.data = b""
        self.tree: dict[str, Any] = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": [], "materials": []}

    def view(self, data: bytes, **more: Any) -> int:
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **more})
        self.data += data + b"\0" * (-len(data) % 4)
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, values: Any, dtype: str = "f4", **more: Any) -> int:
        array = np.asarray(values).astype(f"<{dtype}")
        array = array.reshape(len(array), -1)
        about = {"componentType": CODES[dtype], "type": KINDS[array.shape[1]], "count": len(array)}
        self.tree["accessors"].append({"bufferView": self.view(array.tobytes()), **about, **more})
        return len(self.tree["accessors"]) - 1

    def image(self, data: bytes, mime: str = "image/png") -> int:
        """The index of a texture that shows an encoded image."""
        images, textures = self.tree.setdefault("images", []), self.tree.setdefault("textures", [])
        images.append({"bufferView": self.view(data), "mimeType": mime})
        textures.append({"source": len(images) - 1})
        return len(textures) - 1

    def material(self, **look: Any) -> int:
        more = {name: look.pop(name) for name in ("alphaMode", "alphaCutoff", "extensions") if name in look}
        self.tree["materials"].append({"pbrMetallicRoughness": look, **more})
        return len(self.tree["materials"]) - 1

    def write(self, path: Path, primitives: list[dict[str, Any]], **node: Any) -> Path:
        self.tree["meshes"] = [{"primitives": primitives}]
        self.tree.setdefault("nodes", [{"mesh": 0, **node}])
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        self.tree["buffers"] = [{"byteLength": len(self.data), "uri": uri}]
        path.write_text(json.dumps(self.tree))
        return path


# A card of 0.2 m by 0.1 m standing in the file's XY plane, seen from +Z.
CARD = np.array([[0, 0, 0], [0.2, 0, 0], [0.2, 0.1, 0], [0, 0.1, 0]])
CARD_UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
CARD_FACES = np.array([0, 1, 2, 0, 2, 3])


def card(file: GltfFile, material: int | None = None, **attributes: int) -> dict[str, Any]:
    """The primitive of a card; `attributes` add to its positions or replace them."""
    positions = attributes.pop("POSITION", None)
    where = file.accessor(CARD) if positions is None else positions
    primitive: dict[str, Any] = {"attributes": {"POSITION": where, **attributes}}
    primitive["indices"] = file.accessor(CARD_FACES, "u2")
    return primitive if material is None else {**primitive, "material": material}
