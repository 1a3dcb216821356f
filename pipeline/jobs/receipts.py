"""Receipts: one small file per shard, written last; a shard with a receipt is finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, FailFast, Field

from assets.errors import SynthError
from assets.files.models import Count, FileModel, parse_model
from dataset.records import AnnotationRecord
from dataset.shards.index import ShardEntry, coco_name, tar_name
from dataset.storage.path import StoragePath
from dataset.storage.retry import side_by_side

FOLDER = "receipts"
# The side of a product that faces the camera: axis and sign of the direction to it in the product's frame.
SIDES = {(1, -1): "front", (0, 1): "right", (1, 1): "back", (0, -1): "left", (2, 1): "top", (2, -1): "bottom"}
# Upper bounds of the bins of a box's shorter side, pixels; the last bin is open.
EDGES = (16, 24, 32, 48, 64, 96, 128, 192, 256)
# COCO's bins of an annotation's area.
COCO_AREAS = {"small": 32**2, "medium": 96**2}


class Failure(FileModel):
    """A scene that could not be made. broken: those of its SKUs that are unusable, and why. spec: the scene."""

    index: Count
    reason: str
    skus: tuple[str, ...]
    broken: dict[str, str] = Field(default_factory=dict)
    spec: Any = None


class Receipt(FileModel):
    """Content of a shard.

    shard: its name; its files have another (entry.name) once it was revised. scenes: planned. counted ("cards" in the
    file): for each product of each planned scene, in order, the number of images in which it counts. sides, sizes,
    areas: number of annotations by visible side and by size (EDGES, COCO_AREAS). dropped: scenes that were left out.
    ignored: category ids whose annotations are marked `ignore` since their SKUs are no longer listed.
    """

    model_config = ConfigDict(populate_by_name=True)

    shard: str
    generation: Count
    revision: Count = 0
    entry: ShardEntry
    scenes: Count
    failures: tuple[Failure, ...] = ()
    counted: Annotated[tuple[Count, ...], FailFast(), Field(alias="cards")]
    sides: dict[str, Count]
    sizes: dict[str, Count]
    areas: dict[str, Count]
    dropped: Annotated[tuple[Count, ...], FailFast()] = ()
    ignored: Annotated[tuple[Count, ...], FailFast()] = ()


def visible_share(record: AnnotationRecord) -> float:
    """Return the share of the whole product that is visible in an annotation."""
    return float((record.visibility or 0.0) * (1 - (record.truncation or 0.0)))


def counts(record: AnnotationRecord, visible: float, pixels: int) -> bool:
    """Return whether an annotation counts as an appearance: visible and large enough."""
    return visible_share(record) >= visible and _shorter_side(record) >= pixels


def side_of(camera_from_object: Any) -> str:
    """Return the side of a product that faces the camera most, from its pose (4, 4)."""
    pose = np.asarray(camera_from_object, np.float64)
    towards = -pose[:3, :3].T @ pose[:3, 3]
    axis = int(np.abs(towards).argmax())
    return SIDES[axis, 1 if towards[axis] > 0 else -1]


def _shorter_side(record: AnnotationRecord) -> float:
    return min(record.bbox[2:]) if record.bbox else 0.0


def size_of(record: AnnotationRecord) -> str:
    """Return the bin of the shorter side of an annotation's box, such as "32-48"."""
    shorter = _shorter_side(record)
    bins = [0, *EDGES]
    number = sum(shorter >= edge for edge in EDGES)
    return f"{bins[number]}-{EDGES[number]}" if number < len(EDGES) else f"{EDGES[-1]}-"


def area_of(record: AnnotationRecord) -> str:
    """Return COCO's small, medium or large."""
    return next((name for name, most in COCO_AREAS.items() if (record.area or 0) < most), "large")


def tally(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, sorted by name."""
    return dict(sorted(Counter(names).items()))


def tallies(records: Sequence[AnnotationRecord]) -> dict[str, dict[str, int]]:
    """Return sides, sizes and areas of annotations as receipts store them."""
    return {
        "sides": tally(side_of(record.camera_from_object) for record in records),
        "sizes": tally(map(size_of, records)),
        "areas": tally(map(area_of, records)),
    }


def receipt_name(shard: str) -> str:
    """Return the file name of the receipt of a shard."""
    return f"{FOLDER}/{shard}.json"


def write_receipt(location: StoragePath, receipt: Receipt) -> None:
    """Write a receipt, which completes its shard."""
    location.write(receipt_name(receipt.shard), receipt.model_dump_json(by_alias=True).encode() + b"\n")


def read_receipt(location: StoragePath, shard: str) -> Receipt | None:
    """Return the receipt of a shard; None if there is no usable one, so that the shard is made again."""
    try:
        data = location.read(receipt_name(shard))
        receipt = parse_model(Receipt, data, "the receipt", location.locate(receipt_name(shard)))
    except (FileNotFoundError, SynthError):
        return None
    return receipt if receipt.shard == shard else None


def read_receipts(location: StoragePath) -> dict[str, Receipt]:
    """Return all usable receipts at `location` by shard."""
    names = [name.removesuffix(".json") for name in location.names(FOLDER) if name.endswith(".json")]
    found = side_by_side(lambda name: read_receipt(location, name), names)
    return {receipt.shard: receipt for receipt in found if receipt is not None}


def has_files(location: StoragePath, receipt: Receipt) -> bool:
    """Return whether both files of a receipt's shard exist with their sizes; one without images needs none."""
    entry = receipt.entry
    if not entry.images:
        return True
    try:
        sizes = location.size(tar_name(entry.name)), location.size(coco_name(entry.name))
    except FileNotFoundError:
        return False
    return sizes == (entry.tar_bytes, entry.coco_bytes)


def intact_receipts(location: StoragePath) -> dict[str, Receipt]:
    """Return the receipts whose files exist."""
    receipts = read_receipts(location)
    whole = side_by_side(lambda receipt: has_files(location, receipt), receipts.values())
    return {shard: receipt for (shard, receipt), good in zip(receipts.items(), whole, strict=True) if good}
