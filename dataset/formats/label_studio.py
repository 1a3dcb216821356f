"""Label Studio: JSON of tasks, as it exports and imports them; boxes, one polygon for each mask, ignored ones.

label_studio_SPLIT.json   a task for each image: rectangles and polygons in percent of the image's sides
label_config.xml          the labeling interface, to be pasted into the settings of the project
images/SPLIT/1.jpg        the images: serve the folder as local files, with it as the document root
categories.json           which Label Studio does not read: classes with their SKUs and ids
Read as well: brushes (its own run lengths) and turned rectangles, of the first annotation that was not cancelled.
What is ignored has "ignore" as the note of its region.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import atomic_file, write_atomic
from assets.files.json_input import stream_json
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, LABELS_FILE
from dataset.find import SPLIT
from dataset.formats.brush import decode_brush
from dataset.formats.files import (
    FileStore,
    clipped_box,
    mask_of,
    name_in,
    names_of,
    read_categories,
    upright_size,
    write_categories,
    xml_text,
)
from dataset.formats.outlines import outline_of
from dataset.formats.shapes import lost_beside_shapes, mask_fields, polygon_fields, read_whole
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels, ImageRecord, SplitLabels
from dataset.store import StoredImage, leaves_folder
from dataset.values import short

PREFIX, CONFIG = "label_studio_", "label_config.xml"
# Key of the list of labels in the value of a region, by its type.
KINDS = ("rectanglelabels", "polygonlabels", "brushlabels")
# Outlines run this far inside of the edge of their outermost pixels.
PRECISION = 0.25
NOTE = "ignore"
# Before the name of a file that was uploaded.
UPLOADED = re.compile(r"^[0-9a-f]{8}-")


def detect(path: Path) -> bool:
    """Whether there are files label_studio_SPLIT.json, or it is one."""
    return path.name.startswith(PREFIX) or any(path.glob(f"{PREFIX}*.json"))


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """A split for each file; an export of another name is `train`. images: the folder of images, if not beside it."""
    files = [path] if path.is_file() else sorted(path.glob(f"{PREFIX}*.json"))
    if not files:
        hint = "give the exported JSON file itself"
        raise SynthError("there are no tasks of Label Studio", code="file-missing", where=str(path), hint=hint)
    root = files[0].parent
    categories = read_categories(root, lambda: {name for file in files for name in _labels_in(file)})
    parts = tuple(LabelStudioPart(_split(file), file, images or root, categories) for file in files)
    return FileStore(str(path), parts, categories)


def _split(file: Path) -> str:
    split = file.stem.removeprefix(PREFIX)
    return split if file.stem.startswith(PREFIX) and SPLIT.fullmatch(split) else "train"


def _tasks(file: Path) -> Iterator[dict[str, Any]]:
    for place, task in enumerate(stream_json(file, "item", LABELS_FILE, "the tasks"), start=1):
        DATASET_IMAGES.check(place, str(file))
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            expected = "a task with data, as 'JSON' exports it ('JSON-MIN' has none)"
            where = f"{file}, task {place}"
            raise SynthError("a task cannot be used", code="records-invalid", where=where, expected=expected)
        yield task


def _labels_in(file: Path) -> Iterator[str]:
    for task in _tasks(file):
        for region in _regions(task):
            if label := _label(region):
                yield label


def _regions(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The regions with a label of the first annotation that counts."""
    found = task.get("annotations")
    made = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    result = next((one.get("result") for one in made if not one.get("was_cancelled")), None)
    regions = result if isinstance(result, list) else []
    return [one for one in regions if isinstance(one, dict) and one.get("type") in KINDS]


def _label(region: Mapping[str, Any]) -> str | None:
    value = region.get("value")
    labels = value.get(region["type"]) if isinstance(value, dict) else None
    return labels[0] if isinstance(labels, list) and labels and isinstance(labels[0], str) else None


