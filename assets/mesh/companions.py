"""Files that a mesh file refers to (materials, textures, buffers): search, checks and notes on missing ones."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from assets.errors import SynthError
from assets.files.image_input import TEXTURE_FORMATS, open_image
from assets.files.json_input import read_json
from assets.limits import MESH_BYTES, MESH_PIXELS, MESH_UNPACKED, Budget, check_file, read_file

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tga", ".bmp", ".tif", ".tiff", ".gif")


class Companions:
    """Reader of the files that the mesh at `path` refers to, restricted to `root`; also trimesh's resolver.

    Records missing and broken files, which trimesh silently ignores. missing: names as in the mesh file. broken: errors
    of files that exist but are unusable. pixels: budget of all textures of the mesh together.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self._path = path
        self._root = path.parent if root is None else root
        self._bytes = Budget(MESH_UNPACKED, str(path))
        self.pixels = Budget(MESH_PIXELS, str(path))
        self.missing: list[str] = []
        self.broken: list[SynthError] = []

    def get(self, name: str) -> bytes:
        """Read a file. Raises FileNotFoundError or SynthError, and records it."""
        found = find_companion(self._path, name, self._root)
        if found is None:
            self.missing.append(_normalize_name(name))
            raise FileNotFoundError(name)
        try:
            data = read_file(found, MESH_BYTES, "a file that the mesh refers to")
            self._bytes.take(len(data))
        except SynthError as error:
            self.broken.append(error)
            raise
        if found.suffix.lower() in IMAGES:
            try:
                check_image(data, str(found))
            except SynthError as error:
                self.broken.append(error)
                raise
        return data

    __getitem__ = get

    def notes(self) -> list[str]:
        """Return one line for each missing file."""
        kind = {name: "texture" if Path(name).suffix.lower() in IMAGES else "file" for name in self.missing}
        return [f"missing {kind[name]} {name!r}, referenced by {self._path.name}: rendered without it" for name in kind]


def check_image(data: bytes, where: str) -> None:
    """Raise SynthError if encoded bytes are not an image, or one with too many pixels."""
    open_image(data, where, "a texture", formats=TEXTURE_FORMATS).close()


def find_companion(path: Path, name: str, root: Path) -> Path | None:
    """Find the file that `name` in the mesh file at `path` refers to, or None.

    Names have the separators, drives and case of other systems: if the name as it is does not exist, the bare file name
    is searched in the mesh's own folder, ignoring case.
    """
    plain = _normalize_name(name)
    allowed = _normalize_path(root)
    for candidate in dict.fromkeys((plain, plain.rpartition("/")[2])):
        if not candidate or "\0" in candidate:
            continue
        wanted = path.parent / candidate
        for found in (wanted, _find_ignoring_case(wanted)):
            if found is not None and found.is_file() and _normalize_path(found).is_relative_to(allowed):
                return found
    return None


def _normalize_path(path: Path) -> Path:
    """Return the absolute path without ".."; links are kept: one in the folder was put there deliberately."""
    return Path(os.path.normpath(path.absolute()))


def _normalize_name(name: str) -> str:
    text = re.sub(r"^file:/*(?=[A-Za-z]:|/)", "", name.strip().strip('"'))
    text = text if Path(text).is_absolute() or "%" not in text else unquote(text)
    # An OBJ's map_Kd has options before the name: -s 1 1 1, -clamp on.
    text = re.sub(r"^(?:-[a-zA-Z]+(?:\s+(?:-?[\d.]+|on|off))+\s+)+", "", text)
    return text.replace("\\", "/")


def _find_ignoring_case(path: Path) -> Path | None:
    try:
        return next((file for file in sorted(path.parent.iterdir()) if file.name.lower() == path.name.lower()), None)
    except OSError:
        return None


def companion_files(path: Path, root: Path | None = None) -> list[Path]:
    """Return the files that a mesh file refers to, in a stable order; missing ones with the path they should have."""
    names = {".obj": _names_in_obj, ".gltf": _names_in_gltf, ".dae": _names_in_dae, ".ply": _names_in_ply}.get(
        path.suffix.lower()
    )
    folder = path.parent if root is None else root
    files = [] if names is None else [(name, find_companion(path, name, folder)) for name in names(path)]
    found = [path.parent / _normalize_name(name) if file is None else file for name, file in files]
    for material in [file for file in found if file.suffix.lower() == ".mtl"]:
        images = find_names(material, rb"(?mi)^\s*map_Kd[ \t]+(.+?)\s*$")
        found += [find_companion(path, name, folder) or path.parent / _normalize_name(name) for name in images]
    return list(dict.fromkeys(found))


def _names_in_obj(path: Path) -> list[str]:
    return find_names(path, rb"(?m)^\s*mtllib[ \t]+(.+?)\s*$")[:1]


def _names_in_dae(path: Path) -> list[str]:
    return find_names(path, rb"<init_from>\s*([^<#][^<]*?)\s*</init_from>")


def _names_in_ply(path: Path) -> list[str]:
    return find_names(path, rb"(?m)^comment TextureFile[ \t]+(.+?)\s*$", max_bytes=1 << 16)


def _names_in_gltf(path: Path) -> list[str]:
    try:
        data = read_json(path, MESH_BYTES, "the mesh file")
        entries = [*data.get("buffers", []), *data.get("images", [])]
        return [entry["uri"] for entry in entries if not entry.get("uri", "data:").startswith("data:")]
    except (SynthError, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return []  # reported when the mesh is read


def find_names(path: Path, pattern: bytes, max_bytes: int = -1) -> list[str]:
    """Return what `pattern` finds in a file, each once and in order; nothing in a file that cannot be read."""
    try:
        check_file(path, MESH_BYTES, "the mesh file")
        with path.open("rb") as file:
            found = re.findall(pattern, file.read(max_bytes))
    except (OSError, SynthError):
        return []  # reported when the mesh is read
    return list(dict.fromkeys(name.decode("utf-8", errors="replace") for name in found))
