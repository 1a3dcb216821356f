"""The image files of a data set: there, readable, of the stated size."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import open_image, reason_of
from assets.limits import IMAGE_BYTES, read_file
from dataset.problems import Problems
from dataset.records import ImageRecord
from dataset.values import short

# Orientation tags of EXIF: 1 is as stored, these turn the image by a quarter.
QUARTER_TURNS = (5, 6, 7, 8)
TURNED = range(2, 9)
ORIENTATION = 0x0112
MISSING = "missing"
# Suffixes of image files.
IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff")


def is_image(file: Path) -> bool:
    """Whether a file is an image by its name. Leftovers of other systems, such as ._IMG_1.jpg, are none."""
    return file.suffix.lower().removeprefix(".") in IMAGES and not file.name.startswith(".")


def natural_order(text: str) -> list[tuple[int, str]]:
    """A sort key by which numbers in names count as numbers: IMG_2 before IMG_10."""
    return [(int(part), "") if part.isdigit() else (-1, part.casefold()) for part in re.split(r"([0-9]+)", text)]


def find_files(folder: Path, wanted: Callable[[Path], bool] = is_image) -> list[Path]:
    """The wanted files of a folder and of those below it, relative to it, in natural order; hidden ones left out."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if wanted(file) and file.is_file())
    visible = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    return sorted(visible, key=lambda file: [natural_order(part) for part in file.parts])


@dataclass(frozen=True)
class _Looked:
    """What a file holds: its stored size, or what is wrong with it."""

    width: int = 0
    height: int = 0
    turned: bool = False
    quarter_turned: bool = False
    wrong: str = ""


def image_sizes(folder: Path, images: Sequence[ImageRecord], problems: Problems) -> dict[str, tuple[int, int]]:
    """file_name -> width, height of the images that can be used, as their records count pixels.

    images: all with a file_name.
    """
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        names = [str(image.file_name) for image in images]
        looks = pool.map(lambda name: _look(folder / name), names)
        sizes = {}
        for name, image, look in zip(names, images, looks, strict=True):
            size = _size_of(name, (image.value("width"), image.value("height")), look, problems)
            if size is not None:
                sizes[name] = size
    return sizes


def _look(path: Path) -> _Looked:
    try:
        if not path.is_file():
            return _Looked(wrong=MISSING)
        with open_image(path, str(path), "the image") as image:
            turn = image.getexif().get(ORIENTATION)
            look = _Looked(image.width, image.height, turn in TURNED, turn in QUARTER_TURNS)
            # A JPEG decoded at an eighth costs a millisecond and still tells where the file was cut short.
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except SynthError as error:
        return _Looked(wrong=reason_of(error))
    except Exception as error:
        # Decoders answer to broken files with whatever they stumble over: struct, zlib and index errors too.
        return _Looked(wrong=str(error) or type(error).__name__)
    return look


def _size_of(name: str, stated: tuple[object, object], look: _Looked, problems: Problems) -> tuple[int, int] | None:
    if look.wrong == MISSING:
        problems.spoil("images that are missing", name)
        return None
    if look.wrong:
        problems.spoil("images that cannot be read", f"{name}: {look.wrong}")
        return None
    stored, turned = (look.width, look.height), (look.height, look.width)
    if stated == (None, None):
        problems.note("images without width and height, read from the file")
        return turned if look.quarter_turned else stored
    if stated == turned and look.quarter_turned and stored != turned:
        return turned
    if stated == stored:
        if look.turned and (not look.quarter_turned or stored == turned):
            problems.note("images turned by EXIF where sizes do not show it, read as stored", name)
        return stored
    shown = " x ".join(short(side) for side in stated)
    problems.spoil("images of another size than stated", f"{name}: {stored[0]} x {stored[1]}, stated {shown}")
    return None


def read_image(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of the file, turned by its EXIF tag where the labels count that way.

    Raises SynthError if the file has gone or has changed since the data set was checked.
    """
    data = read_file(path, IMAGE_BYTES, "an image")
    return decode_image(data, width, height, str(path))


def decode_image(data: bytes, width: int, height: int, where: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a file's content; as `read_image`. where: for people."""
    import cv2

    open_image(data, where, "an image").close()  # OpenCV reserves memory for whatever a header claims
    stored = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), stored)
    if image is not None and image.shape[:2] == (height, width):
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return _turned_image(data, where, width, height)


def _turned_image(data: bytes, where: str, width: int, height: int) -> NDArray[np.uint8]:
    """The image turned by its EXIF tag, of any format that the check of the data set can read."""
    from PIL import ImageOps

    expected = f"{width}x{height}, as when the data set was checked"
    try:
        with open_image(data, where, "an image") as file:
            image = file if file.size == (width, height) else ImageOps.exif_transpose(file)
            if image.size == (width, height):
                return np.array(image.convert("RGB"))
    except Exception as error:
        raise SynthError(
            "an image cannot be read", code="image-unreadable", where=where, found=str(error), expected=expected
        ) from error
    found = f"{image.width}x{image.height}"
    raise SynthError("an image cannot be read", code="image-unreadable", where=where, found=found, expected=expected)