@dataclass(frozen=True)
class LabelStudioPart:
    """The tasks of a file. root: the folder that holds the images."""

    split: str
    file: Path
    root: Path
    categories: tuple[CategoryRecord, ...]

    @cached_property
    def count(self) -> int:
        return sum(1 for _ in _tasks(self.file))

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        ids = {one.name: one.id or 0 for one in self.categories}
        for place, task in enumerate(_tasks(self.file)):
            if only is None or place in only:
                yield self._stored(task, place, ids)

    def _stored(self, task: Mapping[str, Any], place: int, ids: Mapping[str | None, int]) -> StoredImage:
        where = f"{self.file}, task {place + 1}"
        name, path = self._find(task["data"], where)
        width, height = upright_size(path)
        image = ImageRecord(id=place + 1, file_name=name, width=width, height=height)
        regions = _regions(task)
        DATASET_INSTANCES.check(len(regions), where)
        records = [_record(one, image, ids) for one in regions]
        names = [f"region {number}" for number in range(1, len(regions) + 1)]
        found = read_whole(image, records, names, where, "a known label, and a shape in percent")
        return StoredImage(ImageLabels(image, found), path, str(path))

    def _find(self, data: Mapping[str, Any], where: str) -> tuple[str, Path]:
        """Name and file of the image of a task."""
        given = data.get("image", next((value for value in data.values() if isinstance(value, str)), ""))
        name = _file_name(given if isinstance(given, str) else "")
        if not name or leaves_folder(name):
            raise SynthError("a task has no image", code="records-invalid", where=where, found=short(given))
        inside = name.removeprefix(f"images/{self.split}/")
        base = PurePosixPath(name).name
        tried = [
            (inside, self.root / "images" / self.split / inside),
            (name, self.root / name),
            (name, self.root / "images" / name),
            (base, self.root / "images" / base),
            (base, self.root / base),
            *((one, self.root / folder / one) for one in [UPLOADED.sub("", base)] for folder in ("images", ".")),
        ]
        return next(((one, path) for one, path in tried if path.is_file()), tried[0])


def _file_name(url: str) -> str:
    """The path of an image in the document root: of a local file, an upload or a URL."""
    parts = urlsplit(url.replace("\\", "/"))
    local = parse_qs(parts.query).get("d")
    name = local[0] if local else unquote(parts.path)
    return name.removeprefix("/data/upload/").lstrip("/") if "/data/upload/" in name else name.lstrip("/")


def _record(region: Mapping[str, Any], image: ImageRecord, ids: Mapping[str | None, int]) -> AnnotationRecord | None:
    """The annotation of a region, None if it is none."""
    number, kind = ids.get(_label(region)), str(region["type"])
    shape = {"rectanglelabels": _rectangle, "polygonlabels": _polygon, "brushlabels": _brush}[kind]
    found = shape(region["value"], image) if number is not None else None
    if found is None:
        return None
    meta = region.get("meta")
    note = meta.get("text") if isinstance(meta, dict) else None
    ignored = NOTE in note if isinstance(note, list) else note == NOTE
    return AnnotationRecord(category_id=number, iscrowd=0, ignore=1 if ignored else None, **found)


def _percent(values: Iterable[object]) -> list[float] | None:
    found = [float(value) for value in values if isinstance(value, int | float) and abs(value) < 1e6]
    return found if all(value == value for value in found) else None


def _rectangle(value: Mapping[str, Any], image: ImageRecord) -> dict[str, Any] | None:
    sides = _percent(value.get(name, "") for name in ("x", "y", "width", "height"))
    if sides is None or len(sides) != 4 or min(sides[2:]) <= 0:
        return None
    columns, rows = image.size or (0, 0)
    x, y, width, height = (side * whole / 100 for side, whole in zip(sides, (columns, rows) * 2, strict=True))
    turn = _percent([value.get("rotation", 0)])
    if turn is None or not turn or not turn[0] % 360:
        return {"bbox": [x, y, width, height], "area": width * height}
    # Turned about its upper left corner, clockwise in the image.
    angle = np.radians(turn[0])
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ matrix.T + [x, y]
    return polygon_fields(corners.ravel().tolist())


