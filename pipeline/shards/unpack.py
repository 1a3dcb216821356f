"""`synth data unpack`: a sharded data set as an ordinary one, with one COCO file for each split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
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
from dataset.shards.index import CATEGORIES, INDEX, ShardEntry, ShardIndex, ShardSample, read_categories, read_index
from dataset.shards.parts import read_part
from dataset.shards.tar import REPAIR, image_suffix, read_samples
from dataset.shop import CATEGORIES as SHOP_CATEGORIES
from dataset.shop import ShopRecords, numbered_marks
from dataset.spool import hash64
from dataset.storage.path import StoragePath
from dataset.store import ShardImages, leaves_folder
from pipeline.run.scene import labels_json
from pipeline.shards.about import DATASET, AboutShards, read_about
from pipeline.shards.fresh import is_there
from pipeline.shards.pack import SHARD_STEP, SHARDS_KEPT, DataSummary, summarise

# Suffixes that end in no image: where they go.
FOLDERS = {"scene": "scenes"}
# Folders that other files go into.
OWN_FOLDERS = ("annotations", "images", "labels", "scenes")
# Hidden, in the folder of an unpacked set: the SHA-256 of index and categories of its shards.
MADE_FROM = ".made_from"


def unpack_data(location: StoragePath, folder: Path, console: Console, *, split: str | None = None) -> DataSummary:
    """Write images and one COCO file for each split (or the one given) into `folder`; the same call again resumes.

    Images that are there already are left. An image of a name that an earlier split has gets its own split before it.
    Raises SynthError for shards that are damaged, for names that lead out of the folder or that two images of a split
    share, and if the folder holds anything but (parts of) this very set.
    """
    index = read_index(location)
    splits = sorted({shard.split for shard in index.shards})
    if split is not None and split not in splits:
        raise unknown_name("split", split, splits)
    chosen = [split] if split is not None else splits
    about = read_about(location)
    categories = read_categories(location)
    total = sum(len(index.of_split(name)) for name in chosen)
    with lock_folder(folder), spool_checksums(folder) as checksums:
        _claim_folder(folder, location)
        names = _look_for_names(location, index, console)
        target = _Target(folder, checksums, names)
        with StepProgress(console, "unpacking", total=total, unit="shards") as progress:
            for name in chosen:
                _unpack_split(location, index.of_split(name), target, name, about, categories, progress)
        if about.rendered is not None:
            text = json.dumps(about.rendered, indent=1, ensure_ascii=False) + "\n"
            write_atomic(folder / DATASET, text.encode())
            checksums.add(DATASET, sha256(text.encode()))
        _keep_checksums(folder, checksums)
        write_checksums(folder, checksums)
    return summarise([shard for shard in index.shards if shard.split in chosen], total)


def _claim_folder(folder: Path, location: StoragePath) -> None:
    """Make a folder this set's own. Raises SynthError if it holds another set, or anything else."""
    mark = folder / MADE_FROM
    own = sha256(location.read(INDEX) + location.read(CATEGORIES))
    before = (
        read_file(mark, DATASET_JSON, "the mark of an unpacked set").decode(errors="replace") if mark.exists() else ""
    )
    full = any(not path.name.startswith(".") for path in folder.iterdir())
    if full and before != own:
        what, code = "the folder is not empty and contains no set unpacked before", "output-not-empty"
        if before:
            what, code = "the folder contains a set unpacked from other shards", "settings-differ"
        raise SynthError(what, code=code, where=str(folder), hint="give the name of a folder that is not there yet")
    write_atomic(mark, own.encode())


@dataclass(frozen=True)
class _Names:
    """Names of images by their hashes. taken: (N,) int64, sorted, of all splits. shared: by split, those of earlier."""

    taken: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    shared: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def given(self, split: str, name: str) -> str:
        """Return the name that an image of a split gets, which no other of any split has."""
        if hash64(name) not in self.shared.get(split, ()):
            return name
        while True:
            name = f"{split}/{name}"
            at = int(np.searchsorted(self.taken, hash64(name)))
            if at == len(self.taken) or self.taken[at] != hash64(name):
                return name


def _look_for_names(location: StoragePath, index: ShardIndex, console: Console) -> _Names:
    """Which names occur in several splits; all are looked at, so that splits unpacked one by one make one set."""
    splits = sorted({shard.split for shard in index.shards})
    if len(splits) < 2:
        return _Names()
    taken, shared = np.zeros(0, np.int64), {}
    with StepProgress(console, "comparing names", total=len(index.shards), unit="shards") as progress:
        for split in splits:
            own: list[int] = []
            for shard in index.of_split(split):
                own += [hash64(_plain_name(image)) for image in read_part(location, shard).images]
                progress.advance()
            hashes = np.unique(np.array(own, np.int64))
            shared[split] = frozenset(np.intersect1d(taken, hashes, assume_unique=True).tolist())
            taken = np.union1d(taken, hashes)
    return _Names(taken, shared)


