"""Sharded data sets: images and labels in tar files of some hundred scenes, with COCO parts and an index.

    index.json              which shards there are, with their counts and checksums
    categories.json         COCO's categories of the whole data set
    dataset.json            what it was made from
    shards/NAME.tar         WebDataset: STEM.jpg, STEM.json {"image": ..., "annotations": [...]}, further images
    annotations/NAME.json   the same records as a COCO file of its own, with the categories that it uses

Ids need no counting: they follow from the scene, so that a shard is complete when it is written, and never changes when
others are added. The records in tar and COCO part are the same, ids included.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import FailFast, Field

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.files.models import Count, FileModel, Sha256, parse_model
from assets.limits import COCO_VALUES, DATASET_IMAGES, SET_CLASSES
from dataset.coco_writer import coco_bytes
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord, parse_all, record_json
from dataset.storage.path import StoragePath

FORMAT = 1
INDEX, CATEGORIES = "index.json", "categories.json"
# Ids of annotations are their image's times this plus the instance: as many placements fit into a scene.
INSTANCES = 10_000
# Stems that every tar reader takes apart as we do: up to the first dot.
STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class ShardEntry(FileModel):
    """One shard. name: of its files, without suffix. split: such as train. sha256: of the two files."""

    name: str = Field(pattern=NAME, max_length=200)
    split: str = Field(pattern=NAME, max_length=100)
    images: int = Field(ge=0, le=DATASET_IMAGES.maximum)
    annotations: Count
    tar_bytes: Count
    tar_sha256: Sha256
    coco_bytes: Count
    coco_sha256: Sha256


class ShardIndex(FileModel):
    """index.json. shards: in the order of their names."""

    format: int = Field(FORMAT, ge=FORMAT, le=FORMAT)
    shards: Annotated[tuple[ShardEntry, ...], FailFast()]

    def of_split(self, split: str) -> tuple[ShardEntry, ...]:
        """The shards of a split, in order."""
        return tuple(shard for shard in self.shards if shard.split == split)


@dataclass(frozen=True)
class ShardSample:
    """An image with its labels. stem: its name in the tar. files: suffix ("jpg", "depth.png") to content.

    image, annotations: with their ids.
    """

    stem: str
    files: Mapping[str, bytes]
    image: ImageRecord
    annotations: Sequence[AnnotationRecord]

    @property
    def labels(self) -> ImageLabels:
        """Its records alone."""
        return ImageLabels(self.image, self.annotations)


def tar_name(name: str) -> str:
    """Return the name of the tar file of a shard."""
    return f"shards/{name}.tar"


def coco_name(name: str) -> str:
    """Return the name of the COCO part of a shard."""
    return f"annotations/{name}.json"


def image_id(index: int, view: int, views: int) -> int:
    """Return the unique image id, from 1, of view `view` of scene `index`, if every scene has `views` views."""
    return index * views + view + 1


def annotation_id(image: int, instance: int) -> int:
    """Return the id of instance `instance` (from 1) in image `image`. Raises ValueError beyond INSTANCES - 1."""
    if not 0 < instance < INSTANCES:
        raise ValueError(f"instance {instance} of image {image}: at most {INSTANCES - 1} can be numbered")
    return image * INSTANCES + instance


def free_stem(stem: str, number: int, taken: set[str]) -> str:
    """Return the stem where every tar reader understands it and no other sample of the shard has it, else a number.

    taken: those of the shard so far, to which it is added.
    """
    free = stem if STEM.fullmatch(stem) and stem not in taken else f"image{number:012d}"
    while free in taken:
        free += "_"
    taken.add(free)
    return free


def write_shard(
    location: StoragePath,
    name: str,
    split: str,
    samples: Sequence[ShardSample],
    head: Head,
) -> ShardEntry:
    """Write tar and COCO part of a shard, each atomically; return its entry for the index.

    head: COCO's info block, and the categories that the annotations use. The same samples give the same bytes.
    """
    tar = tar_of(samples)
    coco = coco_bytes((sample.labels for sample in samples), head)
    location.write(tar_name(name), tar)
    location.write(coco_name(name), coco)
    return ShardEntry(
        name=name,
        split=split,
        images=len(samples),
        annotations=sum(len(sample.annotations) for sample in samples),
        tar_bytes=len(tar),
        tar_sha256=hashlib.sha256(tar).hexdigest(),
        coco_bytes=len(coco),
        coco_sha256=hashlib.sha256(coco).hexdigest(),
    )


def tar_of(samples: Iterable[ShardSample]) -> bytes:
    """A WebDataset tar: of each sample its files in the order of their suffixes, among them its records as json."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            files = {**sample.files, "json": record_json(sample.labels.content()).encode()}
            for suffix, content in sorted(files.items()):
                member = tarfile.TarInfo(f"{sample.stem}.{suffix}")
                member.size, member.mode = len(content), 0o644  # no owner, no time: the same bytes everywhere
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_categories(location: StoragePath, categories: Iterable[CategoryRecord]) -> None:
    """Write categories.json, one record per line."""
    lines = ",\n".join(record_json(one.content()) for one in categories)
    location.write(CATEGORIES, f"[\n{lines}\n]\n".encode())


def write_index(location: StoragePath, shards: Iterable[ShardEntry]) -> ShardIndex:
    """Write index.json of these shards, in the order of their names."""
    index = ShardIndex(format=FORMAT, shards=tuple(sorted(shards, key=lambda shard: shard.name)))
    location.write(INDEX, index_json(index))
    return index


def index_json(index: ShardIndex) -> bytes:
    """Return the content of index.json."""
    entries = ",\n".join(shard.model_dump_json() for shard in index.shards)
    return f'{{"format": {FORMAT}, "shards": [\n{entries}\n]}}\n'.encode()


def has_index(location: StoragePath) -> bool:
    """Whether a location contains a sharded data set."""
    return location.exists(INDEX)


def read_index(location: StoragePath) -> ShardIndex:
    """Read the index of a sharded data set. Raises SynthError if it is missing or invalid."""
    where = location.locate(INDEX)
    try:
        index = parse_model(ShardIndex, location.read(INDEX), "the index", where)
    except FileNotFoundError as error:
        hint = "give a location that 'synth job run' or 'synth data pack' wrote"
        raise SynthError(
            "not a sharded data set: no index.json", code="dataset-not-sharded", where=where, hint=hint
        ) from error
    DATASET_IMAGES.check(sum(shard.images for shard in index.shards), where)
    names = [shard.name for shard in index.shards]
    if len(set(names)) < len(names):
        raise SynthError("the index is invalid", code="index-invalid", where=where, found="two shards with one name")
    return index


def read_categories(location: StoragePath) -> list[CategoryRecord]:
    """Read the COCO categories of a sharded data set. Raises SynthError if they are missing or invalid."""
    where = location.locate(CATEGORIES)
    try:
        records = parse_json(location.read(CATEGORIES), "the categories", where, values=COCO_VALUES)
    except FileNotFoundError as error:
        raise SynthError(
            "the categories are invalid", code="categories-missing", where=where, found="no such file"
        ) from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise SynthError(
            "the categories are invalid", code="categories-invalid", where=where, expected="a list of objects"
        )
    SET_CLASSES.check(len(records), where)
    return parse_all(CategoryRecord, records)
