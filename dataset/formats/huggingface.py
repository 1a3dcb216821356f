"""Hugging Face image folder: SPLIT/*.jpg with SPLIT/metadata.jsonl; a column for each field of annotations.

SPLIT/a/1.jpg          the images; `load_dataset("imagefolder", data_dir=...)` takes the folders as splits
SPLIT/metadata.jsonl   file_name, image_id, width, height and `objects`: lists of bbox (x, y, width, height), category,
                       id, area, iscrowd, and of what else records state; masks as text of COCO's run lengths
categories.json        classes with their SKUs and ids; the number in `category` is the place in it, from 0
Read as well: `objects` with `categories` or names of classes, as other tools write them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, IMAGE_PIXELS, JSON_RECORD, LABELS_FILE, check_file
from dataset.find import SPLIT
from dataset.formats.files import (
    CATEGORIES,
    FileStore,
    lost_fields,
    name_in,
    names_of,
    numbered,
    read_categories,
    upright_size,
    write_categories,
)
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels, ImageRecord, SplitLabels, record_json
from dataset.store import StoredImage, leaves_folder
from dataset.values import is_text, short, whole_number

METADATA = "metadata.jsonl"
# Names that other tools give to the list of classes.
CLASSES = ("category", "categories", "category_id", "label", "labels")
# Columns as they are in records; `None` where a record does not state it.
PLAIN = (
    "sku",
    "area",
    "iscrowd",
    "ignore",
    "instance",
    "visibility",
    "truncation",
    "amodal_bbox",
    "camera_from_object",
)
MASKS = ("segmentation", "amodal_segmentation")


def detect(path: Path) -> bool:
    """Whether there is a metadata.jsonl in the folder or in a folder of it."""
    return path.name == METADATA or (path / METADATA).is_file() or any(path.glob(f"*/{METADATA}"))


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """A split for each folder with metadata; one in the folder itself is `train`. images: folder instead of its own."""
    root = path.parent if path.name == METADATA else path
    alone = [("train", root / METADATA)] if (root / METADATA).is_file() else []
    files = alone or [(file.parent.name, file) for file in sorted(root.glob(f"*/{METADATA}"))]
    named = [(split, file) for split, file in files if SPLIT.fullmatch(split)]
    if not named:
        expected = f"SPLIT/{METADATA}"
        raise SynthError("there is no metadata of images", code="file-missing", where=str(path), expected=expected)
    categories = read_categories(root, lambda: _names(file for _, file in named))
    ours = (root / CATEGORIES).exists()
    parts = tuple(HuggingFacePart(split, file, images or file.parent, categories, ours) for split, file in named)
    return FileStore(str(path), parts, categories)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    check_file(file, LABELS_FILE, "the metadata")
    with file.open("rb") as lines:
        for number in range(1, DATASET_IMAGES.maximum + 2):
            where = f"{file}, line {number}"
            line = lines.readline(JSON_RECORD.maximum + 1)
            if not line:
                return
            DATASET_IMAGES.check(number, str(file))
            JSON_RECORD.check(len(line), where)
            if line.strip():
                row = parse_json(line, "the metadata", where)
                if not isinstance(row, dict):
                    raise _invalid(where, short(row))
                yield row


def _invalid(where: str, found: str) -> SynthError:
    expected = "file_name, and objects with lists of bbox and category of one length"
    what = "the metadata of an image cannot be used"
    return SynthError(what, code="records-invalid", where=where, found=found, expected=expected)


def _names(files: Iterable[Path]) -> set[str]:
    """Names of the classes in metadata, or their numbers as text."""
    found: set[str] = set()
    for file in files:
        for row in _rows(file):
            found |= {str(one) for one in _classes(row.get("objects")) if is_text(str(one))}
    return found


def _classes(objects: object) -> list[Any]:
    columns = objects if isinstance(objects, dict) else {}
    return next((columns[name] for name in CLASSES if isinstance(columns.get(name), list)), [])


@dataclass(frozen=True)
class HuggingFacePart:
    """A split. folder: of its images. ours: whether numbers of classes are places in the list of categories."""

    split: str
    file: Path
    folder: Path
    categories: tuple[CategoryRecord, ...]
    ours: bool

    @cached_property
    def count(self) -> int:
        return sum(1 for _ in _rows(self.file))

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        for place, row in enumerate(_rows(self.file)):
            if only is None or place in only:
                yield self._stored(row, place)

    def _stored(self, row: Mapping[str, Any], place: int) -> StoredImage:
        where, name = f"{self.file}, image {place + 1}", row.get("file_name")
        if not isinstance(name, str) or not is_text(name) or leaves_folder(name):
            raise _invalid(where, short(name))
        path = self.folder / name.replace("\\", "/")
        width, height = upright_size(path)
        IMAGE_PIXELS.check(width * height, where)
        image = ImageRecord(id=place + 1, file_name=name.replace("\\", "/"), width=width, height=height)
        columns = row.get("objects")
        return StoredImage(ImageLabels(image, self.records(columns, image, where)), path, str(path))

    def records(self, columns: object, image: ImageRecord, where: str) -> list[AnnotationRecord]:
        """Return the annotations in the columns of `objects`. Raises SynthError if they do not fit together."""
        boxes, classes = columns.get("bbox") if isinstance(columns, dict) else [], _classes(columns)
        if not isinstance(columns, dict) or not isinstance(boxes, list) or not boxes:
            return []
        DATASET_INSTANCES.check(len(boxes), where)
        ids = [self._category(one) for one in classes]
        if len(ids) != len(boxes) or None in ids:
            raise _invalid(where, f"{len(boxes)} boxes, classes {short(classes)}")
        records = [_record(columns, place, ids[place] or 0) for place in range(len(boxes))]
        if any(one.bbox is None or one.bbox[2] <= 0 or one.bbox[3] <= 0 for one in records):
            raise _invalid(where, f"boxes {short(boxes)}")
        return numbered(image, records, where)

    def _category(self, given: object) -> int | None:
        """The id of a class, by its place or its name."""
        number = whole_number(given)
        if number is not None and 0 <= number < len(self.categories) and self.ours:
            return self.categories[number].id
        return self._by_name.get(str(given))

    @cached_property
    def _by_name(self) -> dict[str | None, int]:
        return {one.name: one.id or 0 for one in self.categories}


def _record(columns: Mapping[str, Any], place: int, category: int) -> AnnotationRecord:
    content = {"category_id": category, "bbox": columns["bbox"][place]}
    for name in (*PLAIN, *MASKS):
        column = columns.get(name)
        value = column[place] if isinstance(column, list) and place < len(column) else None
        if name in MASKS and isinstance(value, str):
            value = parse_json(value.encode(), "a mask", name)
        if value is not None:
            content[name] = value
    return AnnotationRecord.parse(content)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Fields of images and unknown ones."""
    for record in labels.annotations:
        if record.bbox is None:
            yield "annotations without a box"
    yield from lost_fields(labels, (*PLAIN, *MASKS))


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return split


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """A line for each image, streamed, and the categories."""
    for one in sets:
        names = names_of(one.head.categories)
        (folder / one.split).mkdir(exist_ok=True)
        with (folder / one.split / METADATA).open("w", encoding="utf-8") as file:
            for labels in one.images:
                file.write(record_json(row_of(labels, names)) + "\n")
        write_categories(folder, one.head.categories)


def row_of(labels: ImageLabels, names: dict[int | None, str]) -> dict[str, Any]:
    """Return the metadata of an image. names: of the classes by id, in the order of their numbers."""
    image, places = labels.image, {number: place for place, number in enumerate(names)}
    records = [record for record in labels.annotations if record.bbox is not None]
    for record in records:
        name_in(names, record, image)
    columns: dict[str, list[Any]] = {
        "id": [one.id for one in records],
        "bbox": [list(map(float, one.bbox or ())) for one in records],
        "category": [places[one.category_id] for one in records],
        "category_name": [names[one.category_id] for one in records],
    }
    columns |= {name: [getattr(one, name) for one in records] for name in PLAIN}
    columns |= {name: [_text_of(getattr(one, name)) for one in records] for name in MASKS}
    # What no product of the image states would be a column of nothing.
    stated = {name: column for name, column in columns.items() if any(one is not None for one in column)}
    stated = {"bbox": [], "category": []} | stated
    width, height = image.size or (0, 0)
    return {"file_name": image.file_name, "image_id": image.id, "width": width, "height": height, "objects": stated}


def _text_of(mask: object) -> str | None:
    """A mask as JSON: its kinds have no common type."""
    return None if mask is None else record_json(mask)
