"""Receipts: one small file per shard, written last; a shard with a receipt is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import FailFast, Field

from assets.errors import SynthError
from assets.files.models import Count, FileModel, parse_model
from dataset.records import AnnotationRecord
from dataset.shards.index import ShardEntry, coco_name, tar_name
from dataset.storage.path import StoragePath
from dataset.storage.retry import side_by_side

FOLDER = "receipts"
# The side of a product that faces the camera: axis and sign of the direction to it in the product's frame.
SIDES = {(1, -1): "front", (0, 1): "right", (1, 1): "back", (0, -1): "left", (2, 1): "top", (2, -1): "bottom"}
# Bins of the shorter side of a box, pixels: up to this each; the last has no end.
EDGES = (16, 24, 32, 48, 64, 96, 128, 192, 256)
# COCO's bins of an annotation's area.
COCO_AREAS = {"small": 32**2, "medium": 96**2}


class Failure(FileModel):
    """A scene that could not be made. broken: of its SKUs those that cannot be used, and why. spec: the scene."""

    index: Count
    reason: str
    skus: tuple[str, ...]
    broken: dict[str, str] = Field(default_factory=dict)
    spec: Any = None


class Receipt(FileModel):
    """What a shard holds.

    shard: its name; that of its files (entry.name) is another one once it was revised. scenes: that it was to have.
    cards: for each product of each of these, in order, in how many pictures it counts. sides, sizes, areas: how many
    annotations show a product from which side, and how large (EDGES, COCO_AREAS). dropped: scenes that were left out.
    ignored: category ids whose annotations are marked `ignore` since their SKUs are not in the list any more.
    """

    shard: str
    generation: Count
    revision: Count = 0
    entry: ShardEntry
    scenes: Count
    failures: tuple[Failure, ...] = ()
    cards: Annotated[tuple[Count, ...], FailFast()]
    sides: dict[str, Count]
    sizes: dict[str, Count]
    areas: dict[str, Count]
    dropped: Annotated[tuple[Count, ...], FailFast()] = ()
    ignored: Annotated[tuple[Count, ...], FailFast()] = ()


def share_seen(record: AnnotationRecord) -> float:
    """The share of the whole product that an annotation sees."""
    return float((record.visibility or 0.0) * (1 - (record.truncation or 0.0)))


def counts(record: AnnotationRecord, visible: float, pixels: int) -> bool:
    """Whether an annotation counts as an appearance: seen well and large enough."""
    return share_seen(record) >= visible and _shorter_side(record) >= pixels


def side_of(camera_from_object: Any) -> str:
    """The side of a product that faces the camera most, from its pose (4, 4)."""
    pose = np.asarray(camera_from_object, np.float64)
    towards = -pose[:3, :3].T @ pose[:3, 3]
    axis = int(np.abs(towards).argmax())
    return SIDES[axis, 1 if towards[axis] > 0 else -1]


def _shorter_side(record: AnnotationRecord) -> float:
    return min(record.bbox[2:]) if record.bbox else 0.0


def size_of(record: AnnotationRecord) -> str:
    """The bin of the shorter side of an annotation's box, such as "32-48"."""
    shorter = _shorter_side(record)
    bins = [0, *EDGES]
    number = sum(shorter >= edge for edge in EDGES)
    return f"{bins[number]}-{EDGES[number]}" if number < len(EDGES) else f"{EDGES[-1]}-"


def area_of(record: AnnotationRecord) -> str:
    """COCO's small, medium or large."""
    return next((name for name, most in COCO_AREAS.items() if (record.area or 0) < most), "large")


def tally(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, by name."""
    found: dict[str, int] = {}
    for name in sorted(names):
        found[name] = found.get(name, 0) + 1
    return found


def tallies(records: Sequence[AnnotationRecord]) -> dict[str, dict[str, int]]:
    """sides, sizes and areas of annotations, as receipts hold them."""
    return {
        "sides": tally(side_of(record.camera_from_object) for record in records),
        "sizes": tally(map(size_of, records)),
        "areas": tally(map(area_of, records)),
    }


def receipt_name(shard: str) -> str:
    """Where the receipt of a shard lies."""
    return f"{FOLDER}/{shard}.json"


def write_receipt(place: StoragePath, receipt: Receipt) -> None:
    """The last thing that is written of a shard."""
    place.write(receipt_name(receipt.shard), receipt.model_dump_json(indent=None).encode() + b"\n")


def read_receipt(place: StoragePath, shard: str) -> Receipt | None:
    """The receipt of a shard; None where there is none that can be used: the shard is then made anew."""
    try:
        data = place.read(receipt_name(shard))
        receipt = parse_model(Receipt, data, "the receipt", place.locate(receipt_name(shard)))
    except (FileNotFoundError, SynthError):
        return None
    return receipt if receipt.shard == shard else None


def read_receipts(place: StoragePath) -> dict[str, Receipt]:
    """All receipts of a place by shard, those that cannot be used left out."""
    names = [name.removesuffix(".json") for name in place.names(FOLDER) if name.endswith(".json")]
    found = side_by_side(lambda name: read_receipt(place, name), names)
    return {receipt.shard: receipt for receipt in found if receipt is not None}


def has_files(place: StoragePath, receipt: Receipt) -> bool:
    """Whether both files of a receipt's shard are there in their sizes."""
    entry = receipt.entry
    try:
        sizes = place.size(tar_name(entry.name)), place.size(coco_name(entry.name))
    except FileNotFoundError:
        return False
    return sizes == (entry.tar_bytes, entry.coco_bytes)


def intact_receipts(place: StoragePath) -> dict[str, Receipt]:
    """Receipts whose files are there."""
    receipts = read_receipts(place)
    whole = side_by_side(lambda receipt: has_files(place, receipt), receipts.values())
    return {shard: receipt for (shard, receipt), good in zip(receipts.items(), whole, strict=True) if good}
