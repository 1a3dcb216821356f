"""`synth data pack`: an ordinary COCO data set as shards on any storage."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import SWEPT_DEPTH, lock_folder, remove_leftovers, write_atomic
from assets.files.json_input import read_json
from assets.files.models import FileModel
from assets.interrupt import until_interrupted
from assets.limits import DATASET_JSON
from assets.progress import StepProgress
from dataset.coco_reader import head_of
from dataset.find import CocoSplit, find_splits
from dataset.formats.remote import copy_set, remote_location
from dataset.records import CategoryRecord, Head
from dataset.shards.index import ShardEntry, write_categories, write_shard
from dataset.spool import BlockSpool
from dataset.storage.path import StoragePath
from dataset.store import sharded_store
from pipeline.shards.about import DATASET, AboutShards
from pipeline.shards.receipts import claim_location, clear_receipts, finish_location, read_receipts, write_receipt
from pipeline.shards.records import fill_spool, samples_of_part
from pipeline.shards.settings import PackSettings

DEFAULTS = PackSettings()
SPOOL = ".spool"
PIECE = 1 << 22
# What Ctrl-C does to the commands of sharded sets.
SHARDS_KEPT, SHARD_STEP = "every finished shard is kept: the same command resumes there", "this shard"


@dataclass(frozen=True)
class DataSummary:
    """What a command did. shards: written now. there: written before."""

    shards: int
    there: int
    images: int
    annotations: int
    notes: tuple[str, ...] = ()


class PackIdentity(FileModel):
    """What decides the shards of a packed set. coco: SHA-256 of the COCO file of each split."""

    command: Literal["synth data pack"] = "synth data pack"
    coco: dict[str, str]
    shard_images: int


@dataclass(frozen=True)
class _Part:
    """A shard to be: its name, and the number of its part in the spool."""

    name: str
    split: int
    number: int


def pack_data(
    source: str | Path, location: StoragePath, console: Console, settings: PackSettings = DEFAULTS
) -> DataSummary:
    """Write the COCO data set at `source` as shards; the same call again resumes.

    A set in a storage is copied to the cache folder first.

    Raises SynthError with everything that is wrong with the data before any shard is written, and where the location
    holds another set.
    """
    if sharded_store(source) is not None:
        hint = "merge sharded sets with 'synth data merge', unpack one with 'synth data unpack'"
        raise SynthError("this data set is sharded already", code="dataset-sharded", where=str(source), hint=hint)
    remote = remote_location(source)
    source = Path(source) if remote is None else copy_set(remote, console)
    splits = find_splits(source)
    heads = [head_of(split.file) for split in splits]
    categories = _one_list(splits, heads)
    coco = {split.name: _digest(split.file) for split in splits}
    identity = PackIdentity(coco=coco, shard_images=settings.shard_images)
    done = claim_location(location, identity)
    folder = spool_folder(location, identity, settings.spool)
    if done is not None:
        clear_spool(location, folder)
        return summarise(done.shards, 0)
    with lock_folder(folder):
        sweep_location(location)
        records = BlockSpool(folder / "records")
        parts = _spool_labels(records, splits, settings.shard_images, console)
        fresh = _write_shards(location, records, parts, splits, heads, categories, console)
        write_categories(location, categories.values())
        location.write(DATASET, _about(splits, heads).to_json("synth data pack"))
        receipts = read_receipts(location)
        index = finish_location(location, [receipts[part.name] for part in parts])
    shutil.rmtree(folder, ignore_errors=True)
    return summarise(index.shards, fresh)


def clear_spool(location: StoragePath, folder: Path) -> None:
    """Delete what a run left that was killed after its last file."""
    if folder.exists():
        with lock_folder(folder):
            sweep_location(location)
            clear_receipts(location)
        shutil.rmtree(folder, ignore_errors=True)


def sweep_location(location: StoragePath) -> None:
    """Delete what killed runs left half written at a location on disk, whose lock is held."""
    if location.local is not None:
        remove_leftovers(location.local, depth=SWEPT_DEPTH)


def summarise(shards: Sequence[ShardEntry], fresh: int, notes: Iterable[str] = ()) -> DataSummary:
    """The counts of these shards, of which `fresh` were written now."""
    images, annotations = (sum(getattr(shard, name) for shard in shards) for name in ("images", "annotations"))
    return DataSummary(fresh, len(shards) - fresh, images, annotations, tuple(notes))


def _one_list(splits: Sequence[CocoSplit], heads: Sequence[Head]) -> dict[int, CategoryRecord]:
    """The categories by id. Raises SynthError if splits disagree, or two have one id."""
    by_id = {one.id: one for one in heads[0].categories}
    for split, head in zip(splits, heads, strict=True):
        other = {one.id: one for one in head.categories}
        if len(other) < len(head.categories) or None in other:
            raise SynthError(
                "categories need unique integer ids",
                code="categories-invalid",
                where=str(split.file),
            )
        if other != by_id:
            where = f"{splits[0].file}, {split.file}"
            hint = "pack them one by one, and combine them with 'synth data merge'"
            raise SynthError("the splits have different categories", code="categories-differ", where=where, hint=hint)
    return {number: by_id[number] for number in sorted(number for number in by_id if number is not None)}


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while piece := source.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def spool_folder(location: StoragePath, identity: FileModel, given: Path | None = None) -> Path:
    """Where a command that writes shards keeps what it needs, locked, to be deleted in the end.

    For a set on disk beside it, else in the system's folder for such things. given: the folder to put it in instead.
    """
    if given is None and location.local is not None:
        return location.local / SPOOL
    digest = hashlib.sha256(json.dumps([str(location), identity.model_dump()]).encode()).hexdigest()
    return (given or Path(tempfile.gettempdir())) / f"synth-pack-{digest[:16]}"


def _spool_labels(records: BlockSpool, splits: Sequence[CocoSplit], shard_images: int, console: Console) -> list[_Part]:
    """The shards to be; their records wait in `records`. What an earlier call has read is not read again."""
    counted = records.folder / "images.json"
    if not records.complete:
        records.clear()
        console.print("reading and checking the labels", highlight=False)
        counts = fill_spool(records, splits, shard_images)
        write_atomic(counted, json.dumps(counts).encode())
        records.finish()
    counts = json.loads(counted.read_text())
    parts: list[_Part] = []
    for place, (split, count) in enumerate(zip(splits, counts, strict=True)):
        further = -(-count // shard_images)
        parts += [_Part(f"{split.name}-{n:06d}", place, len(parts) + n) for n in range(further)]
    return parts


def _write_shards(
    location: StoragePath,
    records: BlockSpool,
    parts: Sequence[_Part],
    splits: Sequence[CocoSplit],
    heads: Sequence[Head],
    categories: dict[int, CategoryRecord],
    console: Console,
) -> int:
    """Write the shards that have no receipt; return how many."""
    there = read_receipts(location)
    missing = [part for part in parts if part.name not in there]
    progress = StepProgress(console, "packing", total=len(parts), done=len(parts) - len(missing), unit="shards")
    with progress:
        for part in until_interrupted(missing, SHARDS_KEPT, step=SHARD_STEP):
            split = splits[part.split]
            samples = samples_of_part(records.blocks(part.number), split)
            used = {record.category_id for sample in samples for record in sample.annotations}
            kinds = [categories[number] for number in sorted(categories.keys() & used)]
            write_receipt(
                location, write_shard(location, part.name, split.name, samples, Head(kinds, heads[part.split].info))
            )
            progress.advance()
    return len(missing)


def _about(splits: Sequence[CocoSplit], heads: Sequence[Head]) -> AboutShards:
    own = splits[0].root / DATASET
    rendered = read_json(own, DATASET_JSON, DATASET) if own.is_file() else None
    return AboutShards({split.name: head for split, head in zip(splits, heads, strict=True)}, rendered)
