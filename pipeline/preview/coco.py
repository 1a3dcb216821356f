"""Pictures of anybody's COCO files: read as streams, so that a set of any size can be looked at."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from assets.errors import SynthError
from assets.limits import DATASET_INSTANCES, DATASET_PICTURES
from dataset.coco_stream import PlainSplit, Record, find_splits, head_of, records_of
from dataset.values import is_text, number, short, whole_number
from pipeline.preview.types import (
    PreviewPicture,
    PreviewSettings,
    PreviewSource,
    check_skus,
    choose,
    nothing_wanted,
    sku_names,
    sku_of,
)


@dataclass
class _Split:
    """A COCO file under way. ids: of its pictures in order. wanted: of those with something to show."""

    split: PlainSplit
    names: dict[object, str]
    ids: list[int]
    wanted: set[int] = field(default_factory=set)
    told: bool = False


def coco_pictures(path: Path, settings: PreviewSettings) -> PreviewSource:
    """The pictures to draw, evenly spread over all splits. Raises SynthError where there are none.

    Every file is read twice, with filters three times; only what is drawn is kept.
    """
    splits = [_open(split) for split in find_splits(path, settings.images)]
    check_skus(settings, (name for one in splits for name in one.names.values()) if settings.skus else (), str(path))
    for one in splits:
        _mark_wanted(one, settings)
    wanted = [(one, number) for one in splits for number in one.ids if number in one.wanted]
    total = sum(len(one.ids) for one in splits)
    if not wanted:
        if settings.filters:
            raise nothing_wanted(settings, str(path), any(one.told for one in splits))
        raise SynthError("the data set has no pictures", code="dataset-empty", where=str(path))
    chosen = choose(wanted, settings.count)
    pictures = [
        picture
        for one in splits
        for picture in _pictures(one, {number for other, number in chosen if other is one}, settings)
    ]
    return PreviewSource(path.resolve().name, pictures, total)


def _open(split: PlainSplit) -> _Split:
    names = sku_names(head_of(split.file).categories)
    ids = []
    for record in records_of(split.file, "images"):
        own = whole_number(record.get("id"))
        if own is None or not is_text(record.get("file_name")):
            found = short(record)
            raise SynthError(
                "an image has no id or no file_name", code="image-id-missing", where=str(split.file), found=found
            )
        ids.append(own)
        DATASET_PICTURES.check(len(ids), str(split.file))
    return _Split(split, names, ids)


def _mark_wanted(one: _Split, settings: PreviewSettings) -> None:
    if not settings.filters:
        one.wanted = set(one.ids)
        return
    for record in records_of(one.split.file, "annotations"):
        one.told = one.told or number(record.get("visibility")) >= 0
        own = whole_number(record.get("image_id"))
        if own is not None and settings.wants(record, sku_of(record, one.names)):
            one.wanted.add(own)


def _pictures(one: _Split, ids: set[int], settings: PreviewSettings) -> list[PreviewPicture]:
    """The pictures of these ids with what is drawn of them, in the order of the file."""
    if not ids:
        return []
    images = {int(record["id"]): record for record in records_of(one.split.file, "images") if record["id"] in ids}
    drawn: dict[int, list[Record]] = {number: [] for number in images}
    for record in records_of(one.split.file, "annotations"):
        own = whole_number(record.get("image_id"))
        if own in drawn and settings.wants(record, sku_of(record, one.names)):
            drawn[own].append(record)
            DATASET_INSTANCES.check(len(drawn[own]), f"{one.split.file}, image id {own}")
    return [_picture(one, record, drawn[number]) for number, record in images.items()]


def _picture(one: _Split, image: Record, records: Sequence[Record]) -> PreviewPicture:
    name = str(image["file_name"]).replace("\\", "/")
    if PurePosixPath(name).is_absolute() or posixpath.normpath(name).split("/")[0] == "..":
        hint = "give the folder that holds all pictures with --images"
        raise SynthError(
            "a picture lies outside of the image folder",
            code="path-unsafe",
            where=str(one.split.file),
            found=name,
            hint=hint,
        )
    path = one.split.images / name
    sides = tuple(whole_number(image.get(side)) for side in ("width", "height"))
    size = None if None in sides else (sides[0] or 0, sides[1] or 0)
    return PreviewPicture(str(path), path, size, records, one.names)
