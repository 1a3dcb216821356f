"""Open sharded data sets for training by their index, and extract images for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.files.models import Count, FileModel, read_model
from assets.limits import DATASET_JSON
from dataset.chosen import ImageList
from dataset.coco_writer import write_coco
from dataset.identity import check_shards
from dataset.problems import Problems
from dataset.records import Head, ImageLabels
from dataset.shards.cache import ShardCache, shards_folder
from dataset.shards.index import (
    CATEGORIES,
    INDEX,
    ShardEntry,
    ShardIndex,
    ShardSample,
    read_categories,
    read_index,
)
from dataset.shards.parts import read_part
from dataset.shards.tar import REPAIR, image_suffix, read_samples
from dataset.storage.path import StoragePath
from dataset.store import sharded_store
from detectors.data.image_set import AGAIN, Names, open_images, stored_classes
from detectors.data.read_coco import read_classes
from detectors.data.settings import BoxKind
from detectors.data.shard_set import SHARDS, ShardSet
from detectors.data.source import ImageSource

# Images of a sharded set used for validation after every epoch.
MAX_VALIDATION_IMAGES = 2000


class ShardsFile(FileModel):
    """The content of shards.json, which describes a source in shards."""

    name: str
    place: str
    split: str
    keys: Names
    names: Names
    cache_bytes: Count
    skip_bad: bool
    boxes: BoxKind = "visible"
    # Of each shard, where not all images are used.
    kept: tuple[tuple[Count, ...], ...] | None = None


def shards_at(path: Path | StoragePath) -> StoragePath | None:
    """Return the location of a sharded data set, None for other local paths. Raises SynthError for other storage."""
    if isinstance(path, StoragePath):
        read_index(path)
        return path
    store = sharded_store(path)
    return store.location if store is not None else None


def open_shards(
    name: str,
    location: StoragePath,
    splits: Sequence[str],
    problems: Problems,
    *,
    cache_bytes: int,
    skip_bad: bool = False,
    boxes: BoxKind = "visible",
) -> ShardSet:
    """Open the shards of the first of `splits` that the set has, with the set's own classes.

    Raises SynthError if it has none of them, or if no category is usable.
    """
    index = read_index(location)
    shards = index.of_split(split_of(index, splits, location))
    classes, label_of = read_classes(read_categories(location), problems, location.locate(CATEGORIES))
    first = [read_part(location, entry) for entry in shards[:1]]
    some = [image for part in first for image in part.images]
    sizes = [image.size for image in some]
    if not sizes or None in sizes:
        raise SynthError(
            "the first shard has images without width and height",
            code="image-size-missing",
            where=str(location),
            hint=REPAIR,
        )
    return ShardSet(
        name=name,
        root=location,
        shards=shards,
        classes=classes,
        own=classes,
        own_label=label_of,
        label_of=np.arange(len(classes), dtype=np.int32),
        sizes=np.array(sizes, np.int32),
        masks=all(record.segmentation for part in first for record in part.annotations),
        rendered=all(image.rendered for image in some[:10]),
        cache=ShardCache(shards_folder(), cache_bytes),
        skip_bad=skip_bad,
        boxes=boxes,
        keypoints=all(record.keypoints for part in first for record in part.annotations),
    )


def keep_listed(shards: ShardSet, listed: ImageList) -> ShardSet:
    """Return the set with the listed images alone, whose labels are read. Raises SynthError if it has none of them."""
    kept, names = [], list[str]()
    for entry in shards.shards:
        images = read_part(shards.root, entry).images
        kept.append(np.flatnonzero([listed.has(entry.split, image.file_name) for image in images]).astype(np.int64))
        names += [f"{entry.split}/{image.file_name}" for image in images[: 3 - len(names)]]
    if not any(len(places) for places in kept):
        raise none_listed(str(shards.root), names)
    return replace(shards, kept=tuple(kept))


def none_listed(where: str, names: Sequence[str]) -> SynthError:
    """Return the error for a set of which no image is listed. names: of some of its images."""
    return SynthError(
        "no image of the data set is in the list of --only",
        code="images-missing",
        where=where,
        expected=f"lines such as {', '.join(names)}",
    )


def reopen_shards(folder: Path) -> ShardSet:
    """Open a sharded set saved by `ShardSet.save`. Raises SynthError if it cannot be used."""
    head = read_model(ShardsFile, folder / SHARDS, DATASET_JSON, "the data of the run", hint=AGAIN)
    found = open_shards(
        head.name,
        StoragePath(head.place),
        (head.split,),
        Problems(head.name),
        cache_bytes=head.cache_bytes,
        skip_bad=head.skip_bad,
        boxes=head.boxes,
    )
    if head.kept is not None:
        if len(head.kept) != len(found.shards):
            raise SynthError("the data of the run are damaged", code="content-invalid", where=str(folder / SHARDS))
        found = replace(found, kept=tuple(np.array(kept, np.int64) for kept in head.kept))
    return found.relabelled(stored_classes(head.keys, head.names, folder / SHARDS))


def split_of(index: ShardIndex, splits: Sequence[str], location: StoragePath) -> str:
    """Return the first of `splits` that the set has. Raises SynthError if it has none of them."""
    there = {shard.split for shard in index.shards if shard.images}
    found = [split for split in splits if split in there]
    if not found:
        expected = " or ".join(splits)
        raise SynthError(
            "the sharded set does not have this split",
            code="split-missing",
            where=str(location),
            found=", ".join(sorted(there)),
            expected=expected,
        )
    return found[0]


def shards_have(location: StoragePath, split: str) -> bool:
    """Return whether a sharded set has images of a split."""
    return any(shard.images for shard in read_index(location).of_split(split))


def shards_digest(location: StoragePath) -> str:
    """Return the SHA-256 over a set's index and categories; the index holds the checksums of all files."""
    return hashlib.sha256(location.read(INDEX) + location.read(CATEGORIES)).hexdigest()


