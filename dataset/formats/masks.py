"""Masks as PNG: an image of classes and one of products for each image, as programs for segmentation take them.

images/SPLIT/a/1.jpg      the images
classes/SPLIT/a/1.png     each pixel's class, 16 bits: 0 is background, 65535 is neither (ignored products)
instances/SPLIT/a/1.png   each pixel's product, 16 bits: 1, 2, ... in the order of labels, 0 is background
classes.csv               number, name, sku and category_id of each class; numbers follow the ids from 1
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from assets.catalog.csv_rows import bare_cell, csv_bytes
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.limits import DATASET_IMAGES, DATASET_JSON, SET_CLASSES, read_file
from dataset.find import SPLIT
from dataset.formats.files import FilePart, FileStore, name_in, names_of, numbered
from dataset.formats.label_maps import VOID, decode_numbers, lost_in_pixels, number_pixels, records_of
from dataset.images import find_files
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels, ImageRecord, SplitLabels
from dataset.values import is_text, short

CLASSES, INSTANCES, LIST = "classes", "instances", "classes.csv"
COLUMNS = ("number", "name", "sku", "category_id")
NEITHER, MOST = 65535, 65534
# Products without a mask have no pixels, and are lost.
NEEDS_MASKS = True


def detect(path: Path) -> bool:
    """Whether there is a classes.csv beside a folder `classes`."""
    return (path / LIST).is_file() and (path / CLASSES).is_dir()


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """A split for each folder in `classes`. images: the folder of images, if not `images`."""
    categories = _read_list(path / LIST)
    ids = {number: one.id or 0 for number, one in enumerate(categories, start=1)}
    root = images or path / "images"
    splits = sorted(folder.name for folder in (path / CLASSES).iterdir() if folder.is_dir()) if path.is_dir() else []
    parts = tuple(_part(path, root / split, split, ids) for split in splits if SPLIT.fullmatch(split))
    return FileStore(str(path), parts, categories)


def _part(root: Path, folder: Path, split: str, ids: Mapping[int, int]) -> FilePart:
    if not folder.is_dir():
        raise SynthError("the images of a split are missing", code="images-missing", where=str(folder))
    files = find_files(folder)
    DATASET_IMAGES.check(len(files), str(folder))
    return FilePart(split, folder, files, partial(_read, root, split, ids))


def _read(root: Path, split: str, ids: Mapping[int, int], image: ImageRecord) -> list[AnnotationRecord]:
    """The annotations of an image; without an image of products, a class is one."""
    classes, products = (
        (root / kind / split / str(image.file_name)).with_suffix(".png") for kind in (CLASSES, INSTANCES)
    )
    kinds = decode_numbers(classes, image, "the classes of pixels")
    numbers = decode_numbers(products, image, "the products of pixels") if products.is_file() else kinds
    numbers = np.where(kinds == NEITHER, 0, numbers)
    pairs = np.unique(np.stack([numbers, kinds])[:, numbers > 0], axis=1).T.tolist()
    unknown = sorted({kind for _, kind in pairs} - set(ids))
    if unknown or len({number for number, _ in pairs}) < len(pairs):
        found = f"class {unknown[0]}" if unknown else "a product of two classes"
        what, expected = "the masks of an image do not fit", f"classes of {LIST}, one for each product"
        raise SynthError(what, code="records-invalid", where=str(classes), found=found, expected=expected)
    records = records_of(numbers, {number: ids[kind] for number, kind in pairs}, image)
    return numbered(image, records, str(classes))


def _read_list(file: Path) -> tuple[CategoryRecord, ...]:
    text = read_file(file, DATASET_JSON, "the list of classes").decode(errors="replace")
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
        SET_CLASSES.check(len(rows), str(file))
        texts = [(bare_cell(row["name"]), bare_cell(row["sku"]) or None) for row in rows]
        found = [(int(row["number"]), *text, int(row["category_id"])) for row, text in zip(rows, texts, strict=True)]
    except (csv.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unusable(file, short(error)) from error
    if [number for number, *_ in found] != list(range(1, len(found) + 1)) or not found:
        raise _unusable(file, "other numbers than 1, 2, 3, ...")
    if len({number for *_, number in found}) < len(found) or not all(is_text(name) for _, name, *_ in found):
        raise _unusable(file, "a category_id that comes twice, or a class without a name")
    return tuple(CategoryRecord(id=number, name=name, sku=sku) for _, name, sku, number in found)


def _unusable(file: Path, found: str) -> SynthError:
    what, expected = "the list of classes cannot be used", "columns " + ", ".join(COLUMNS)
    return SynthError(what, code="categories-invalid", where=str(file), found=found, expected=expected)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but masks that do not overlap, and their boxes and classes."""
    yield from lost_in_pixels(labels)


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """Two PNG for each image, and the list of classes. Raises SynthError beyond 65,534 classes."""
    for one in sets:
        categories = sorted(one.head.categories, key=lambda kind: kind.id or 0)
        if len(categories) > MOST:
            what = f"PNG of 16 bits number {MOST:,} classes"
            raise SynthError(what, code="limit-exceeded", where=str(folder), found=f"{len(categories):,}")
        for kind in (CLASSES, INSTANCES):
            (folder / kind / one.split).mkdir(parents=True, exist_ok=True)
        for labels in one.images:
            _write_image(folder, one.split, labels, categories)
        write_atomic(folder / LIST, _list(categories))


def _write_image(folder: Path, split: str, labels: ImageLabels, categories: Sequence[CategoryRecord]) -> None:
    numbers, names = number_pixels(labels), names_of(categories)
    classes = {one.id: number for number, one in enumerate(categories, start=1)}
    for record in labels.annotations:
        name_in(names, record, labels.image)
    table = np.array([0, *(classes[record.category_id] for record in labels.annotations)], np.uint16)
    kinds = np.where(numbers == VOID, NEITHER, table[np.maximum(numbers, 0)])
    for kind, pixels in ((CLASSES, kinds), (INSTANCES, np.maximum(numbers, 0))):
        file = (folder / kind / split / str(labels.image.file_name)).with_suffix(".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint16)).save(file)


def _list(categories: Sequence[CategoryRecord]) -> bytes:
    rows = ((number, one.name or one.key or one.id, one.key, one.id) for number, one in enumerate(categories, start=1))
    return csv_bytes([COLUMNS, *rows])
