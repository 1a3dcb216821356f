"""The labels of one image, looked for in a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from assets.errors import SynthError
from dataset.find import find_splits
from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.data.prepare import read_one
from detectors.data.sample import Sample
from detectors.data.settings import DataSettings
from detectors.evaluate.run import named_as


def find_sample(image: Path, data: Path, classes: Classes, console: Console, *, by_name: bool = False) -> Sample | None:
    """Return an image with its labels as a detector's classes, None if no split of the data set has it.

    by_name: whether the image may also be a copy that has the name of exactly one image of the set.
    """
    named: list[tuple[ImageSet, int]] = []
    for split in find_splits(data):
        images = read_one(split.file, split.name, DataSettings(skip_bad=True), splits=(), print_line=_drop)
        paths = [images.path(index) for index in range(len(images))]
        for index, path in enumerate(paths):
            if path.name == image.name:
                if path.resolve() == image.resolve():
                    return _sample(images, index, classes, console)
                named.append((images, index))
    return _sample(*named[0], classes, console) if by_name and len(named) == 1 else None


def _sample(images: ImageSet, index: int, classes: Classes, console: Console) -> Sample:
    known = named_as(classes, images.take(np.array([index], np.int64)), console).relabelled(classes)
    return known.read_sample(0, masks=False)


def require_sample(found: Sample | None, image: Path, data: Path) -> Sample:
    """Return the labels that were found. Raises SynthError if there are none."""
    if found is None:
        raise SynthError(
            "the data set has no labels of this image",
            code="labels-missing",
            where=str(data),
            found=str(image),
            expected="one of its images, or the name of exactly one",
        )
    return found


def _drop(line: str) -> None:
    """Say nothing of the other images."""