@dataclass(frozen=True)
class _Target:
    """Where the files go, and the digests of all that are written or there."""

    folder: Path
    checksums: ChecksumSpool
    names: _Names

    def add(self, path: Path, content: bytes) -> None:
        """Write a file unless it is there with this very content, from a call that was interrupted."""
        if not is_there(path, content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        self.checksums.add(path.relative_to(self.folder).as_posix(), sha256(content))

    def named(self, sample: ShardSample, split: str, where: str) -> ShardSample:
        """Return the sample with the name that its image gets. Raises SynthError if it has none that can be used."""
        name = self.names.given(split, _safe_name(sample.image, where))
        return (
            sample if name == sample.image.file_name else replace(sample, image=replace(sample.image, file_name=name))
        )


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
            for sample in read_samples(location, shard):
                where = f"{shard.name}: {sample.stem}"
                named = target.named(sample, split, where)
                _write_files(named, target, where, taken, labels=rendered)
                yield named.labels
            progress.advance()

    write_coco(path, images(), replace(said, categories=categories))
    target.checksums.add(path.relative_to(target.folder).as_posix(), sha256_of(path))
    _merge_marks(location, shards, target, split, said)


def _merge_marks(location: StoragePath, shards: Sequence[ShardEntry], target: _Target, split: str, head: Head) -> None:
    """Write the COCO file of labels of shops, if images of the split have any."""
    if not (target.folder / SHOP).is_dir():
        return  # without reading the labels of all shards again
    images = _with_marks(location, shards, target, split)
    if (first := next(images, None)) is not None:
        path = Layout(target.folder).shop(split)
        write_coco(path, numbered_marks(chain([first], images)), replace(head, categories=SHOP_CATEGORIES), linked=True)
        target.checksums.add(path.relative_to(target.folder).as_posix(), sha256_of(path))


def _with_marks(
    location: StoragePath, shards: Sequence[ShardEntry], target: _Target, split: str
) -> Iterator[tuple[ImageLabels, ShopRecords]]:
    for shard in shards:
        for labels in ShardImages(location, shard).labels():
            name = target.names.given(split, _safe_name(labels.image, shard.name))
            file = Layout(target.folder).file(SHOP, stem_in(name))
            if file.is_file():
                labels = replace(labels, image=replace(labels.image, file_name=name))
                yield labels, ShopRecords.parse(read_file(file, DATASET_JSON, "labels of a shop"), str(file))


def _write_files(sample: ShardSample, target: _Target, where: str, taken: set[int], *, labels: bool) -> None:
    """The files of a sample where an ordinary set has them. taken: hashes of the split's names, of those with further
    files also without their suffix.
    """
    suffix = image_suffix(sample.files, sample.image, where)
    name, beside = sample.image.file_name or "", _further_files(sample, suffix, where)
    folder, stem = target.folder, stem_in(name)
    for one in (name, stem)[: 1 + (labels or bool(beside))]:
        if hash64(one) in taken:
            what, hint = "two images have the same name", "convert the set: 'synth data convert' tells which"
            raise SynthError(what, code="image-name-duplicate", where=where, found=name, hint=hint)
        taken.add(hash64(one))
    written = {"images": sample.files[suffix], **{kind: content for (kind, _), content in beside.items()}}
    target.add(folder / "images" / name, sample.files[suffix])
    for (kind, ending), content in beside.items():
        target.add(folder / kind / f"{stem}.{ending}", content)
    if labels:
        image = replace(sample.image, id=None, license=None)
        own = [replace(record, id=None, image_id=None, category_id=None) for record in sample.annotations]
        target.add(folder / "labels" / f"{stem}.json", labels_json(ImageLabels(image, own), written))


def _further_files(sample: ShardSample, image: str, where: str) -> dict[tuple[str, str], bytes]:
    """The files beside the image, by folder and ending. Raises SynthError if a data set's own folders are meant."""
    found: dict[tuple[str, str], bytes] = {}
    for suffix, content in sample.files.items():
        kind, _, ending = suffix.rpartition(".")
        if suffix != image and kind.isidentifier() and ending.isalnum():
            place = FOLDERS.get(kind, kind)
            if kind in OWN_FOLDERS or (place, ending) in found:
                told = f"a file {suffix}, which would lie among those of {place}/"
                raise SynthError("a shard is damaged", code="shard-damaged", where=where, found=told, hint=REPAIR)
            found[place, ending] = content
    return found


def _plain_name(image: ImageRecord) -> str:
    return (image.file_name or "").replace("\\", "/")


def _safe_name(image: ImageRecord, where: str) -> str:
    """The name of an image's file. Raises SynthError if it has none, or one outside the folder of images."""
    name = _plain_name(image)
    if not name or "\0" in name or leaves_folder(name):
        raise SynthError(
            "the name of an image points outside the folder", code="path-unsafe", where=where, found=repr(name)
        )
    return name
