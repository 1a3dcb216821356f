"""Which shards of a set are written already: what lets an interrupted run go on."""

from __future__ import annotations

import json

from assets.errors import SynthError
from assets.files.models import FileModel, parse_model
from dataset.checksums import CHECKSUMS, write_place_checksums, write_signed_index
from dataset.shards.index import INDEX, ShardEntry, ShardIndex, read_index
from dataset.storage.path import StoragePath

IDENTITY = "made_by.json"
FOLDER = "receipts"


def claim_place(place: StoragePath, identity: FileModel) -> ShardIndex | None:
    """Make a place this run's own; return the index where the run has ended already.

    identity: what decides the shards, stored as made_by.json. Raises SynthError if the place holds another data
    set.
    """
    text = (json.dumps(identity.model_dump(), indent=1, sort_keys=True) + "\n").encode()
    if place.exists(IDENTITY):
        if place.read(IDENTITY) != text:
            hint = "give another location, or the same data and settings as before to resume"
            raise SynthError(
                "the location contains a data set made from other data or settings",
                code="settings-differ",
                where=str(place),
                hint=hint,
            )
        if not place.exists(INDEX):
            return None
        index = read_index(place)
        if not place.exists(CHECKSUMS):  # an earlier version has made it
            write_place_checksums(place, index)
        return index
    if place.names() or place.names("shards"):
        hint = "give an empty location"
        raise SynthError(
            "the location is not empty and contains no data set of this kind",
            code="output-not-empty",
            where=str(place),
            hint=hint,
        )
    place.write(IDENTITY, text)
    return None


def read_receipts(place: StoragePath) -> dict[str, ShardEntry]:
    """The shards that are written, by name. A receipt that cannot be read counts for nothing."""
    entries = {}
    for name in place.names(FOLDER):
        try:
            receipt = f"{FOLDER}/{name}"
            entry = parse_model(ShardEntry, place.read(receipt), "the receipt", place.locate(receipt))
        except SynthError:
            continue
        entries[entry.name] = entry
    return entries


def write_receipt(place: StoragePath, entry: ShardEntry) -> None:
    """Says that a shard is written whole."""
    place.write(f"{FOLDER}/{entry.name}.json", entry.model_dump_json().encode() + b"\n")


def finish_place(place: StoragePath, entries: list[ShardEntry]) -> ShardIndex:
    """Write the checksums and the index, which says that all is there, and takes the receipts away."""
    index = write_signed_index(place, entries)
    for entry in entries:
        place.delete(f"{FOLDER}/{entry.name}.json")
    return index