def extract_validation(location: StoragePath, splits: Sequence[str], *, most: int = MAX_VALIDATION_IMAGES) -> Path:
    """Extract up to `most` images as a COCO data set on the local disk, from whole shards spread evenly over a split.

    Returns the COCO file, which is reused by later runs. Raises SynthError if the split is missing or a shard damaged.
    """
    index = read_index(location)
    split = split_of(index, splits, location)
    key = hashlib.sha256(f"{shards_digest(location)} {split} {most}".encode()).hexdigest()[:24]
    folder = shards_folder().parent / "validation" / key
    file = folder / f"{split}.json"
    with lock_folder(folder):
        if not file.exists():
            check_shards(location, index.of_split(split))
            (folder / "images").mkdir(exist_ok=True)
            samples = _some_samples(location, index.of_split(split), most)
            images = (
                ImageLabels(replace(sample.image, file_name=_write_image(folder, entry, sample)), sample.annotations)
                for entry, sample in samples
            )
            write_coco(file, images, Head(read_categories(location)))
    return file


def _some_samples(
    location: StoragePath, shards: Sequence[ShardEntry], most: int
) -> Iterator[tuple[ShardEntry, ShardSample]]:
    held = [shard for shard in shards if shard.images]
    mean = sum(shard.images for shard in held) / len(held)
    wanted = min(len(held), max(round(most / mean), 1))
    left = most
    for at in np.linspace(0, len(held) - 1, wanted).round().astype(int):
        for sample in list(read_samples(location, held[at]))[:left]:
            left -= 1
            yield held[at], sample


def _write_image(folder: Path, entry: ShardEntry, sample: ShardSample) -> str:
    suffix = image_suffix(sample.files, sample.image, f"{entry.name}: {sample.stem}")
    name = f"{entry.name}_{sample.stem}.{suffix}"
    write_atomic(folder / "images" / name, sample.files[suffix])
    return name


def reopen_source(folder: Path) -> ImageSource:
    """Open a source written by `ImageSource.save`. Raises SynthError if it cannot be used."""
    return reopen_shards(folder) if (folder / SHARDS).exists() else open_images(folder)
