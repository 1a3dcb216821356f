"""The photos that a detector is adapted to: read without labels, and known by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rich.console import Console

from assets.files.identity import digest_files
from dataset.identity import CONTENT, DataIdentity
from dataset.problems import Problems
from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.data.photos import read_photos


def open_photos(path: Path, classes: Classes, console: Console) -> ImageSet:
    """Open the photos of a folder or COCO file without labels, and print those that cannot be used.

    classes: of the detector. Raises SynthError if no photo is usable.
    """
    problems = Problems(str(path))
    photos = read_photos(path, "unlabelled", problems, classes)
    for line in problems.lines():
        console.print(line, highlight=False, markup=False)
    return photos


def identify_photos(photos: ImageSet) -> DataIdentity:
    """Return what photos are known by: the digests of their files by name."""
    names = [name.decode() for name in (photos.file_names[index] for index in range(len(photos)))]
    digests = digest_files([photos.root / name for name in names])
    content = hashlib.sha256()
    for name, digest in zip(names, digests, strict=True):
        content.update(f"{name}\0{digest}\0".encode(errors="replace"))
    return DataIdentity(CONTENT + content.hexdigest(), "", dict(zip(names, digests, strict=True)))
