"""The photographs that pictures are refined to look like: checked once, then read one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.files.identity import digest_files
from assets.files.image_input import open_image, reason_of
from assets.progress import StepProgress
from dataset.problems import Problems
from dataset.values import short
from pipeline.target.photos import choose_photos, read_photo

Pixels = NDArray[np.uint8]
# Photographs kept in the memory of a process: of a few hundred, most are read again each time.
KEPT = 16
# Photographs are decoded at this many times the area of a picture, so that a part of another shape is not enlarged.
SPARE_AREA = 2.0


@dataclass(frozen=True)
class TargetPhotos:
    """Photographs in a folder. files: relative names of those that can be read. digest: SHA-256 of their contents."""

    folder: Path
    files: Sequence[str]
    digest: str

    def read(self, number: int, area: int) -> Pixels:
        """Read a photograph (H, W, 3) uint8 sRGB, upright, without padding, for pictures of so many pixels."""
        return _read(self.folder / self.files[number], self.files[number], area)


@lru_cache(maxsize=KEPT)
def _read(file: Path, name: str, area: int) -> Pixels:
    pixels = read_photo(file, name, SPARE_AREA * area).pixels
    pixels.setflags(write=False)
    return pixels


def open_photos(path: Path, most: int, seed: int, console: Console) -> tuple[TargetPhotos, list[str]]:
    """Choose at most `most` photographs and check that they can be read; also return what is wrong with others.

    path: a folder, searched with its sub-folders, or a COCO file. Raises SynthError if none can be used.
    """
    folder, files = choose_photos(path, most, seed)
    problems, usable, contents = Problems(str(path)), [], hashlib.sha256()
    digests = digest_files([folder / file for file in files])
    with StepProgress(console, "checking", total=len(files), unit="photographs") as progress:
        for file, digest in zip(files, digests, strict=True):
            try:
                _check(folder / file, file)
            except SynthError as error:
                problems.spoil("photographs that cannot be read", f"{short(file)}: {reason_of(error)}")
            else:
                usable.append(file)
                contents.update(f"{short(file)}\0{digest}\0".encode(errors="replace"))
            progress.advance()
    if not usable:
        what = "no photograph can be used"
        raise SynthError(what, code="images-unusable", where=str(path), problems=problems.lines())
    return TargetPhotos(folder, tuple(usable), contents.hexdigest()), problems.lines()


def _check(file: Path, name: str) -> None:
    """Raise SynthError unless a photograph can be decoded, at a small size."""
    open_image(file, str(file), "the photograph").close()
    read_photo(file, name, 64 * 64)


def cover(photo: Pixels, width: int, height: int, rng: np.random.Generator, *, zoom: float = 1.0) -> Pixels:
    """Return a part of a photograph, placed by chance, at another size without changing its shape.

    zoom: 1 takes the largest part, 2 one of half its sides.
    """
    import cv2

    rows, columns = photo.shape[:2]
    scale = max(width / columns, height / rows) * zoom
    w, h = min(max(round(width / scale), 1), columns), min(max(round(height / scale), 1), rows)
    x, y = int(rng.integers(columns - w + 1)), int(rng.integers(rows - h + 1))
    part = photo[y : y + h, x : x + w]
    if (w, h) == (width, height):
        return part.copy()
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, height), interpolation=interpolation), dtype=np.uint8)
