"""`synth data merge`: several sharded data sets as one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import lock_folder
from assets.files.models import FileModel
from assets.files.scratch import scratch_folder
from assets.interrupt import until_interrupted
from assets.progress import StepProgress
from dataset.records import AnnotationRecord, CategoryRecord, Head
from dataset.shards.index import (
    CATEGORIES,
    INDEX,
    INSTANCES,
    ShardEntry,
    ShardIndex,
    ShardSample,
    coco_name,
    read_categories,
    read_index,
    tar_name,
    write_categories,
    write_shard,
)
from dataset.shards.parts import ShardPart, follow_images, ids_of, read_part
from dataset.shards.tar import read_samples, read_tar
from dataset.spool import IdSpool, hash64
from dataset.storage.path import StoragePath
from pipeline.shards.about import DATASET, AboutShards, read_about
from pipeline.shards.categories import unite_categories
from pipeline.shards.pack import (
    SHARD_STEP,
    SHARDS_KEPT,
    DataSummary,
    spool_folder,
    summarise,
    sweep_location,
)
from pipeline.shards.receipts import claim_location, clear_receipts, finish_location, read_receipts, write_receipt


@dataclass(frozen=True)
class _Change:
    """What becomes of a set. prefix: before names that others have, "" where nobody has them.

    images, annotations: added to ids. kinds: category id to the record that it gets.
    """

    prefix: str
    images: int
    annotations: int
    kinds: dict[int, CategoryRecord]


@dataclass
class _Ids:
    """All ids and names of one set, or of all sets so far, on disk. top: the largest ids, least: of images."""

    images: IdSpool
    annotations: IdSpool
    names: IdSpool
    top_image: int = -1
    top_annotation: int = -1
    least_image: int = 0
    follows: bool = True

    @classmethod
    def at(cls, folder: Path) -> _Ids:
        return cls(IdSpool(folder / "images"), IdSpool(folder / "annotations"), IdSpool(folder / "names"))


class MergeIdentity(FileModel):
    """What decides the shards of a merged set. sets: SHA-256 of the index and categories of each."""

    command: Literal["synth data merge"] = "synth data merge"
    sets: list[str]


def merge_data(locations: Sequence[StoragePath], out: StoragePath, console: Console) -> DataSummary:
    """Write the sets at `locations` as one at `out`; the same call again resumes.

    Categories are one where their SKU is, and keep the id of the first set that has them. Ids, names of shards and
    images are kept unless an earlier set has them: then all of that set are assigned again, by one rule. Raises
    SynthError where a set is damaged, and where another run is writing at `out`.
    """
    if len({str(location) for location in [*locations, out]}) <= len(locations):
        raise SynthError("sets must be merged into a new location, each once", code="input-duplicate", where=str(out))
    indexes = [read_index(location) for location in locations]
    identity = MergeIdentity(sets=[_digest(location) for location in locations])
    folder = spool_folder(out, identity)
    with lock_folder(folder):
        try:
            sweep_location(out)
            return _merge(locations, indexes, out, identity, console)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _merge(
    locations: Sequence[StoragePath],
    indexes: Sequence[ShardIndex],
    out: StoragePath,
    identity: MergeIdentity,
    console: Console,
) -> DataSummary:
    done = claim_location(out, identity)
    if done is not None:
        clear_receipts(out)
        return summarise(done.shards, 0)
    kinds, notes = unite_categories(
        [read_categories(location) for location in locations], [str(location) for location in locations]
    )
    with scratch_folder("merge") as folder:
        changes = _plan(locations, indexes, kinds, Path(folder), notes, console)
    fresh, names = _write_all(locations, indexes, changes, out, console)
    united = {record.id or 0: record for one in kinds for record in one.values()}
    write_categories(out, (united[number] for number in sorted(united)))
    out.write(DATASET, _about(locations, indexes).to_json("synth data merge"))
    receipts = read_receipts(out)
    return summarise(finish_location(out, [receipts[name] for name in names]).shards, fresh, notes)


def _digest(location: StoragePath) -> str:
    return hashlib.sha256(location.read(INDEX) + location.read(CATEGORIES)).hexdigest()


def _plan(
    locations: Sequence[StoragePath],
    indexes: Sequence[ShardIndex],
    kinds: Sequence[dict[int, CategoryRecord]],
    folder: Path,
    notes: list[str],
    console: Console,
) -> list[_Change]:
    """What has to change in each set so that nothing occurs twice."""
    before = _Ids.at(folder / "all")
    shards: set[str] = set()
    changes: list[_Change] = []
    total = sum(len(index.shards) for index in indexes)
    with StepProgress(console, "comparing", total=total, unit="shards") as progress:
        for number, (location, index) in enumerate(zip(locations, indexes, strict=True), start=1):
            own = _scan(location, index, folder / str(number), progress)
            own_shards = {shard.name for shard in index.shards}
            meet = before.names.shares_any(own.names) or bool(shards & own_shards)
            prefix = _free_prefix(number, shards | own_shards) if meet else ""
            shift = (0, 0)
            if before.images.shares_any(own.images) or before.annotations.shares_any(own.annotations):
                shift = _shift(before, own)
                notes.append(
                    f"{location}: ids of others: {shift[0]} added to those of images, {shift[1]} of annotations"
                )
            if meet:
                notes.append(f"{location}: names of others: shards begin with {prefix}, images with {prefix[:-1]}/")
            changes.append(_Change(prefix, *shift, kinds[number - 1]))
            shards |= {prefix + name for name in own_shards}
            before.images.take_in(own.images, shift[0])
            before.annotations.take_in(own.annotations, shift[1])
            before.names.take_in(own.names)
            before.top_image = max(before.top_image, own.top_image + shift[0])
            before.top_annotation = max(before.top_annotation, own.top_annotation + shift[1])
    return changes


def _free_prefix(number: int, names: set[str]) -> str:
    """A beginning that no shard has yet: one of the sets may be a merged one."""
    while any(name.startswith(f"set{number}-") for name in names):
        number += 1
    return f"set{number}-"


def _scan(location: StoragePath, index: ShardIndex, folder: Path, progress: StepProgress) -> _Ids:
    own = _Ids.at(folder)
    least: list[int] = []
    for entry in index.shards:
        part, where = read_part(location, entry), location.locate(coco_name(entry.name))
        images, annotations = ids_of(part.images, where), ids_of(part.annotations, where)
        own.images.add(images)
        own.annotations.add(annotations)
        own.names.add(
            np.array([hash64(f"{entry.split}/{image.value('file_name')}") for image in part.images], np.int64)
        )
        own.top_image = max(own.top_image, int(images.max(initial=-1)))
        own.top_annotation = max(own.top_annotation, int(annotations.max(initial=-1)))
        least += [int(images.min())] if len(images) else []
        own.follows = own.follows and follow_images(part.annotations)
        progress.advance()
    own.least_image = min(least, default=0)
    return own


def _shift(before: _Ids, own: _Ids) -> tuple[int, int]:
    """What is added to the ids of images and of annotations, so that they lie above all before them.

    Ids of annotations that are made from those of their images stay so.
    """
    least = min(own.least_image, 1)
    images = before.top_image + 1 - least
    if not own.follows:
        return images, before.top_annotation + 1
    images = max(images, before.top_annotation // INSTANCES + 1 - least)
    return images, images * INSTANCES


def _write_all(
    locations: Sequence[StoragePath],
    indexes: Sequence[ShardIndex],
    changes: Sequence[_Change],
    out: StoragePath,
    console: Console,
) -> tuple[int, list[str]]:
    """Write the shards that have no receipt; how many these are, and the names of all."""
    there = read_receipts(out)
    names: list[str] = []
    fresh = 0
    each = [
        (location, entry, change)
        for location, index, change in zip(locations, indexes, changes, strict=True)
        for entry in index.shards
    ]
    with StepProgress(console, "merging", total=len(each), unit="shards") as progress:
        for location, entry, change in until_interrupted(each, SHARDS_KEPT, step=SHARD_STEP):
            names.append(change.prefix + entry.name)
            if names[-1] not in there:
                write_receipt(out, _write_one(location, entry, change, out))
                fresh += 1
            progress.advance()
    return fresh, names


def _write_one(location: StoragePath, entry: ShardEntry, change: _Change, out: StoragePath) -> ShardEntry:
    """A shard of the new set: its very bytes where nothing in it changes."""
    part, name = read_part(location, entry), change.prefix + entry.name
    same = not change.images and not change.annotations and not change.prefix
    if same and all(change.kinds.get(record.id or 0) == record for record in part.head.categories):
        out.write(tar_name(name), read_tar(location, entry))
        out.write(coco_name(name), location.read(coco_name(entry.name)))
        return entry.model_copy(update={"name": name})
    samples = [_changed(sample, change) for sample in read_samples(location, entry)]
    return write_shard(out, name, entry.split, samples, Head(_kinds(part, change), part.head.info))


def _kinds(part: ShardPart, change: _Change) -> list[CategoryRecord]:
    kinds = [change.kinds[record.id or 0] for record in part.head.categories]
    return sorted(kinds, key=lambda record: record.id or 0)


def _changed(sample: ShardSample, change: _Change) -> ShardSample:
    image = replace(sample.image, id=(sample.image.id or 0) + change.images)
    if change.prefix:
        image = replace(image, file_name=f"{change.prefix[:-1]}/{image.file_name}")
    annotations = [_changed_record(record, change) for record in sample.annotations]
    return replace(sample, image=image, annotations=annotations)


def _changed_record(record: AnnotationRecord, change: _Change) -> AnnotationRecord:
    ids = ((record.id or 0) + change.annotations, (record.image_id or 0) + change.images)
    kind = change.kinds.get(record.category_id or 0)
    return replace(record, id=ids[0], image_id=ids[1], category_id=record.category_id if kind is None else kind.id)


def _about(locations: Iterable[StoragePath], indexes: Iterable[ShardIndex]) -> AboutShards:
    """What all sets say, and what their COCO files say beside their records."""
    sets: list[AboutShards] = []
    heads: dict[str, Head] = {}
    for location, index in zip(locations, indexes, strict=True):
        sets.append(read_about(location))
        for split in sorted({shard.split for shard in index.shards}):
            if (said := sets[-1].heads.get(split)) is not None:
                before = heads.get(split, Head((), said.info))
                more = [one for one in said.licenses if one not in before.licenses]
                heads[split] = replace(before, licenses=[*before.licenses, *more])
    return AboutShards(heads, sets=sets)
