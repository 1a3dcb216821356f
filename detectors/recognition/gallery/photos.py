"""Photos in a gallery: crops that people have named, stored so that they can be embedded again.

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
from assets.files.image_input import open_image
from assets.limits import IMAGE_BYTES, read_file
from detectors.recognition.gallery.parts import damaged

PHOTOS = "photos"
LONGEST_SIDE, QUALITY = 512, 95


def keep_photo(folder: Path, crop: NDArray[np.uint8]) -> str:
    """Store an (H, W, 3) uint8 RGB crop, unless it exists already; returns its digest."""
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
    """Return the file of a photo."""
    return folder / PHOTOS / f"{digest}.jpg"


def read_photo(folder: Path, digest: str) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 RGB. Raises SynthError if it is missing or was changed."""
    path = photo_path(folder, digest)
    problem = check_photo(folder, digest)
    if problem:
        raise damaged(path, problem)
    with open_image(path, str(path), "a photo of the gallery") as image:
        return np.array(image.convert("RGB"))


def check_photo(folder: Path, digest: str) -> str:
    """Return the problem of a photo's file, "" if it is intact."""
    path = photo_path(folder, digest)
    try:
        content = read_file(path, IMAGE_BYTES, "the photo")
    except SynthError as error:
        return f"{path.name}: {error.what}"
    same = hashlib.sha256(content).hexdigest() == digest
    return "" if same else f"{path.name}: the content has changed since it was written"
