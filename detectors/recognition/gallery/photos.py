"""Photographs in a gallery: crops that people have named, kept so that any embedder can look at them again.

photos/DIGEST.jpg    a crop with its margin; DIGEST is the SHA-256 of the file
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.image_input import open_picture
from assets.limits import PICTURE_BYTES, read_file
from detectors.recognition.gallery.parts import damaged

PHOTOS = "photos"
LONGEST_SIDE, QUALITY = 512, 95


def keep_photo(folder: Path, crop: NDArray[np.uint8]) -> str:
    """Stores an (H, W, 3) uint8 RGB crop; returns its digest. One that is there already is left alone."""
    image, buffer = Image.fromarray(crop), io.BytesIO()
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image.save(buffer, "JPEG", quality=QUALITY)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path = photo_path(folder, digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    return digest


def photo_path(folder: Path, digest: str) -> Path:
    """Where a photograph lies."""
    return folder / PHOTOS / f"{digest}.jpg"


def read_photo(folder: Path, digest: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises SynthError where it is missing or not what was stored."""
    path = photo_path(folder, digest)
    problem = check_photo(folder, digest)
    if problem:
        raise damaged(path, problem)
    with open_picture(path, str(path), "a photograph of the gallery") as image:
        return np.array(image.convert("RGB"))


def check_photo(folder: Path, digest: str) -> str:
    """What is wrong with the file of a photograph, empty where nothing is."""
    path = photo_path(folder, digest)
    try:
        content = read_file(path, PICTURE_BYTES, "the photograph")
    except SynthError as error:
        return f"{path.name}: {error.what}"
    return "" if hashlib.sha256(content).hexdigest() == digest else f"{path.name}: the content is not what was written"
