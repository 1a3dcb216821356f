"""Convert COCO records to an ImageSet: all problems are collected, and nothing is corrected silently."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from dataset.find import CocoSource
from dataset.images import image_sizes
from dataset.problems import DataProblem, Problems
from dataset.records import CategoryRecord, ImageRecord
from dataset.values import short, sku_text, whole_number
from detectors.data.image_set import Classes, ImageSet, Packed
from detectors.data.rows import (
    CUT,
    NO_NUMBERS,
    NOT_FINITE,
    OTHER_SKU,
    OUTSIDE,
    UNKNOWN_CATEGORY,
    LabelledImage,
    Row,
    corners_of,
    read_row,
)
from detectors.data.settings import BoxKind

# Minimum number of boxes from which to infer a systematic mistake.
MIN_EVIDENCE = 4


def read_images(
    source: CocoSource, problems: Problems, *, group_key: str | None = None, kind: BoxKind = "visible"
) -> ImageSet:
    """Return the usable images of a COCO file with its own classes; what is unusable is added to `problems`.

    group_key: image field whose value is the image's group; by default `group`, else the scene in rendered data sets,
    else every image is its own group. kind: of the boxes. Raises SynthError if the named field is missing.
    """
    classes, label_of = read_classes(source.content.categories, problems, str(source.file))
    images = _read_image_records(source, problems)
    _assign_annotations(source, images, problems)
    if source.content.info is None:
        problems.note("no info block")
    rows = [read_row(image, label_of, classes, problems, kind) for image in images.values()]
    _hint_at_categories(source, label_of, problems)
    _check_finite(source, problems)
    _check_box_layout(list(images.values()), problems)
    empty = sum(not row.boxes for row in rows)
    if empty:
        problems.notes.setdefault("images without annotations, used as background", DataProblem(empty))
    columns = columns_of(source.name, source.images, classes, images, rows, _groups(source, images, group_key))
    return replace(columns, category_ids=tuple(label_of), rendered=source.content.rendered)


def read_classes(
    categories: Sequence[CategoryRecord], problems: Problems, where: str
) -> tuple[Classes, dict[int, int]]:
    """Return the classes in order of category id, and category id -> label. Raises SynthError if there are none."""
    entries: dict[int, tuple[str, str]] = {}
    keys: set[str] = set()
    for position, entry in enumerate(categories):
        number, key = whole_number(entry.value("id")), entry.key
        if number is None and entry.value("id") is not None:
            problems.spoil("category ids that are not whole numbers", short(entry.value("id")))
        elif number is None or key is None:
            problems.spoil("categories without an id or a name", f"categories[{position}] is {short(entry.content())}")
        elif number in entries or key in keys:
            problems.spoil("categories given twice", f"id {number}, {key!r}")
        else:
            entries[number] = (key, sku_text(entry.value("name")) or key)
            keys.add(key)
    if not entries:
        raise SynthError(
            "no category of the COCO file is usable",
            code="categories-invalid",
            where=where,
            problems=problems.lines(),
        )
    order = sorted(entries)
    classes = Classes(tuple(entries[n][0] for n in order), tuple(entries[n][1] for n in order))
    return classes, {number: label for label, number in enumerate(order)}


def _read_image_records(source: CocoSource, problems: Problems) -> dict[int, LabelledImage]:
    entries: dict[int, ImageRecord] = {}
    names: set[str] = set()
    for position, record in enumerate(source.content.images):
        number, name = whole_number(record.value("id")), record.file_name
        if number is None and record.value("id") is not None:
            problems.spoil(
                "image ids that are not whole numbers",
                f"{short(record.value('id'))} of {short(record.value('file_name'))}",
            )
        elif number is None or name is None:
            problems.spoil("images without an id or a file_name", f"images[{position}] is {short(record.content())}")
        elif number in entries:
            problems.spoil("image ids given twice", f"id {number}: {entries[number].file_name} and {name}")
        elif posixpath.normpath(name) in names:
            problems.spoil("image files given twice", name)
        else:
            entries[number] = record
            names.add(posixpath.normpath(name))
            if _leaves_folder(name):
                # Reading from there is allowed; names of output files are confined to the output folder.
                problems.note("images outside the image folder", name)
    sizes = image_sizes(source.images, list(entries.values()), problems)
    return {
        number: LabelledImage(record, *sizes[str(record.file_name)])
        for number, record in entries.items()
        if record.file_name in sizes
    }


def _leaves_folder(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or posixpath.normpath(name).split("/")[0] == ".."


def _assign_annotations(source: CocoSource, images: dict[int, LabelledImage], problems: Problems) -> None:
    """Append every annotation to its image."""
    known = {_id_of(record.value("id")) for record in source.content.images}
    seen: set[object] = set()
    for position, record in enumerate(source.content.annotations):
        own, image = _id_of(record.value("id")), _id_of(record.value("image_id"))
        if own is not None and own in seen:
            problems.note("annotation ids given twice, renumbered", f"id {short(own)}")
        seen.add(own)
        if isinstance(image, int) and image in images:
            images[image].boxes.append(record)
        elif image is None or image not in known:
            given = short(record.value("image_id"))
            problems.spoil("annotations of unknown images", f"annotations[{position}]: image_id {given}")
    if any("segments_info" in record.extra for record in source.content.annotations[:MIN_EVIDENCE]):
        problems.hints.append("this is a panoptic file: give the instances file, whose annotations have bbox")
    if any("not whole numbers" in kind for kind in problems.bad):
        problems.hints.append('ids are whole numbers in COCO: 12, not "12"')


def _id_of(value: object) -> int | str | None:
    return value if isinstance(value, str) else whole_number(value)


def _hint_at_categories(source: CocoSource, label_of: dict[int, int], problems: Problems) -> None:
    """Add hints on the likely common cause of many errors of one kind."""
    annotations = source.content.annotations
    numbers = {whole_number(record.value("category_id")) for record in annotations} - {None}
    if UNKNOWN_CATEGORY in problems.bad:
        for offset in (1, -1):
            if numbers and {number + offset for number in numbers if number is not None} <= set(label_of):
                problems.hints.append(
                    f"every category_id is {-offset:+d} off its category: labels start at a different number"
                )
    named = sum(record.value("sku") is not None for record in annotations)
    if OTHER_SKU in problems.bad and 2 * problems.bad[OTHER_SKU].count > named:
        problems.hints.append("most sku fields and category ids disagree: were the categories renumbered?")
    if NO_NUMBERS in problems.bad and all(record.value("bbox") is None for record in annotations):
        problems.hints.append("no annotation has a bbox: detection needs the instances file")


def _check_finite(source: CocoSource, problems: Problems) -> None:
    """Raise SynthError if no box is finite: then the file as a whole is wrong, and skipping boxes makes no sense."""
    boxes = len(source.content.annotations)
    if NOT_FINITE in problems.bad and problems.bad[NOT_FINITE].count == boxes:
        hint = "check the program that wrote the file: perhaps it divided by a size of 0 or a missing value"
        raise SynthError(
            f"all boxes of the data set are NaN or infinite ({boxes})",
            code="boxes-not-finite",
            where=str(source.file),
            problems=problems.bad[NOT_FINITE].examples,
            hint=hint,
        )


def _check_box_layout(images: list[LabelledImage], problems: Problems) -> None:
    """Detect boxes in relative coordinates or as two corners; each may look valid, so they are checked together."""
    found = [(box, image) for image in images for record in image.boxes if (box := record.bbox)]
    if len(found) < MIN_EVIDENCE:
        return
    edges = np.array([box for box, _ in found], np.float64)
    sizes = np.array([(image.width, image.height) for _, image in found], np.float64)
    if np.abs(edges).max() <= 1.0:
        problems.spoil("boxes in fractions of the image size, COCO wants pixels", f"all {len(found)} lie within 0 to 1")
        return
    kinds = (problems.bad.get(OUTSIDE), problems.notes.get(CUT))
    leaving = sum(finding.count for finding in kinds if finding)
    as_corners = (edges[:, 2:] > edges[:, :2]).all() and (edges[:, 2:] <= sizes + 1).all()
    if leaving > len(found) // 4 and as_corners:
        problems.spoil(
            "boxes as x1, y1, x2, y2, COCO wants x, y, width, height",
            f"{leaving} of {len(found)} extend beyond their image",
        )


def _groups(source: CocoSource, images: dict[int, LabelledImage], key: str | None) -> NDArray[np.int32]:
    records = [image.record for image in images.values()]
    if key is not None:
        missing = [record.file_name for record in records if not _is_group(record.value(key))]
        if missing:
            known = sorted({name for record in records[:100] for name in record.content()})
            raise SynthError(
                f"images lack the field {key!r} to group by",
                code="group-key-missing",
                where=str(source.file),
                found=f"{len(missing)} images without it, such as {missing[0]}",
                expected=f"one of {', '.join(known)}",
            )
        values = [str(record.value(key)) for record in records]
    elif all(_is_group(record.value("group")) for record in records):
        values = [str(record.value("group")) for record in records]
    elif all(_is_group(record.value("index")) and _is_group(record.value("seed")) for record in records):
        values = [f"{record.value('seed')}/{record.value('index')}" for record in records]
    else:
        return np.arange(len(records), dtype=np.int32)
    place = {value: number for number, value in enumerate(sorted(set(values)))}
    return np.array([place[value] for value in values], np.int32)


def _is_group(value: object) -> bool:
    return isinstance(value, str | int | float)


def columns_of(
    name: str,
    root: Path,
    classes: Classes,
    kept: dict[int, LabelledImage],
    rows: list[Row],
    groups: NDArray[np.int32],
) -> ImageSet:
    """Build an ImageSet of images with their annotations. kept: by image id. groups: (N,) int32."""

    def flat(name: str, dtype: type) -> NDArray[Any]:
        return np.array([value for row in rows for value in getattr(row, name)], dtype)

    images = list(kept.values())
    return ImageSet(
        name=name,
        root=root,
        classes=classes,
        file_names=Packed.of([str(image.record.file_name).encode() for image in images]),
        image_ids=np.array(list(kept), np.int64),
        sizes=np.array([(image.width, image.height) for image in images], np.int32).reshape(-1, 2),
        groups=groups,
        first=np.cumsum([0, *(len(row.boxes) for row in rows)], dtype=np.int64),
        boxes=flat("boxes", np.float32).reshape(-1, 4),
        labels=flat("labels", np.int32),
        true_labels=flat("true_labels", np.int32),
        areas=flat("areas", np.float32),
        visibility=flat("visibility", np.float32),
        truncation=flat("truncation", np.float32),
        annotation_ids=_distinct_ids([number for row in rows for number in row.ids]),
        masks=Packed.of([mask for row in rows for mask in row.masks]),
        keypoints=corners_of([points for row in rows for points in row.keypoints]),
    )


def _distinct_ids(numbers: list[int]) -> NDArray[np.int64]:
    """Replace ids that are 0 or repeated by unused ones: COCO's evaluation code takes id 0 for "no match"."""
    taken, free = {0, *numbers}, count(1)
    seen = {0}
    distinct = []
    for number in numbers:
        own = next(unused for unused in free if unused not in taken) if number in seen else number
        seen.add(own)
        distinct.append(own)
    return np.array(distinct, np.int64)
