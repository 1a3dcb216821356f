"""The other files that a mesh file names (materials, textures, buffers): found, checked, and told where missing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from assets.errors import SynthError
from assets.files.image_input import TEXTURE_FORMATS, open_picture
from assets.files.json_input import read_json
from assets.limits import MESH_BYTES, MESH_PIXELS, MESH_UNPACKED, Budget, check_file, read_file

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tga", ".bmp", ".tif", ".tiff", ".gif")


class Companions:
    """Reads the files that the mesh at `path` names, none from outside `root`, and remembers what went wrong.

    trimesh takes it as its resolver. trimesh passes over missing and broken files in silence: they are kept here.
    missing: names as the file has them. broken: what cannot be used though it is there. pixels: what all textures
    of the mesh together may have.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self._path = path
        self._root = path.parent if root is None else root
        self._bytes = Budget(MESH_UNPACKED, str(path))
        self.pixels = Budget(MESH_PIXELS, str(path))
        self.missing: list[str] = []
        self.broken: list[SynthError] = []

    def get(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError or SynthError, and remembers it."""
        found = find_companion(self._path, name, self._root)
        if found is None:
            self.missing.append(_plain(name))
            raise FileNotFoundError(name)
        try:
            data = read_file(found, MESH_BYTES, "a file that the mesh names")
            self._bytes.take(len(data))
        except SynthError as error:
            self.broken.append(error)
            raise
        if found.suffix.lower() in PICTURES:
            try:
                check_picture(data, str(found))
            except SynthError as error:
                self.broken.append(error)
                raise
        return data

    __getitem__ = get

    def notes(self) -> list[str]:
        """One line for each file that is not there."""
        kind = {name: "texture" if Path(name).suffix.lower() in PICTURES else "file" for name in self.missing}
        return [f"missing {kind[name]} {name!r}, named by {self._path.name}: drawn without it" for name in kind]


def check_picture(data: bytes, where: str) -> None:
    """Raises SynthError where encoded bytes are no picture, or one so large that it must be meant to do harm."""
    open_picture(data, where, "a texture", formats=TEXTURE_FORMATS).close()


def find_companion(path: Path, name: str, root: Path) -> Path | None:
    """The file that `name` in the mesh file at `path` means, or None.

    Names come with the separators, drives and capitals of other systems: beside the name as it is, the bare file name
    is looked for in the mesh's own folder, and capitals are overlooked.
    """
    plain = _plain(name)
    inside = _flat(root)
    for candidate in dict.fromkeys((plain, plain.rpartition("/")[2])):
        if not candidate or "\0" in candidate:
            continue
        wanted = path.parent / candidate
        for found in (wanted, _spelt_otherwise(wanted)):
            if found is not None and found.is_file() and _flat(found).is_relative_to(inside):
                return found
    return None


def _flat(path: Path) -> Path:
    """Absolute and without ".."; links are not followed: whoever laid one into the folder meant what it points to."""
    return Path(os.path.normpath(path.absolute()))


def _plain(name: str) -> str:
    text = re.sub(r"^file:/*(?=[A-Za-z]:|/)", "", name.strip().strip('"'))
    text = text if Path(text).is_absolute() or "%" not in text else unquote(text)
    # Options of an OBJ's map_Kd stand before the name: -s 1 1 1, -clamp on.
    text = re.sub(r"^(?:-[a-zA-Z]+(?:\s+(?:-?[\d.]+|on|off))+\s+)+", "", text)
    return text.replace("\\", "/")


def _spelt_otherwise(path: Path) -> Path | None:
    try:
        return next((file for file in sorted(path.parent.iterdir()) if file.name.lower() == path.name.lower()), None)
    except OSError:
        return None


def companion_files(path: Path, root: Path | None = None) -> list[Path]:
    """The other files that a mesh file names, in a stable order; one that is missing stands under its own name."""
    names = {".obj": _of_obj, ".gltf": _of_gltf, ".dae": _of_dae, ".ply": _of_ply}.get(path.suffix.lower())
    inside = path.parent if root is None else root
    files = [] if names is None else [(name, find_companion(path, name, inside)) for name in names(path)]
    found = [path.parent / _plain(name) if file is None else file for name, file in files]
    for material in [file for file in found if file.suffix.lower() == ".mtl"]:
        pictures = _named(material, rb"(?mi)^\s*map_Kd[ \t]+(.+?)\s*$")
        found += [find_companion(path, name, inside) or path.parent / _plain(name) for name in pictures]
    return list(dict.fromkeys(found))


def _of_obj(path: Path) -> list[str]:
    return _named(path, rb"(?m)^\s*mtllib[ \t]+(.+?)\s*$")[:1]


def _of_dae(path: Path) -> list[str]:
    return _named(path, rb"<init_from>\s*([^<#][^<]*?)\s*</init_from>")


def _of_ply(path: Path) -> list[str]:
    return _named(path, rb"(?m)^comment TextureFile[ \t]+(.+?)\s*$", most=1 << 16)


def _of_gltf(path: Path) -> list[str]:
    try:
        data = read_json(path, MESH_BYTES, "the mesh file")
        entries = [*data.get("buffers", []), *data.get("images", [])]
        return [entry["uri"] for entry in entries if not entry.get("uri", "data:").startswith("data:")]
    except (SynthError, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return []  # told where the mesh is read


def _named(path: Path, pattern: bytes, most: int = -1) -> list[str]:
    try:
        check_file(path, MESH_BYTES, "the mesh file")
        with path.open("rb") as file:
            found = re.findall(pattern, file.read(most))
    except (OSError, SynthError):
        return []  # told where the mesh is read
    return list(dict.fromkeys(name.decode("utf-8", errors="replace") for name in found))
