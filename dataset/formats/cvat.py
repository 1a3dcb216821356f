"""CVAT for images 1.1, as CVAT exports and imports it: annotations.xml and images/SPLIT; boxes, masks, ignored ones.

annotations.xml     labels of the task, then an `image` with `box`, `polygon` and `mask` for each; `subset` is the split
images/SPLIT/1.jpg  the images, also looked for in images/ and beside the file
categories.json     which CVAT does not read: classes with their SKUs and ids
A mask is run lengths row by row within its box, background first. What is ignored has the attribute `ignore`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import atomic_file
from assets.files.xml_input import stream_xml
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, IMAGE_PIXELS, LABELS_FILE
from dataset.find import SPLIT
from dataset.formats.files import (
    FileStore,
    clipped_box,
    mask_of,
    name_in,
    names_of,
    read_categories,
    write_categories,
    xml_text,
)
from dataset.formats.shapes import box_of, lost_beside_shapes, polygon_fields, read_whole
from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels, ImageRecord, SplitLabels
from dataset.store import StoredImage, leaves_folder
from dataset.values import short

FILE = "annotations.xml"
SHAPES = ("box", "polygon", "mask")
SIDES = ("xtl", "ytl", "xbr", "ybr")


def detect(path: Path) -> bool:
    """Whether there is an annotations.xml."""
    return path.name == FILE or (path / FILE).is_file()


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """The subsets of the file; without any, all images are `train`. images: their folder, if not beside the file."""
    file = path / FILE if path.is_dir() else path
    places: dict[str, list[int]] = {}
    names: set[str] = set()
    for place, element in enumerate(stream_xml(file, "image", LABELS_FILE, "the labels")):
        DATASET_IMAGES.check(place + 1, str(file))
        split = element.get("subset") or "train"
        places.setdefault(split if SPLIT.fullmatch(split) else "train", []).append(place)
        names |= {one.get("label", "") for one in element if one.tag in SHAPES}
    categories = read_categories(file.parent, lambda: names - {""})
    root = images or file.parent
    return FileStore(
        str(file),
        tuple(CvatPart(split, file, root, tuple(own), categories) for split, own in places.items()),
        categories,
    )


@dataclass(frozen=True)
class CvatPart:
    """A subset. places: of its images in the file, from 0. root: the folder that holds them."""

    split: str
    file: Path
    root: Path
    places: tuple[int, ...]
    categories: tuple[CategoryRecord, ...]

    @property
    def count(self) -> int:
        return len(self.places)

    @cached_property
    def ids(self) -> Mapping[str | None, int]:
        return {one.name: one.id or 0 for one in self.categories}

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        numbers = {place: number for number, place in enumerate(self.places)}
        for place, element in enumerate(stream_xml(self.file, "image", LABELS_FILE, "the labels")):
            number = numbers.get(place)
            if number is not None and (only is None or number in only):
                yield self._stored(element, number)

    def _stored(self, element: Any, number: int) -> StoredImage:
        name = (element.get("name") or "").replace("\\", "/")
        where = f"{self.file}, image {short(name)}"
        size = _whole(element, ("width", "height"))
        if not name or leaves_folder(name) or size is None or min(size) < 1:
            expected = "name, width and height of an image in the folder"
            raise SynthError("an image cannot be used", code="records-invalid", where=where, expected=expected)
        IMAGE_PIXELS.check(size[0] * size[1], where)
        path = self._find(name)
        image = ImageRecord(id=number + 1, file_name=name, width=size[0], height=size[1])
        shapes = [one for one in element if one.tag in SHAPES]
        DATASET_INSTANCES.check(len(shapes), where)
        records = [_record(one, image, self.ids) for one in shapes]
        names = [f"{one.tag} {place}" for place, one in enumerate(shapes, start=1)]
        found = read_whole(image, records, names, where, "a known label, and numbers that fit the image")
        return StoredImage(ImageLabels(image, found), path, str(path))

    def _find(self, name: str) -> Path:
        """The file of an image, which need not be there."""
        folders = [self.root / "images" / self.split, self.root / "images", self.root / self.split, self.root]
        return next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)


def _record(element: Any, image: ImageRecord, ids: Mapping[str | None, int]) -> AnnotationRecord | None:
    """The annotation of a shape, None if it is none."""
    number = ids.get(element.get("label"))
    shape = {"box": _box, "polygon": _polygon, "mask": _mask}[element.tag](element, image)
    if number is None or shape is None:
        return None
    ignored = any(one.get("name") == "ignore" and one.text == "true" for one in element.iterfind("attribute"))
    return AnnotationRecord(category_id=number, iscrowd=0, ignore=1 if ignored else None, **shape)


def _numbers(values: Iterable[str | None]) -> list[float] | None:
    try:
        found = [float(value or "nan") for value in values]
    except ValueError:
        return None
    return found if all(abs(value) < 1e6 for value in found) else None


def _whole(element: Any, names: Sequence[str]) -> list[int] | None:
    found = _numbers(element.get(name) for name in names)
    return [int(value) for value in found] if found is not None and all(value >= 0 for value in found) else None


def _box(element: Any, image: ImageRecord) -> dict[str, Any] | None:
    sides = _numbers(element.get(name) for name in SIDES)
    if sides is None or sides[2] <= sides[0] or sides[3] <= sides[1]:
        return None
    width, height = sides[2] - sides[0], sides[3] - sides[1]
    return {"bbox": [sides[0], sides[1], width, height], "area": width * height}


def _polygon(element: Any, image: ImageRecord) -> dict[str, Any] | None:
    points = _numbers((element.get("points") or "").replace(";", ",").split(","))
    if points is None or len(points) < 6 or len(points) % 2:
        return None
    return polygon_fields(points)


def _mask(element: Any, image: ImageRecord) -> dict[str, Any] | None:
    place = _whole(element, ("left", "top", "width", "height"))
    lengths = _numbers((element.get("rle") or "").split(","))
    if place is None or lengths is None or min(lengths) < 0:
        return None
    (left, top, width, height), (columns, rows) = place, image.size or (0, 0)
    counts = np.array(lengths).astype(np.int64)
    fits = 0 < width <= columns - left and 0 < height <= rows - top
    if not fits or counts.sum() != width * height:
        return None
    mask = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    box, area = [float(value) for value in place], float(mask.sum())
    return {"bbox": box, "area": area, "segmentation": encode_crop(mask, left, top, rows, columns)}


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but masks, boxes, classes and what is ignored."""
    return lost_beside_shapes(labels)


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """One file for all splits, streamed, and the categories. Raises SynthError for a category that the set has not."""
    from lxml import etree

    with atomic_file(folder / FILE) as file, etree.xmlfile(file, encoding="utf-8") as xml:
        xml.write_declaration()
        with xml.element("annotations"):
            number, begun = 0, False
            for one in sets:
                if not begun:
                    _write_task(xml, one.head.categories)
                    write_categories(folder, one.head.categories)
                    begun = True
                names = names_of(one.head.categories)
                for labels in one.images:
                    _write_image(xml, labels, names, one.split, number)
                    number += 1


