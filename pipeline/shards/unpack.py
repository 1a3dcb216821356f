"""`synth data unpack`: a sharded data set as an ordinary one, with one COCO file for each split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from rich.console import Console

from assets.errors import SynthError, unknown_name
from assets.files.atomic import lock_folder, write_atomic
from assets.interrupt import until_interrupted
from assets.limits import DATASET_JSON, read_file
from assets.progress import StepProgress
from dataset.checksums import (
    CHECKSUMS,
    ChecksumSpool,
    read_checksums,
    sha256,
    sha256_of,
    spool_checksums,
    write_checksums,
)
from dataset.coco_writer import write_coco
from dataset.layout import SHOP, Layout, stem_in
from dataset.records import CategoryRecord, Head, ImageLabels, ImageRecord
from dataset.shards.index import ShardEntry, ShardSample, read_categories, read_index
from dataset.shards.parts import read_part
from dataset.shards.tar import image_suffix, read_samples
from dataset.shop import CATEGORIES, ShopRecords, numbered_marks
from dataset.storage.path import StoragePath
from dataset.store import ShardImages, leaves_folder
from pipeline.run.scene import labels_json
from pipeline.shards.about import DATASET, AboutShards, read_about
from pipeline.shards.pack import SHARD_STEP, SHARDS_KEPT, DataSummary, summarise

# Suffixes that end in no image: where they go.
FOLDERS = {"scene": "scenes"}


def unpack_data(location: StoragePath, folder: Path, console: Console, *, split: str | None = None) -> DataSummary:
    """Write images and one COCO file for each split (or the one given) into `folder`; the same call again resumes.

    Images that are there already are left. Raises SynthError for shards that are damaged, and for names that lead
    out of the folder or that two images of a split share.
    """
    index = read_index(location)
    splits = sorted({shard.split for shard in index.shards})
    if split is not None and split not in splits:
        raise unknown_name("split", split, splits)
    chosen = [split] if split is not None else splits
    about = read_about(location)
    categories = read_categories(location)
    total = sum(len(index.of_split(name)) for name in chosen)
    with (
        lock_folder(folder),
        spool_checksums(folder) as checksums,
        StepProgress(console, "unpacking", total=total, unit="shards") as progress,
    ):
        for name in chosen:
            _unpack_split(location, index.of_split(name), _Target(folder, checksums), name, about, categories, progress)
        if about.rendered is not None:
            text = json.dumps(about.rendered, indent=1, ensure_ascii=False) + "\n"
            write_atomic(folder / DATASET, text.encode())
            checksums.add(DATASET, sha256(text.encode()))
        _keep_checksums(folder, checksums)
        write_checksums(folder, checksums)
    return summarise([shard for shard in index.shards if shard.split in chosen], total)


@dataclass(frozen=True)
class _Target:
    """Where the files go, and the digests of all that are written or there."""

    folder: Path
    checksums: ChecksumSpool

    def add(self, path: Path, content: bytes) -> None:
        """Write a file unless it is there with this very content, from a call that was interrupted."""
        if not _is_there(path, content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        self.checksums.add(path.relative_to(self.folder).as_posix(), sha256(content))


def _is_there(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False


def _keep_checksums(folder: Path, checksums: ChecksumSpool) -> None:
    """Those of files that earlier calls have written, of other splits; a list that cannot be read is made again."""
    with suppress(FileNotFoundError, SynthError), (folder / CHECKSUMS).open("rb") as file:
        for path, digest in read_checksums(file):
            if (folder / path).is_file():
                checksums.add(path, digest, known_before=True)


def _unpack_split(
    location: StoragePath,
    shards: Sequence[ShardEntry],
    target: _Target,
    split: str,
    about: AboutShards,
    categories: list[CategoryRecord],
    progress: StepProgress,
) -> None:
    path = Layout(target.folder).annotations(split)
    path.parent.mkdir(parents=True, exist_ok=True)
    rendered = about.rendered is not None
    said = about.heads.get(split) or read_part(location, shards[0]).head
    taken: set[int] = set()

    def images() -> Iterator[ImageLabels]:
        for shard in until_interrupted(shards, SHARDS_KEPT, step=SHARD_STEP):
            for sample in read_samples(location, shard.name):
                _write_files(sample, target, f"{shard.name}: {sample.stem}", taken, labels=rendered)
                yield sample.labels
            progress.advance()

    write_coco(path, images(), replace(said, categories=categories))
    target.checksums.add(path.relative_to(target.folder).as_posix(), sha256_of(path))
    _merge_marks(location, shards, target, split, said)


def _merge_marks(location: StoragePath, shards: Sequence[ShardEntry], target: _Target, split: str, head: Head) -> None:
    """Write the COCO file of labels of shops, if images of the split have any."""
    if not (target.folder / SHOP).is_dir():
        return  # without reading the labels of all shards again
    images = _with_marks(location, shards, target.folder)
    if (first := next(images, None)) is not None:
        path = Layout(target.folder).shop(split)
        write_coco(path, numbered_marks(chain([first], images)), replace(head, categories=CATEGORIES), linked=True)
        target.checksums.add(path.relative_to(target.folder).as_posix(), sha256_of(path))


def _with_marks(
    location: StoragePath, shards: Sequence[ShardEntry], folder: Path
) -> Iterator[tuple[ImageLabels, ShopRecords]]:
    for shard in shards:
        for labels in ShardImages(location, shard).labels():
            file = Layout(folder).file(SHOP, stem_in(_safe_name(labels.image, shard.name)))
            if file.is_file():
                yield labels, ShopRecords.parse(read_file(file, DATASET_JSON, "labels of a shop"), str(file))


def _write_files(sample: ShardSample, target: _Target, where: str, taken: set[int], *, labels: bool) -> None:
    """The files of a sample where an ordinary set has them. taken: hashes of the names of the split's images."""
    suffix = image_suffix(sample.files, sample.image, where)
    name = _safe_name(sample.image, where)
    if hash(name) in taken:
        raise SynthError(
            "two images have the same name",
            code="image-name-duplicate",
            where=where,
            found=name,
            hint="unpack the splits one by one",
        )
    taken.add(hash(name))
    folder, stem = target.folder, stem_in(name)
    written = {"images": sample.files[suffix]}
    target.add(folder / "images" / name, sample.files[suffix])
    for other, content in sample.files.items():
        kind, _, ending = other.rpartition(".")
        if other != suffix and kind.isidentifier() and ending.isalnum():
            written[FOLDERS.get(kind, kind)] = content
            target.add(folder / FOLDERS.get(kind, kind) / f"{stem}.{ending}", content)
    if labels:
        image = replace(sample.image, id=None, license=None)
        own = [replace(record, id=None, image_id=None, category_id=None) for record in sample.annotations]
        target.add(folder / "labels" / f"{stem}.json", labels_json(ImageLabels(image, own), written))


def _safe_name(image: ImageRecord, where: str) -> str:
    """The name of an image's file. Raises SynthError if it has none, or one outside the folder of images."""
    name = (image.file_name or "").replace("\\", "/")
    if not name or leaves_folder(name):
        raise SynthError(
            "the name of an image points outside the folder", code="path-unsafe", where=where, found=repr(name)
        )
    return name