def _polygon(value: Mapping[str, Any], image: ImageRecord) -> dict[str, Any] | None:
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(one, list) and len(one) == 2 for one in points):
        return None
    numbers = _percent(number for one in points for number in one)
    if numbers is None or len(numbers) != 2 * len(points) or len(points) < 3:
        return None
    corners = np.array(numbers).reshape(-1, 2) / 100 * (image.size or (0, 0))
    return polygon_fields(corners.ravel().tolist())


def _brush(value: Mapping[str, Any], image: ImageRecord) -> dict[str, Any] | None:
    columns, rows = image.size or (0, 0)
    codes = value.get("rle") if value.get("format") == "rle" else None
    mask = decode_brush(codes, rows, columns) if isinstance(codes, list) else None
    return mask_fields(mask) if mask is not None and mask.any() else None


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but masks, boxes, classes and what is ignored."""
    return lost_beside_shapes(labels)


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """A file of tasks for each split, streamed, the labeling interface and the categories."""
    for one in sets:
        names = names_of(one.head.categories)
        with atomic_file(folder / f"{PREFIX}{one.split}.json") as file:
            for place, labels in enumerate(one.images):
                file.write((b",\n" if place else b"[\n") + json.dumps(_task(labels, names, one.split)).encode())
            file.write(b"\n]\n" if file.tell() else b"[]\n")
        write_atomic(folder / CONFIG, _config(names.values()))
        write_categories(folder, one.head.categories)


def _task(labels: ImageLabels, names: dict[int | None, str], split: str) -> dict[str, Any]:
    image = labels.image
    found = [_region(image, record, names, place) for place, record in enumerate(labels.annotations)]
    path = quote(f"images/{split}/{image.file_name}")
    data = {"image": f"/data/local-files/?d={path}"}
    return {"data": data, "annotations": [{"result": [one for one in found if one]}]}


def _region(
    image: ImageRecord, record: AnnotationRecord, names: dict[int | None, str], place: int
) -> dict[str, Any] | None:
    """A region: a polygon where there is a mask, else a rectangle; None without a box in the image."""
    box = clipped_box(image, record)
    if box is None:
        return None
    width, height = image.size or (1, 1)
    mask, labels = mask_of(image, record), [name_in(names, record, image)]
    if mask is not None and mask.any():
        points = (outline_of(mask) / [width, height] * 100).tolist()
        kind, value = "polygonlabels", {"points": points, "closed": True, "polygonlabels": labels}
    else:
        left, top, right, bottom = box
        sides = {
            "x": left / width,
            "y": top / height,
            "width": (right - left) / width,
            "height": (bottom - top) / height,
        }
        kind = "rectanglelabels"
        value = {name: 100 * side for name, side in sides.items()} | {"rotation": 0, "rectanglelabels": labels}
    region = {"id": f"r{place}", "type": kind, "from_name": kind.removesuffix("labels"), "to_name": "image"}
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    return region | size | {"value": value} | ({"meta": {"text": [NOTE]}} if record.ignored else {})


def _config(names: Collection[str]) -> bytes:
    """The labeling interface, with a control for each kind of region."""
    from lxml import etree

    view = etree.Element("View")
    etree.SubElement(view, "Image", {"name": "image", "value": "$image", "zoom": "true"})
    for tag, control in (("RectangleLabels", "rectangle"), ("PolygonLabels", "polygon")):
        labels = etree.SubElement(view, tag, {"name": control, "toName": "image"})
        for name in names:
            etree.SubElement(labels, "Label", {"value": xml_text(name)})
    return etree.tostring(view, encoding="utf-8", pretty_print=True)
