"""Which shards of a set are written already: what lets an interrupted run go on."""

from __future__ import annotations

import json

from assets.errors import SynthError
from assets.files.models import FileModel, parse_model
from dataset.checksums import CHECKSUMS, write_location_checksums, write_signed_index
from dataset.shards.index import INDEX, ShardEntry, ShardIndex, read_index
from dataset.storage.path import StoragePath

IDENTITY = "made_by.json"
FOLDER = "receipts"


def claim_location(location: StoragePath, identity: FileModel) -> ShardIndex | None:
    """Make a location this run's own; return the index where the run has ended already.

    identity: what decides the shards, stored as made_by.json. Raises SynthError if the location holds another data
    set.
    """
    text = (json.dumps(identity.model_dump(), indent=1, sort_keys=True) + "\n").encode()
    if location.exists(IDENTITY):
        if location.read(IDENTITY) != text:
            hint = "give another location, or the same data and settings as before to resume"
            raise SynthError(
                "the location contains a data set made from other data or settings",
                code="settings-differ",
                where=str(location),
                hint=hint,
            )
        if not location.exists(INDEX):
            return None
        index = read_index(location)
        if not location.exists(CHECKSUMS):  # an earlier version has made it
            write_location_checksums(location, index)
        return index
    if location.names() or location.names("shards"):
        hint = "give an empty location"
        raise SynthError(
            "the location is not empty and contains no data set of this kind",
            code="output-not-empty",
            where=str(location),
            hint=hint,
        )
    location.write(IDENTITY, text)
    return None


def read_receipts(location: StoragePath) -> dict[str, ShardEntry]:
    """The shards that are written, by name. A receipt that cannot be read counts for nothing."""
    entries = {}
    for name in location.names(FOLDER):
        try:
            receipt = f"{FOLDER}/{name}"
            entry = parse_model(ShardEntry, location.read(receipt), "the receipt", location.locate(receipt))
        except SynthError:
            continue
        entries[entry.name] = entry
    return entries


def write_receipt(location: StoragePath, entry: ShardEntry) -> None:
    """Says that a shard is written whole."""
    location.write(f"{FOLDER}/{entry.name}.json", entry.model_dump_json().encode() + b"\n")


def finish_location(location: StoragePath, entries: list[ShardEntry]) -> ShardIndex:
    """Write the checksums and the index, which says that all is there, and takes the receipts away."""
    index = write_signed_index(location, entries)
    clear_receipts(location)
    return index


def clear_receipts(location: StoragePath) -> None:
    """Take away the receipts of a set whose index is there."""
    for name in location.names(FOLDER):
        location.delete(f"{FOLDER}/{name}")
