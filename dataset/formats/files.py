"""What formats of files beside images share: a store of their splits, and the categories with keys of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.image_input import broken_image, open_image
from assets.files.json_input import read_json
from assets.limits import DATASET_INSTANCES, DATASET_JSON, SET_CLASSES
from dataset.images import ORIENTATION, QUARTER_TURNS
from dataset.masks import compressed_mask, decode_mask
from dataset.records import (
    AnnotationRecord,
    CategoryRecord,
    Head,
    ImageLabels,
    ImageRecord,
    parse_all,
    record_json,
)
from dataset.shards.index import annotation_id
from dataset.store import DataPart, StoredImage
from dataset.values import short

# Beside labels of formats that hold names of classes alone.
CATEGORIES = "categories.json"

# Fields of annotations that few formats can carry, in words.
LOST = {
    "segmentation": "masks",
    "visibility": "visibility",
    "truncation": "truncation",
    "amodal_bbox": "amodal boxes",
    "amodal_segmentation": "amodal masks",
    "camera_from_object": "poses",
    "keypoints": "keypoints",
}


@dataclass(frozen=True)
class FileStore:
    """A data set of single files. where: location for messages."""

    where: str
    parts: tuple[DataPart, ...]
    categories: tuple[CategoryRecord, ...]

    def head(self, split: str) -> Head:
        return Head(self.categories)


@dataclass(frozen=True)
class FilePart:
    """A split. folder: of its images. files: the images, relative to it. read: returns the annotations of an image."""

    split: str
    folder: Path
    files: Sequence[Path]
    read: Callable[[ImageRecord], list[AnnotationRecord]]

    @property
    def count(self) -> int:
        return len(self.files)

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        for place, file in enumerate(self.files):
            if only is None or place in only:
                path = self.folder / file
                width, height = upright_size(path)
                image = ImageRecord(id=place + 1, file_name=file.as_posix(), width=width, height=height)
                yield StoredImage(ImageLabels(image, self.read(image)), path, str(path))


def upright_size(source: Path | bytes, where: str = "") -> tuple[int, int]:
    """Return width and height of an image as viewers show it, which is how other tools count labels.

    source: the file, or the content of one at `where`. Raises SynthError if it cannot be read.
    """
    where = where or str(source)
    with open_image(source, where, "the image") as image:
        try:
            turned = image.getexif().get(ORIENTATION) in QUARTER_TURNS
        except Exception as error:  # a PNG is decoded for it, and decoders raise many types
            raise broken_image("the image", where, error) from error
        return (image.height, image.width) if turned else (image.width, image.height)


def numbered(image: ImageRecord, records: Sequence[AnnotationRecord], where: str) -> list[AnnotationRecord]:
    """Return annotations with ids, in the order in which they were read. Raises SynthError if there are too many."""
    DATASET_INSTANCES.check(len(records), where)
    return [
        replace(record, id=annotation_id(image.id or 0, number), image_id=image.id)
        for number, record in enumerate(records, start=1)
    ]


def write_categories(folder: Path, categories: Sequence[CategoryRecord]) -> None:
    """Write the categories, with SKUs and ids, where other tools find nothing to read."""
    lines = ",\n".join(record_json(one.content()) for one in categories)
    write_atomic(folder / CATEGORIES, f"[\n{lines}\n]\n".encode())


def read_categories(folder: Path, names: Callable[[], Collection[str]]) -> tuple[CategoryRecord, ...]:
    """Return the categories of a folder: those that were written beside the labels, else the names in these.

    names: asked only where there are none. Raises SynthError if they cannot be used.
    """
    file = folder / CATEGORIES
    if not file.exists():
        return tuple(CategoryRecord(id=number, name=name) for number, name in enumerate(sorted(names()), start=1))
    content = read_json(file, DATASET_JSON, "the categories")
    try:
        found = tuple(parse_all(CategoryRecord, content if isinstance(content, list) else [None]))
    except ValueError as error:
        raise _unusable(file, short(content)) from error
    SET_CLASSES.check(len(found), str(file))
    if any(one.id is None or one.name is None for one in found):
        raise _unusable(file, "a category without id or name")
    if len({one.id for one in found}) < len(found) or len({one.name for one in found}) < len(found):
        raise _unusable(file, "an id or a name that comes twice")
    return found


def _unusable(file: Path, found: str) -> SynthError:
    expected = "a list of categories, each with an id and a name of its own"
    hint = "delete the file: names of classes are then read from the labels"
    what = "the categories of a data set cannot be used"
    return SynthError(what, code="categories-invalid", where=str(file), found=found, expected=expected, hint=hint)


def names_of(categories: Sequence[CategoryRecord]) -> dict[int | None, str]:
    """Map ids of categories to their names, as labels give them."""
    return {one.id: one.name or one.key or str(one.id) for one in categories}


def name_in(names: dict[int | None, str], record: AnnotationRecord, image: ImageRecord) -> str:
    """Return the name of an annotation's category. Raises SynthError if it has none."""
    if record.category_id not in names:
        where, found = str(image.file_name), f"category_id {record.category_id}"
        raise SynthError("an annotation has no category", code="categories-invalid", where=where, found=found)
    return names[record.category_id]


def lost_fields(labels: ImageLabels, carried: Collection[str], of_image: Collection[str] = ()) -> Iterator[str]:
    """Say in words which fields of an image and its annotations a format cannot carry.

    carried: those of annotations that it can. of_image: those of images, beside name and size.
    """
    for record in labels.annotations:
        for name, words in LOST.items():
            if name not in carried and getattr(record, name) is not None:
                yield words
        if record.extra:
            yield "further fields of annotations"
    known = {"id", "file_name", "width", "height", *of_image}
    if any(name not in known for name in labels.image.content()):
        yield "further fields of images"


def clipped_box(image: ImageRecord, record: AnnotationRecord) -> tuple[float, float, float, float] | None:
    """Return a box as (left, top, right, bottom) in pixels, inside the image; None if nothing of it is."""
    if record.bbox is None or image.size is None:
        return None
    width, height = image.size
    left, top = max(record.bbox[0], 0.0), max(record.bbox[1], 0.0)
    right, bottom = min(record.bbox[0] + record.bbox[2], width), min(record.bbox[1] + record.bbox[3], height)
    return (left, top, right, bottom) if right > left and bottom > top else None


def mask_of(image: ImageRecord, record: AnnotationRecord) -> NDArray[np.uint8] | None:
    """Return the mask of an annotation as (H, W) uint8 0/1; None if there is none that can be read."""
    width, height = image.size or (0, 0)
    counts = compressed_mask(record.segmentation, height, width)
    return decode_mask(counts, height, width) if counts and isinstance(counts, bytes) else None


def xml_text(text: str) -> str:
    """Return a text that XML can hold. Raises SynthError for control codes, which it cannot."""
    if any((ord(char) < 32 and char not in "\t\n\r") or char in "\ufffe\uffff" for char in text):
        what, hint = "a text cannot be written as XML", "rename it, or choose another format"
        raise SynthError(what, code="content-invalid", found=ascii(text), expected="no control codes", hint=hint)
    return text
