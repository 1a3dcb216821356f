"""The COCO parts of a sharded data set, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import COCO_VALUES
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageRecord, InfoRecord, parse_all
from dataset.shards.index import INSTANCES, ShardEntry, coco_name
from dataset.shards.tar import REPAIR, read_whole
from dataset.storage.path import StoragePath


@dataclass(frozen=True)
class ShardPart:
    """The records of one shard. head: with the categories that they use."""

    head: Head
    images: list[ImageRecord]
    annotations: list[AnnotationRecord]


def read_part(location: StoragePath, entry: ShardEntry) -> ShardPart:
    """Read the COCO part of a shard. Raises SynthError if it is missing or differs from the index."""
    where = location.locate(coco_name(entry.name))
    try:
        data = read_whole(location, coco_name(entry.name))
    except FileNotFoundError as error:
        raise SynthError(
            "the labels of a shard are missing", code="shard-labels-missing", where=where, hint=REPAIR
        ) from error
    if (len(data), hashlib.sha256(data).hexdigest()) != (entry.coco_bytes, entry.coco_sha256):
        found = f"{len(data)} bytes of another checksum than index.json says"
        raise SynthError(
            "the labels of a shard are damaged", code="shard-labels-damaged", where=where, found=found, hint=REPAIR
        )
    return parse_part(data, where)


def parse_part(data: bytes, where: str) -> ShardPart:
    """Parse a COCO part. Raises SynthError if it is invalid."""
    try:
        content: Any = parse_json(data, "the COCO part of a shard", where, values=COCO_VALUES, hint=REPAIR)
        lists = [content[name] for name in ("categories", "images", "annotations")]
        if not all(isinstance(one, list) for one in lists):
            raise ValueError("no lists of objects")
        info = content.get("info")
        return ShardPart(
            Head(parse_all(CategoryRecord, lists[0]), InfoRecord.parse(info if isinstance(info, dict) else {})),
            parse_all(ImageRecord, lists[1]),
            parse_all(AnnotationRecord, lists[2]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise SynthError(
            "the labels of a shard cannot be read",
            code="shard-labels-damaged",
            where=where,
            found=found,
            hint=REPAIR,
        ) from error


def ids_of(records: Sequence[ImageRecord | AnnotationRecord], where: str) -> NDArray[np.int64]:
    """Return the (N,) int64 ids of records. Raises SynthError if one has none."""
    ids = [record.id for record in records]
    if not all(number is not None and -(2**62) < number < 2**62 for number in ids):
        raise SynthError(
            "records without integer ids",
            code="shard-labels-damaged",
            where=where,
            hint=REPAIR,
        )
    return np.array(ids, np.int64)


def follow_images(records: Sequence[AnnotationRecord]) -> bool:
    """Whether the ids of annotations are made from those of their images, as those of rendered jobs are."""
    return all(
        record.id is not None
        and record.image_id is not None
        and 0 < record.id - record.image_id * INSTANCES < INSTANCES
        for record in records
    )
