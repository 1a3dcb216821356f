"""The samples of shards by name, and shards with other samples whose checksums fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dataset.checksums import sha256, write_signed_index
from dataset.records import Head
from dataset.shards.index import ShardSample, coco_name, read_categories, read_index, tar_name, write_shard
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath


def samples_in(place: StoragePath, name: str) -> list[ShardSample]:
    """What a shard holds."""
    return list(read_samples(place, next(entry for entry in read_index(place).shards if entry.name == name)))


def change_samples(place: StoragePath, change: Callable[[ShardSample], ShardSample]) -> None:
    """Write every sample anew, and checksums and index that fit."""
    kinds = read_categories(place)
    entries = [
        write_shard(place, entry.name, entry.split, [*map(change, read_samples(place, entry))], Head(kinds))
        for entry in read_index(place).shards
    ]
    write_signed_index(place, entries)


def with_file(place: StoragePath, suffix: str, content: bytes) -> None:
    """Give every sample one more file."""
    change_samples(place, lambda sample: replace(sample, files={**sample.files, suffix: content}))


def sign_again(place: StoragePath) -> None:
    """Let index and checksums fit the files, whatever became of them."""
    entries = []
    for entry in read_index(place).shards:
        tar, coco = place.read(tar_name(entry.name)), place.read(coco_name(entry.name))
        sizes = {"tar_bytes": len(tar), "coco_bytes": len(coco)}
        entries.append(entry.model_copy(update={**sizes, "tar_sha256": sha256(tar), "coco_sha256": sha256(coco)}))
    write_signed_index(place, entries)
