"""Unlabelled photos as a source of images, for adaptation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.limits import DATASET_IMAGES
from dataset.find import open_source
from dataset.images import IMAGES, find_files, image_sizes
from dataset.problems import Problems
from dataset.records import ImageRecord
from dataset.values import is_text, short
from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.data.read_coco import columns_of
from detectors.data.rows import LabelledImage, Row


def read_photos(path: Path, name: str, problems: Problems, classes: Classes) -> ImageSet:
    """Open the images of a folder and its sub-folders, or those listed in a COCO file, without labels.

    classes: of the detector to adapt. Labels of a COCO file are not read. Unusable images are added to `problems`.
    Raises SynthError if no image is usable.
    """
    folder, named = image_files(path, name)
    names = [file for file in named if is_text(file)]
    for file in set(named) - set(names):
        problems.spoil("images whose names are not text", short(file))
    DATASET_IMAGES.check(len(names), str(path))
    sizes = image_sizes(folder, [ImageRecord(file_name=file) for file in names], problems)
    problems.notes.clear()  # They say that sizes are read from the image files, which is expected here.
    if not sizes:
        hint = f"give a folder with images ({', '.join(IMAGES)})"
        raise SynthError("no photos", code="images-missing", where=str(path), problems=problems.lines(), hint=hint)
    images = {
        number: LabelledImage(ImageRecord(file_name=file), *size)
        for number, (file, size) in enumerate(sizes.items(), start=1)
    }
    groups = np.arange(len(images), dtype=np.int32)
    return columns_of(name, folder, classes, images, [Row() for _ in images], groups)


def image_files(path: Path, name: str) -> tuple[Path, list[str]]:
    """Return a folder and the images in it or listed in a COCO file, as named there; `name` is for messages.

    In the folder of a data set only those of images/, so no depth maps. Raises SynthError if the file is not COCO.
    """
    if not path.is_file():
        folder = path / "images" if (path / "annotations").is_dir() and (path / "images").is_dir() else path
        return folder, [file.as_posix() for file in find_files(folder)]
    source = open_source(path, name=name, splits=())
    names = (image.value("file_name") for image in source.content.images)
    return source.images, list(dict.fromkeys(file for file in names if isinstance(file, str)))
