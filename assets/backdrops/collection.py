"""Collections of HDRIs, background photographs, surfaces, meshes of fixtures and planograms, by key."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.backdrops.hdri_header import check_hdri
from assets.backdrops.rooms import ROOMS, render_room
from assets.color import LUMINANCE
from assets.errors import SynthError, unknown_name
from assets.files.image_input import broken_image, open_image
from assets.limits import FOLDER_FILES, HDRI_BYTES, check_file
from assets.mesh.companions import companion_files
from assets.mesh.sources import digest_files
from assets.props.look import Texture
from assets.props.textures import render_texture

# OpenCV reads EXR only if this is set before it is imported.
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

HDRI_SUFFIXES = (".hdr", ".exr")
MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".dae", ".3mf", ".off")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Enough for lighting, blurred reflections and out-of-focus backgrounds.
HDRI_WIDTH = 1024
# Longest side of a photograph or surface kept in memory.
IMAGE_SIDE = 2048
# Suffixes of other maps of a material than its colour; they are not images to show.
OTHER_MAPS = ("_n", "_m", "_d", "_r", "_ao")
OTHER_WORDS = ("normal", "rough", "metal", "mask", "displacement", "height", "occlusion", "specular", "gloss")


@dataclass(frozen=True, eq=False)
class Backdrops:
    """Backdrops in folders. hdris, photos, surfaces, fixtures: sorted keys; a key is the path inside its folder.

    files: key -> file; the procedural rooms ("builtin/...") have none. planograms: keys of planogram files, in
    the order given.
    """

    hdris: tuple[str, ...]
    photos: tuple[str, ...]
    surfaces: tuple[str, ...]
    files: Mapping[str, Path]
    fixtures: tuple[str, ...] = ()
    planograms: tuple[str, ...] = ()

    @staticmethod
    def open(
        *,
        hdri_dir: Path | Sequence[Path] | None = None,
        photo_dir: Path | Sequence[Path] | None = None,
        surface_dir: Path | Sequence[Path] | None = None,
        fixture_dir: Path | Sequence[Path] | None = None,
        planograms: Sequence[Path] = (),
    ) -> Backdrops:
        """Open the backdrops in one or more folders of each kind. Without hdri_dir: built-in rooms and bpy's HDRIs.

        With several folders of a kind its keys start with the folder's number: "2/hall.jpg". Raises SynthError for a
        folder that is missing, contains nothing of its kind, or is given twice.
        """
        hdris = _find_files(hdri_dir, HDRI_SUFFIXES, "HDRIs") if hdri_dir else _find_bpy_hdris()
        photos = _find_files(photo_dir, IMAGE_SUFFIXES, "photographs") if photo_dir else {}
        surfaces = _find_files(surface_dir, IMAGE_SUFFIXES, "surfaces") if surface_dir else {}
        surfaces = {key: file for key, file in surfaces.items() if not _is_other_map(file)}
        doubled = set(photos) & set(surfaces)
        surfaces = {f"surfaces/{key}" if key in doubled else key: file for key, file in surfaces.items()}
        rooms = () if hdri_dir else tuple(f"builtin/{name}" for name in sorted(ROOMS))
        fixtures = _find_files(fixture_dir, MESH_SUFFIXES, "fixtures") if fixture_dir else {}
        fixtures = {f"fixtures/{key}": file for key, file in fixtures.items()}
        plans = {f"planograms/{number}/{file.name}": file for number, file in enumerate(planograms, 1)}
        files = {**hdris, **photos, **surfaces, **fixtures, **plans}
        images = (tuple(sorted(photos)), tuple(sorted(surfaces)))
        return Backdrops((*rooms, *sorted(hdris)), *images, files, tuple(sorted(fixtures)), tuple(plans))

    def hdri(self, key: str) -> NDArray[np.float32]:
        """Load an HDRI: (H, W, 3) float32 linear RGB, equirectangular, at most 1024 wide, mean luminance 1."""
        if key not in self.hdris:
            raise unknown_name("HDRI", key, self.hdris)
        return _load_hdri(key, self.files.get(key))

    def photo(self, key: str) -> NDArray[np.uint8]:
        """Load a photograph: (H, W, 3) uint8 sRGB, longest side at most 2048; read-only."""
        return self._image_by_key("photograph", key, self.photos)

    def surface(self, key: str) -> NDArray[np.uint8]:
        """Load a surface: (H, W, 3) uint8 sRGB, longest side at most 2048; read-only."""
        return self._image_by_key("surface", key, self.surfaces)

    def fixture_file(self, key: str) -> Path:
        """Return the mesh file of a fixture. Raises SynthError for an unknown key."""
        if key not in self.fixtures:
            raise unknown_name("fixture", key, self.fixtures)
        return self.files[key]

    def texture_image(self, texture: Texture, size: int = 512) -> NDArray[np.uint8]:
        """Return the image of a texture, (H, W, 3) uint8 sRGB: from the folders, or a procedural (size, size) one."""
        if texture.kind == "image":
            return self._image_by_key("image", texture.key, (*self.photos, *self.surfaces))
        return render_texture(texture, size)

    def names(self) -> tuple[str, ...]:
        """Return the keys of all files and built-in rooms."""
        return (*(key for key in self.hdris if key not in self.files), *sorted(self.files))

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of every file by key (meshes: with the files they refer to); built-in rooms: "builtin"."""
        rooms = {key: "builtin" for key in self.hdris if key not in self.files}
        return {**rooms, **{key: self._hash(key) for key in sorted(self.files)}}

    def _hash(self, key: str) -> str:
        if key in self.fixtures:
            return digest_files([self.files[key], *companion_files(self.files[key], self.files[key].parent)])
        return _hash_of(self.files[key])

    def _image_by_key(self, kind: str, key: str, known: tuple[str, ...]) -> NDArray[np.uint8]:
        if key not in known:
            raise unknown_name(kind, key, known)
        return _load_image(self.files[key])


