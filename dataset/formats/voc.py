"""Pascal VOC: JPEGImages, Annotations/*.xml and ImageSets/Main/SPLIT.txt; boxes of whole pixels and ignored ones.

Annotations/a/1.xml      size of the image, and an `object` for each box: name of the class, xmin, ymin, xmax, ymax,
                         counted from 1 with the last pixel inside, and whether it is truncated, occluded, difficult
ImageSets/Main/val.txt   names of the images of a split, without suffix
categories.json          which other tools ignore: classes with their SKUs and ids
Read as well: folders train, valid, test with images and XML side by side, and one folder of both.
Everingham et al. 2010, "The Pascal visual object classes challenge" (development kit).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.xml_input import read_xml
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, DATASET_JSON, LABEL_FILE, read_file
from dataset.find import SPLIT, USUAL
from dataset.formats.files import (
    FilePart,
    FileStore,
    clipped_box,
    lost_fields,
    name_in,
    names_of,
    read_categories,
    write_categories,
    xml_text,
)
from dataset.formats.shapes import read_whole
from dataset.images import IMAGES as SUFFIXES
from dataset.images import find_files
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord, SplitLabels

XML, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"
# Boxes move to whole pixels.
PRECISION = 0.5
MAIN = ("train", "val", "test")


def detect(path: Path) -> bool:
    """Whether there is a folder Annotations beside JPEGImages, or XML beside images."""
    return ((path / XML).is_dir() and (path / IMAGES).is_dir()) or _side_by_side(path) or bool(_flat_splits(path))


def _flat_splits(path: Path) -> list[str]:
    return [split for split in USUAL if _side_by_side(path / split)]


def _side_by_side(folder: Path) -> bool:
    """Whether XML has the name of an image beside it."""
    files = (file.with_suffix(f".{suffix}") for file in folder.glob("*.xml") for suffix in SUFFIXES)
    return any(file.is_file() for file in files)


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """The splits of ImageSets/Main, or the folders with XML. images: the folder of images, if it is another one.

    Raises SynthError if a listed image is missing, or the files cannot be used.
    """
    folders = _folders(path, images)
    categories = read_categories(path, lambda: _names(xml for _, _, xml, _ in folders))
    ids = {one.name: one.id or 0 for one in categories}
    parts = tuple(FilePart(split, root, files, partial(_read, xml, ids)) for split, root, xml, files in folders)
    return FileStore(str(path), parts, categories)


def _folders(path: Path, images: Path | None) -> list[tuple[str, Path, Path, list[Path]]]:
    """The splits, each with its folder of images, its folder of XML and the images."""
    if flat := _flat_splits(path):
        return [("val" if one == "valid" else one, path / one, path / one, find_files(path / one)) for one in flat]
    if not (path / XML).is_dir():
        return [("train", images or path, path, find_files(images or path))]
    root = images or path / IMAGES
    files = find_files(root)
    DATASET_IMAGES.check(len(files), str(root))
    lists = [file for file in sorted((path / SETS).glob("*.txt")) if SPLIT.fullmatch(file.stem)]
    # Beside those of the splits there is one for each class, and one of train and val together.
    splits = [file for file in lists if file.stem in MAIN] or [file for file in lists if "_" not in file.stem]
    if not splits:
        return [("train", root, path / XML, files)]
    by_stem = {file.with_suffix("").as_posix(): file for file in files}
    return [(file.stem, root, path / XML, _listed(file, by_stem)) for file in splits]


def _listed(file: Path, by_stem: Mapping[str, Path]) -> list[Path]:
    names = read_file(file, DATASET_JSON, "the list of images").decode(errors="replace").split("\n")
    stems = [name.strip() for name in names if name.strip()]
    missing = [stem for stem in stems if stem not in by_stem]
    if missing:
        what = "images of a split are missing"
        raise SynthError(what, code="images-missing", where=str(file), problems=missing[:20])
    return [by_stem[stem] for stem in stems]


def _names(folders: Iterable[Path]) -> set[str]:
    """Names of all classes in the XML of folders."""
    found: set[str] = set()
    for folder in dict.fromkeys(folders):
        for file in find_files(folder, lambda one: one.suffix.lower() == ".xml"):
            for one in read_xml(folder / file, "annotation", LABEL_FILE, "the labels").iterfind("object"):
                found.add(_text(one, "name"))
    return found - {""}


def _read(folder: Path, ids: Mapping[str | None, int], image: ImageRecord) -> list[AnnotationRecord]:
    """The annotations of an image; none where there is no XML. Raises SynthError with everything that is wrong."""
    file = (folder / str(image.file_name)).with_suffix(".xml")
    if not file.exists():
        return []
    objects = read_xml(file, "annotation", LABEL_FILE, "the labels").findall("object")
    DATASET_INSTANCES.check(len(objects), str(file))
    records = [_record(one, ids) for one in objects]
    names = [f"object {number}: {_text(one, 'name') or 'no name'}" for number, one in enumerate(objects, start=1)]
    return read_whole(image, records, names, str(file), "a known name, and xmin, ymin, xmax, ymax in rising order")


def _record(element: Any, ids: Mapping[str | None, int]) -> AnnotationRecord | None:
    try:
        left, top, right, bottom = (float(_text(element, f"bndbox/{side}")) for side in BOX)
    except ValueError:
        return None
    left, top = left - 1, top - 1
    number = ids.get(_text(element, "name"))
    if number is None or not 0 < right - left < 1e6 or not 0 < bottom - top < 1e6:
        return None
    return AnnotationRecord(
        category_id=number,
        bbox=[left, top, right - left, bottom - top],
        area=(right - left) * (bottom - top),
        iscrowd=0,
        ignore=1 if _text(element, "difficult") == "1" else None,
    )


BOX = ("xmin", "ymin", "xmax", "ymax")


def _text(element: Any, path: str) -> str:
    return (element.findtext(path) or "").strip()


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but boxes, classes and what is ignored."""
    for record in labels.annotations:
        box = clipped_box(labels.image, record)
        if box is None:
            yield "annotations without a box in the image"
        elif any(side != round(side) for side in box):
            yield "fractions of pixels of boxes"
        if record.iscrowd:
            yield "crowds, which become ignored products"
    yield from lost_fields(labels, ())


