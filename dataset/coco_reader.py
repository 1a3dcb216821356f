"""The reader of COCO files: record by record in flat memory, or whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import read_json, stream_json, stream_json_pairs
from assets.limits import COCO_BYTES, COCO_VALUES, SET_CLASSES
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageRecord, InfoRecord, R, parse_all

WHAT = "the COCO file"
HINT = "give the folder that 'synth render' wrote, a folder with annotations/instances_train.json, or the COCO file"
# Entries of info, and licences, that are kept: they are for people.
MAX_NOTES = 1000


@dataclass(frozen=True)
class CocoContent:
    """A COCO file in memory. info: None if it has no such block."""

    images: Sequence[ImageRecord]
    annotations: Sequence[AnnotationRecord]
    categories: Sequence[CategoryRecord]
    info: InfoRecord | None = None

    @property
    def rendered(self) -> bool:
        """Whether `synth render` wrote the set: its images name the backend that made them."""
        return all(image.rendered for image in self.images[:10])


def records_of(file: Path, key: str, kind: type[R]) -> Iterator[R]:
    """Iterate over the records of the list `key`. Raises SynthError if an entry is not an object."""
    return map(kind.parse, objects_of(file, key))


def objects_of(file: Path, key: str) -> Iterator[dict[str, Any]]:
    """Iterate over the JSON objects of the list `key`, for `dataset` alone; otherwise as `records_of`."""
    for place, content in enumerate(stream_json(file, f"{key}.item", COCO_BYTES, WHAT)):
        if not isinstance(content, dict):
            found = f"{key}[{place}] is not an object"
            raise SynthError(
                "not a COCO file with labels",
                code="coco-invalid",
                where=str(file),
                found=found,
                hint=HINT,
            )
        yield content


def images_of(file: Path) -> Iterator[ImageRecord]:
    """Iterate over the images of a COCO file."""
    return records_of(file, "images", ImageRecord)


def annotations_of(file: Path) -> Iterator[AnnotationRecord]:
    """Iterate over the annotations of a COCO file."""
    return records_of(file, "annotations", AnnotationRecord)


def categories_of(file: Path) -> list[CategoryRecord]:
    """Read the categories of a COCO file, which may be none. Raises SynthError if there are too many."""
    categories: list[CategoryRecord] = []
    for content in objects_of(file, "categories"):
        SET_CLASSES.check(len(categories) + 1, str(file))
        categories.append(CategoryRecord.parse(content))
    return categories


def head_of(file: Path) -> Head:
    """Read info, licences and categories of a COCO file. Raises SynthError if it has no categories, or too many."""
    info = InfoRecord.parse(dict(islice(stream_json_pairs(file, "info", COCO_BYTES, WHAT), MAX_NOTES)))
    licenses = tuple(islice(stream_json(file, "licenses.item", COCO_BYTES, WHAT), MAX_NOTES))
    categories = categories_of(file)
    if not categories:
        raise SynthError("the COCO file has no categories", code="dataset-empty", where=str(file), hint=HINT)
    return Head(categories, info, licenses)


def read_content(file: Path) -> CocoContent:
    """Read a whole COCO file. Raises SynthError if it is not one, or has no images or no categories."""
    # NaN is read, so that the annotations that hold it can be named.
    content = read_json(file, COCO_BYTES, WHAT, values=COCO_VALUES, constants=True)
    if not isinstance(content, dict):
        hint = "this looks like results of a detector: give the labels" if isinstance(content, list) else None
        raise SynthError(
            "not a COCO file with labels",
            code="coco-invalid",
            where=str(file),
            found=type(content).__name__,
            expected="an object with images, annotations and categories",
            hint=hint,
        )
    lists = [content.get(key) for key in ("images", "annotations", "categories")]
    problems = [
        f"{key}: found {'nothing' if value is None else type(value).__name__}, expected a list of objects"
        for key, value in zip(("images", "annotations", "categories"), lists, strict=True)
        if not is_records(value)
    ]
    if problems:
        raise SynthError("not a COCO file with labels", code="coco-invalid", where=str(file), problems=problems)
    if not lists[0] or not lists[2]:
        raise SynthError(
            f"the COCO file has no {'categories' if lists[0] else 'images'}",
            code="dataset-empty",
            where=str(file),
        )
    images = [_with_slashes(image) for image in parse_all(ImageRecord, lists[0])]
    annotations = parse_all(AnnotationRecord, lists[1] or ())
    info = content.get("info")
    told = InfoRecord.parse(info) if isinstance(info, dict) else None
    return CocoContent(images, annotations, parse_all(CategoryRecord, lists[2]), told)


def _with_slashes(image: ImageRecord) -> ImageRecord:
    """Return the record with forward slashes in its file name."""
    if image.file_name is None or "\\" not in image.file_name:
        return image
    return replace(image, file_name=image.file_name.replace("\\", "/"))


def is_records(value: object) -> bool:
    """Whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