def _find_files(folders: Path | Sequence[Path], suffixes: tuple[str, ...], kind: str) -> dict[str, Path]:
    if isinstance(folders, Path) or len(folders) == 1:
        return _find_files_in(folders if isinstance(folders, Path) else folders[0], suffixes, kind)
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise SynthError(
            f"a folder of {kind} was given twice",
            code="input-duplicate",
            found=", ".join(str(folder) for folder in folders),
        )
    numbered = ((number, _find_files_in(folder, suffixes, kind)) for number, folder in enumerate(folders, 1))
    return {f"{number}/{key}": file for number, files in numbered for key, file in files.items()}


def _find_files_in(folder: Path, suffixes: tuple[str, ...], kind: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise SynthError(f"no such folder of {kind}", code="folder-missing", where=str(folder))
    files = list(islice(folder.rglob("*"), FOLDER_FILES.maximum + 1))
    FOLDER_FILES.check(len(files), str(folder))
    found = {
        file.relative_to(folder).as_posix(): file
        for file in sorted(files)
        if file.suffix.lower() in suffixes and file.is_file()
    }
    if not found:
        raise SynthError(
            f"the folder contains no {kind}",
            code="folder-empty",
            where=str(folder),
            expected=f"files ending in {', '.join(suffixes)}",
        )
    return found


def _find_bpy_hdris() -> dict[str, Path]:
    """Find the studio lights of Blender through the installed package, without importing it.

    Not through the module's name: Blender, once loaded, adds a second folder named bpy to the path.
    """
    try:
        package = Path(str(importlib.metadata.distribution("bpy").locate_file("bpy")))
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {f"bpy/{file.stem}": file for file in sorted(package.glob("*/datafiles/studiolights/world/*.exr"))}


def _is_other_map(file: Path) -> bool:
    stem = file.stem.lower()
    return stem.endswith(OTHER_MAPS) or any(word in stem for word in OTHER_WORDS)


@lru_cache(maxsize=32)
def _load_hdri(key: str, file: Path | None) -> NDArray[np.float32]:
    light = render_room(ROOMS[key.removeprefix("builtin/")]) if file is None else _read_hdri(file)
    polar = (np.arange(len(light)) + 0.5) / len(light) * np.pi
    weights = np.sin(polar) / np.sin(polar).sum()
    mean = float(((light @ LUMINANCE).mean(axis=1) * weights).sum())
    if mean <= 0:
        raise SynthError("the HDRI is black", code="hdri-black", where=str(file))
    light = (light / mean).astype(np.float32)
    light.flags.writeable = False
    return light


def _read_hdri(file: Path) -> NDArray[np.float32]:
    import cv2

    check_hdri(file)
    try:
        pixels = cv2.imread(str(file), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SynthError(
            "the HDRI cannot be read", code="hdri-unreadable", where=str(file), found=str(error)[:200]
        ) from error
    if pixels is None:
        raise SynthError(
            "the HDRI cannot be read",
            code="hdri-unreadable",
            where=str(file),
            expected="a Radiance .hdr or OpenEXR file",
        )
    height, width = pixels.shape[:2]
    if abs(width - 2 * height) > 2:
        expected = "an equirectangular panorama, twice as wide as high"
        raise SynthError(
            "not a panorama",
            code="hdri-not-panorama",
            where=str(file),
            found=f"{width} x {height} px",
            expected=expected,
        )
    light = np.nan_to_num(pixels[..., ::-1].astype(np.float32), nan=0.0, posinf=1e4, neginf=0.0).clip(min=0)
    if width > HDRI_WIDTH:
        light = cv2.resize(light, (HDRI_WIDTH, HDRI_WIDTH // 2), interpolation=cv2.INTER_AREA)
    return light


@lru_cache(maxsize=24)
def _load_image(file: Path) -> NDArray[np.uint8]:
    from PIL import ImageOps

    try:
        with open_image(file, str(file), "the image") as image:
            image.draft("RGB", (IMAGE_SIDE, IMAGE_SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGB")
            upright.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
            pixels = np.array(upright)
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # decoders raise many types
        raise broken_image("the image", str(file), error) from error
    pixels.flags.writeable = False
    return pixels


def _hash_of(file: Path) -> str:
    try:
        check_file(file, HDRI_BYTES, "the backdrop")
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SynthError(
            "the backdrop cannot be read", code="image-unreadable", where=str(file), found=str(error)
        ) from error
