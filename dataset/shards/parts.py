"""The COCO parts of a sharded data set, one at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import COCO_VALUES
from dataset.shards.index import INSTANCES, Record, ShardEntry, coco_name
from dataset.shards.tar import REPAIR, read_whole
from dataset.storage.path import StoragePath


@dataclass(frozen=True)
class ShardPart:
    """The records of one shard."""

    info: Record
    categories: list[Record]
    images: list[Record]
    annotations: list[Record]


def read_part(place: StoragePath, entry: ShardEntry) -> ShardPart:
    """The COCO part of a shard. Raises SynthError where it is missing, or is not what the index says."""
    where = place.locate(coco_name(entry.name))
    try:
        data = read_whole(place, coco_name(entry.name))
    except FileNotFoundError as error:
        raise SynthError(
            "the COCO part of a shard is missing", code="shard-labels-missing", where=where, hint=REPAIR
        ) from error
    if (len(data), hashlib.sha256(data).hexdigest()) != (entry.coco_bytes, entry.coco_sha256):
        found = f"{len(data)} bytes of another checksum than index.json says"
        raise SynthError(
            "the COCO part of a shard is damaged", code="shard-labels-damaged", where=where, found=found, hint=REPAIR
        )
    return parse_part(data, where)


def parse_part(data: bytes, where: str) -> ShardPart:
    """A COCO part from its bytes. Raises SynthError where it is none."""
    try:
        content: Any = parse_json(data, "the COCO part of a shard", where, values=COCO_VALUES, hint=REPAIR)
        lists = [content[name] for name in ("categories", "images", "annotations")]
        if not all(isinstance(one, list) and all(isinstance(record, dict) for record in one) for one in lists):
            raise ValueError("no lists of objects")
        info = content.get("info")
        return ShardPart(info if isinstance(info, dict) else {}, *lists)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise SynthError(
            "the COCO part of a shard cannot be read",
            code="shard-labels-damaged",
            where=where,
            found=found,
            hint=REPAIR,
        ) from error


def ids_of(records: list[Record], where: str) -> NDArray[np.int64]:
    """(N,) int64 the ids of records. Raises SynthError where one has none."""
    ids = [record.get("id") for record in records]
    if not all(type(number) is int and -(2**62) < number < 2**62 for number in ids):
        raise SynthError(
            "records without ids that are whole numbers", code="shard-labels-damaged", where=where, hint=REPAIR
        )
    return np.array(ids, np.int64)


def follow_images(records: list[Record]) -> bool:
    """Whether the ids of annotations are made from those of their pictures, as those of rendered jobs are."""
    return all(
        type(record.get("image_id")) is int and 0 < record["id"] - record["image_id"] * INSTANCES < INSTANCES
        for record in records
    )
