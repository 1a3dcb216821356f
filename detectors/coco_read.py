"""COCO records to an ImageSet: everything that is wrong is collected, nothing is silently bent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from detectors.coco_masks import compressed_mask
from detectors.coco_pictures import picture_sizes
from detectors.coco_source import CocoSource, Record
from detectors.image_set import IGNORED, Classes, ImageSet, Packed
from detectors.problems import Finding, Problems

# A box may leave the picture by rounding; more than this is worth a note.
ROUNDING_PX = 1.0
# Smaller boxes than this teach nothing and divide by zero.
LEAST_SIDE_PX = 0.5


@dataclass
class _Image:
    record: Record
    width: int
    height: int
    boxes: list[Record] = field(default_factory=list)


def read_images(source: CocoSource, problems: Problems, *, group_key: str | None = None) -> ImageSet:
    """The images of a COCO file with its own classes, without those that `problems` had to be told of.

    group_key: field of an image entry that tells which images belong together; by default `group`, else the scene of
    our own data sets, else every image is a group of its own. Raises SynthError where the named field is missing.
    """
    classes, label_of = _read_classes(source, problems)
    images = _read_image_records(source, problems)
    _deal_annotations(source, images, problems)
    if "info" not in source.content:
        problems.note("no info block")
    rows = [_Row.of(image, label_of, classes, problems) for image in images.values()]
    _hint_at_systematic(source, label_of, problems)
    empty = sum(not row.boxes for row in rows)
    if empty:
        problems.notes.setdefault("images without annotations, used as background", Finding(empty))
    return _columns(source, classes, list(images.values()), rows, _groups(source, images, group_key))


def _read_classes(source: CocoSource, problems: Problems) -> tuple[Classes, dict[int, int]]:
    """Classes in the order of the category ids, and category id -> label."""
    entries: dict[int, tuple[str, str]] = {}
    keys: set[str] = set()
    for position, entry in enumerate(source.content["categories"]):
        number, key = entry.get("id"), entry.get("sku") or entry.get("name")
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(key, str):
            problems.spoil("categories without an id or a name", f"categories[{position}] is {_short(entry)}")
        elif number in entries or key in keys:
            problems.spoil("categories given twice", f"id {number}, {key!r}")
        else:
            entries[number] = (key, str(entry.get("name") or key))
            keys.add(key)
    if not entries:
        raise SynthError("no category of the COCO file can be used", where=str(source.file), problems=problems.lines())
    order = sorted(entries)
    classes = Classes(tuple(entries[n][0] for n in order), tuple(entries[n][1] for n in order))
    return classes, {number: label for label, number in enumerate(order)}


def _read_image_records(source: CocoSource, problems: Problems) -> dict[int, _Image]:
    entries: dict[int, Record] = {}
    names: set[str] = set()
    for position, record in enumerate(source.content["images"]):
        number, name = record.get("id"), record.get("file_name")
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(name, str) or not name:
            problems.spoil("images without an id or a file_name", f"images[{position}] is {_short(record)}")
        elif number in entries:
            problems.spoil("image ids given twice", f"id {number}: {entries[number]['file_name']} and {name}")
        elif name in names:
            problems.spoil("image files given twice", name)
        else:
            entries[number] = record
            names.add(name)
    sizes = picture_sizes(source.images, list(entries.values()), problems)
    return {
        number: _Image(entries[number], *sizes[entries[number]["file_name"]])
        for number in entries
        if entries[number]["file_name"] in sizes
    }


def _deal_annotations(source: CocoSource, images: dict[int, _Image], problems: Problems) -> None:
    """Gives every annotation to its image."""
    known = {record.get("id") for record in source.content["images"]}
    seen: set[object] = set()
    for position, record in enumerate(source.content["annotations"]):
        number = record.get("id", f"annotations[{position}]")
        if isinstance(number, int | str):
            if number in seen:
                problems.note("annotation ids given twice", f"id {number}")
            seen.add(number)
        image = record.get("image_id")
        if image in images:
            images[image].boxes.append(record)
        elif image not in known:
            problems.spoil("annotations of unknown images", f"annotation {number}: image_id {image!r}")


@dataclass
class _Row:
    """The annotations of one image that can be used."""

    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    true_labels: list[int] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    visibility: list[float] = field(default_factory=list)
    truncation: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    masks: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, image: _Image, label_of: dict[int, int], classes: Classes, problems: Problems) -> _Row:
        row = cls()
        twins: set[tuple[object, ...]] = set()
        for record in image.boxes:
            where = f"annotation {record.get('id')} in {image.record['file_name']}"
            box = _box_of(record, image, where, problems)
            label = _label_of(record, label_of, classes, where, problems)
            if box is None or label is None:
                continue
            twin = (label, *box)
            if twin in twins:
                problems.note("boxes given twice, used once", where)
                continue
            twins.add(twin)
            row._add(record, box, label, image, where, problems)
        return row

    def _add(
        self, record: Record, box: tuple[float, float, float, float], label: int, image: _Image, where: str, p: Problems
    ) -> None:
        ignored = bool(record.get("iscrowd")) or bool(record.get("ignore"))
        if ignored:
            p.note("crowds and ignored products, neither target nor background")
        mask = compressed_mask(record.get("segmentation"), image.height, image.width)
        if isinstance(mask, str):
            p.note("masks that cannot be read, box used alone", f"{where}: {mask}")
            mask = b""
        area = _number(record.get("area"))
        if not area > 0:
            p.note("annotations without area, box used")
            area = (box[2] - box[0]) * (box[3] - box[1])
        self.boxes.append(box)
        self.labels.append(IGNORED if ignored else label)
        self.true_labels.append(label)
        self.areas.append(area)
        self.visibility.append(_number(record.get("visibility")))
        self.truncation.append(_number(record.get("truncation")))
        self.ids.append(record["id"] if isinstance(record.get("id"), int) else 0)
        self.masks.append(mask)


def _box_of(record: Record, image: _Image, where: str, p: Problems) -> tuple[float, float, float, float] | None:
    """xyxy inside the picture, or None where nothing of it can be used."""
    box = record.get("bbox")
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(_is_number(edge) for edge in box):
        p.spoil("boxes that are not four finite numbers", f"{where}: {_short(box)}")
        return None
    x, y, width, height = (float(edge) for edge in box)
    if width <= 0 or height <= 0:
        p.spoil("boxes without width or height", f"{where}: {_short(box)}")
        return None
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(image.width)), min(y + height, float(image.height))
    if right - left <= 0 or bottom - top <= 0:
        p.spoil("boxes outside of the picture", f"{where}: {_short(box)} in {image.width}x{image.height}")
        return None
    if right - left < LEAST_SIDE_PX or bottom - top < LEAST_SIDE_PX:
        p.spoil("boxes thinner than half a pixel", f"{where}: {_short(box)}")
        return None
    outside = max(left - x, top - y, x + width - right, y + height - bottom)
    if outside > ROUNDING_PX:
        p.note("boxes that leave the picture, cut at its border", f"{where}: by {outside:.0f} px")
    return left, top, right, bottom


def _label_of(record: Record, label_of: dict[int, int], classes: Classes, where: str, problems: Problems) -> int | None:
    number = record.get("category_id")
    label = label_of.get(number) if isinstance(number, int) else None
    if label is None:
        problems.spoil("annotations of unknown categories", f"{where}: category_id {number!r}")
        return None
    sku = record.get("sku")
    if sku is not None and sku not in (classes.keys[label], classes.names[label]):
        problems.spoil(
            "annotations whose sku is not that of their category", f"{where}: {sku!r}, {classes.keys[label]!r}"
        )
        return None
    return label


def _hint_at_systematic(source: CocoSource, label_of: dict[int, int], problems: Problems) -> None:
    """Many errors of one kind have one cause: say which."""
    used = {record.get("category_id") for record in source.content["annotations"]}
    numbers = {number for number in used if isinstance(number, int)}
    if "annotations of unknown categories" in problems.bad:
        for offset in (1, -1):
            if {number + offset for number in numbers} <= set(label_of):
                problems.hints.append(
                    f"every category_id is {-offset:+d} off its category: labels start at another number"
                )
    boxes = [record["bbox"] for record in source.content["annotations"] if _is_box(record.get("bbox"))]
    if boxes and len(boxes) > 3:
        edges = np.array(boxes, np.float64)
        if np.abs(edges).max() <= 1.0:
            problems.hints.append("all boxes lie within 0..1: they are shares of the picture, COCO wants pixels")
        elif _leave_as_xywh(problems) > len(boxes) // 4 and (edges[:, 2:] > edges[:, :2]).all():
            problems.hints.append("boxes look like x1, y1, x2, y2: COCO wants x, y, width, height")


def _leave_as_xywh(problems: Problems) -> int:
    kinds = [
        problems.bad.get("boxes outside of the picture"),
        problems.notes.get("boxes that leave the picture, cut at its border"),
    ]
    return sum(finding.count for finding in kinds if finding)


def _groups(source: CocoSource, images: dict[int, _Image], key: str | None) -> NDArray[np.int32]:
    records = [image.record for image in images.values()]
    if key is not None:
        missing = [record["file_name"] for record in records if key not in record]
        if missing:
            known = sorted({name for record in records[:100] for name in record})
            raise SynthError(
                f"images have no field {key!r} to group by",
                where=str(source.file),
                found=f"{len(missing)} images without it, such as {missing[0]}",
                expected=f"one of {', '.join(known)}",
            )
        values = [str(record[key]) for record in records]
    elif all("group" in record for record in records):
        values = [str(record["group"]) for record in records]
    elif all("index" in record and "seed" in record for record in records):
        values = [f"{record['seed']}/{record['index']}" for record in records]
    else:
        return np.arange(len(records), dtype=np.int32)
    return np.unique(values, return_inverse=True)[1].astype(np.int32).reshape(-1)


def _columns(
    source: CocoSource, classes: Classes, images: list[_Image], rows: list[_Row], groups: NDArray[np.int32]
) -> ImageSet:
    def flat(name: str, dtype: type) -> NDArray[Any]:
        return np.array([value for row in rows for value in getattr(row, name)], dtype)

    return ImageSet(
        name=source.name,
        root=source.images,
        classes=classes,
        file_names=Packed.of([image.record["file_name"].encode() for image in images]),
        image_ids=np.array([image.record["id"] for image in images], np.int64),
        sizes=np.array([(image.width, image.height) for image in images], np.int32).reshape(-1, 2),
        groups=groups,
        first=np.cumsum([0, *(len(row.boxes) for row in rows)], dtype=np.int64),
        boxes=flat("boxes", np.float32).reshape(-1, 4),
        labels=flat("labels", np.int32),
        true_labels=flat("true_labels", np.int32),
        areas=flat("areas", np.float32),
        visibility=flat("visibility", np.float32),
        truncation=flat("truncation", np.float32),
        annotation_ids=flat("ids", np.int64),
        masks=Packed.of([mask for row in rows for mask in row.masks]),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_box(value: object) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(_is_number(edge) for edge in value)


def _number(value: object) -> float:
    """The value as a number, nan where it is none."""
    return float(value) if isinstance(value, int | float) and _is_number(value) else float("nan")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