def _write_task(xml: Any, categories: Sequence[CategoryRecord]) -> None:
    """Write the labels of the task, with the attribute by which a product is ignored."""
    from lxml import etree

    meta = etree.Element("meta")
    labels = etree.SubElement(etree.SubElement(meta, "task"), "labels")
    for name in names_of(categories).values():
        label = etree.SubElement(labels, "label")
        etree.SubElement(label, "name").text = xml_text(name)
        attribute = etree.SubElement(etree.SubElement(label, "attributes"), "attribute")
        for tag, text in IGNORE.items():
            etree.SubElement(attribute, tag).text = text
    xml.write(etree.fromstring("<version>1.1</version>"), meta)


IGNORE = {
    "name": "ignore",
    "mutable": "False",
    "input_type": "checkbox",
    "default_value": "false",
    "values": "false",
}


def _write_image(xml: Any, labels: ImageLabels, names: dict[int | None, str], split: str, number: int) -> None:
    from lxml import etree

    image = labels.image
    width, height = image.size or (0, 0)
    said = {"id": str(number), "name": xml_text(str(image.file_name)), "subset": split}
    element = etree.Element("image", {**said, "width": str(width), "height": str(height)})
    for record in labels.annotations:
        shape = _shape(image, record)
        if shape is not None:
            tag, place = shape
            hidden = record.visibility is not None and record.visibility < 1
            said = {"label": xml_text(name_in(names, record, image)), "source": "file", "occluded": str(int(hidden))}
            one = etree.SubElement(element, tag, {**said, **place, "z_order": "0"})
            etree.SubElement(one, "attribute", {"name": "ignore"}).text = "true" if record.ignored else "false"
    xml.write(element, pretty_print=True)


def _shape(image: ImageRecord, record: AnnotationRecord) -> tuple[str, dict[str, str]] | None:
    """The element of an annotation and its place: a mask where there is one, else a box."""
    box = clipped_box(image, record)
    if box is None:
        return None
    mask = mask_of(image, record)
    if mask is None or not mask.any():
        return "box", {side: f"{value:.10g}" for side, value in zip(SIDES, box, strict=True)}
    left, top, width, height = (int(side) for side in box_of(mask > 0))
    crop = mask[top : top + height, left : left + width]
    place = {"left": left, "top": top, "width": width, "height": height}
    return "mask", {"rle": ", ".join(map(str, _lengths(crop))), **{name: str(side) for name, side in place.items()}}


def _lengths(crop: NDArray[np.uint8]) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, row by row; the first one may be empty."""
    padded = np.concatenate([[0], crop.ravel()])
    edges = np.flatnonzero(np.diff(padded))
    return np.diff(np.concatenate([[0], edges, [crop.size]])).tolist()