def image_folder(split: str) -> str:
    """Where the images of all splits lie."""
    return IMAGES


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """XML for each image, a list for each split, and the categories."""
    (folder / SETS).mkdir(parents=True)
    for one in sets:
        names, stems = names_of(one.head.categories), []
        for labels in one.images:
            stem = Path(str(labels.image.file_name)).with_suffix("").as_posix()
            file = folder / XML / f"{stem}.xml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_xml(labels, names))
            stems.append(stem)
        (folder / SETS / f"{one.split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
        write_categories(folder, one.head.categories)


def _xml(labels: ImageLabels, names: dict[int | None, str]) -> bytes:
    from lxml import etree

    image, root = labels.image, etree.Element("annotation")
    width, height = image.size or (0, 0)
    _add(root, {"folder": IMAGES, "filename": image.file_name})
    _add(etree.SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    _add(root, {"segmented": 0})
    for record in labels.annotations:
        box = clipped_box(image, record)
        if box is not None:
            one = etree.SubElement(root, "object")
            cut = bool(record.truncation)
            hidden = record.visibility is not None and record.visibility < 1
            _add(one, {"name": name_in(names, record, image), "pose": "Unspecified", "truncated": int(cut)})
            _add(one, {"occluded": int(hidden), "difficult": int(record.ignored)})
            _add(etree.SubElement(one, "bndbox"), dict(zip(BOX, _whole(box), strict=True)))
    return etree.tostring(root, encoding="utf-8", pretty_print=True)


def _whole(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """Whole pixels from 1, the last ones inside; at least one."""
    left, top, right, bottom = (round(side) for side in box)
    return left + 1, top + 1, max(right, left + 1), max(bottom, top + 1)


def _add(parent: Any, texts: Mapping[str, object]) -> None:
    from lxml import etree

    for tag, text in texts.items():
        etree.SubElement(parent, tag).text = xml_text(str(text))
