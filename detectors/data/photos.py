"""Photographs without labels as a source of images, for adaptation to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.limits import DATASET_PICTURES
from dataset.find import open_source
from dataset.pictures import PICTURES, find_files, picture_sizes
from dataset.problems import Problems
from dataset.records import ImageRecord
from dataset.values import is_text, short
from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.data.read_coco import columns_of
from detectors.data.rows import LabelledImage, Row


def read_photos(path: Path, name: str, problems: Problems, classes: Classes) -> ImageSet:
    """The pictures of a folder and of those below it, or those that a COCO file names, without labels.

    classes: of the detector that is to see them. Labels of a COCO file are not looked at. Pictures that cannot be used
    are told to `problems`. Raises SynthError where no picture can be used.
    """
    folder, named = _named(path, name)
    names = [file for file in named if is_text(file)]
    for file in set(named) - set(names):
        problems.spoil("pictures whose names are no text", short(file))
    DATASET_PICTURES.check(len(names), str(path))
    sizes = picture_sizes(folder, [ImageRecord(file_name=file) for file in names], problems)
    problems.notes.clear()  # that sizes are read from the files goes without saying
    if not sizes:
        hint = f"give a folder with pictures ({', '.join(PICTURES)})"
        raise SynthError("no photos", code="images-missing", where=str(path), problems=problems.lines(), hint=hint)
    images = {
        number: LabelledImage(ImageRecord(file_name=file), *size)
        for number, (file, size) in enumerate(sizes.items(), start=1)
    }
    groups = np.arange(len(images), dtype=np.int32)
    return columns_of(name, folder, classes, images, [Row() for _ in images], groups)


def _named(path: Path, name: str) -> tuple[Path, list[str]]:
    """A folder and the files in it that are meant; of a data set those of images/, and no depth beside them."""
    if not path.is_file():
        folder = path / "images" if (path / "annotations").is_dir() and (path / "images").is_dir() else path
        return folder, [file.as_posix() for file in find_files(folder)]
    source = open_source(path, name=name, splits=())
    names = (image.value("file_name") for image in source.content.images)
    return source.images, list(dict.fromkeys(file for file in names if isinstance(file, str)))
