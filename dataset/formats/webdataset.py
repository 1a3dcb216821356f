"""WebDataset: tar files of samples KEY.jpg, KEY.json and what lies beside images, as `synth data pack` writes them.

shards/train-000000.tar        samples, each with {"image": ..., "annotations": [...]} in KEY.json
annotations/train-000000.json  the same labels as a COCO file
index.json, ...                counts and checksums of all shards; categories.json, dataset.json, checksums.sha256
Read as well: a folder of tar files of others, whose KEY.json has "annotations" as COCO has them. Their keys end at the
first dot, files of a sample stand together, and folders of tars (train/, val/) or their names (train-0001.tar) name the
split. A category that only annotations name gets their `category`, `name` or number as its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.limits import IMAGE_BYTES, LABEL_FILE, SET_CLASSES, SHARD_BYTES, Limit, check_file, read_file
from dataset.checksums import CHECKSUMS, write_signed_index
from dataset.find import USUAL
from dataset.formats.files import FileStore, numbered, upright_size
from dataset.layout import BESIDE
from dataset.records import CategoryRecord, Head, ImageLabels, SplitLabels
from dataset.shards.index import INDEX, ShardEntry, ShardSample, free_stem, write_categories, write_shard
from dataset.shards.tar import LABELS, Members, image_suffix, read_foreign_labels, scan_tar
from dataset.storage.path import StoragePath
from dataset.store import DataStore, StoredImage, open_dataset
from dataset.values import sku_text, whole_number

WAITING = ".images"
SHARD_IMAGES = 200
SPLIT_OF = re.compile(rf"({'|'.join(USUAL)})(?![a-z])")
SUFFIX_OF = {folder: suffix for suffix, folder in BESIDE.items()}


def detect(path: Path) -> bool:
    """Whether there is an index of shards, or tar files in the folder or its folders of splits."""
    if not path.is_dir() or any(path.glob("*/key_to_shard.json")) or (path / "key_to_shard.json").exists():
        return False
    return (path / INDEX).is_file() or bool(_tars(path))


def _tars(path: Path) -> list[Path]:
    return sorted([*path.glob("*.tar"), *(file for split in USUAL for file in path.glob(f"{split}/*.tar"))])


def open_labels(path: Path, images: Path | None = None) -> DataStore:
    """The shards of an index, else the tar files. images: not asked. Raises SynthError if there are none."""
    if (path / INDEX).is_file():
        return open_dataset(path)
    files = _tars(path) if path.is_dir() else [path]
    if not files:
        raise SynthError("there is no tar file", code="file-missing", where=str(path), expected="train-000000.tar")
    parts = tuple(TarPart(_split_of(file), file) for file in files)
    names: dict[int, str] = {}
    for part in parts:
        part.gather(names)
        SET_CLASSES.check(len(names), str(path))
    categories = tuple(CategoryRecord(id=number, name=names[number]) for number in sorted(names))
    return FileStore(str(path), parts, _unique(categories))


def _unique(categories: tuple[CategoryRecord, ...]) -> tuple[CategoryRecord, ...]:
    """Return categories of which no two have one name."""
    taken: set[str | None] = set()
    found = []
    for one in categories:
        found.append(replace(one, name=f"{one.name} {one.id}") if one.name in taken else one)
        taken.add(one.name)
    return tuple(found)


def _split_of(file: Path) -> str:
    named = SPLIT_OF.match(file.name.lower()) or SPLIT_OF.match(file.parent.name.lower())
    return "train" if named is None else {"valid": "val"}.get(named[1], named[1])


@dataclass(frozen=True)
class TarPart:
    """A tar file of others."""

    split: str
    file: Path

    @cached_property
    def members(self) -> list[Members]:
        """The files of each sample."""
        check_file(self.file, SHARD_BYTES, "the shard")
        with self.file.open("rb") as file:
            return scan_tar(file, str(self.file))

    @property
    def count(self) -> int:
        return len(self.members)

    def gather(self, names: dict[int, str]) -> None:
        """Add the categories that annotations have, by id, with the first name that is given."""
        for members in self.members:
            for record in self._labels(members).annotations:
                number = whole_number(record.value("category_id"))
                if number is not None:
                    said = (
                        sku_text(record.value(key)) for key in ("category_name", "category", "name", "label", "sku")
                    )
                    names.setdefault(number, next((one for one in said if one), str(number)))

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        for place, members in enumerate(self.members):
            if only is None or place in only:
                yield self._stored(place, members)

    def _stored(self, place: int, members: Members) -> StoredImage:
        where = f"{self.file}: {members.stem}"
        labels = self._labels(members)
        said = labels.image
        suffix = image_suffix(members.spans, said, where)
        data = self._read(members, suffix, IMAGE_BYTES)
        width, height = upright_size(data, where)
        name = said.file_name or f"{members.stem}.{suffix}"
        image = replace(said, id=place + 1, file_name=name, width=said.width or width, height=said.height or height)
        records = [replace(one, id=None, image_id=None) for one in labels.annotations]
        beside = {BESIDE[one]: self._read(members, one, IMAGE_BYTES) for one in members.spans if one in BESIDE}
        return StoredImage(ImageLabels(image, numbered(image, records, where)), data, where, beside)

    def _labels(self, members: Members) -> ImageLabels:
        return read_foreign_labels(self._read(members, LABELS, LABEL_FILE), f"{self.file}: {members.stem}.json")

    def _read(self, members: Members, suffix: str, limit: Limit) -> bytes:
        first, size = members.spans[suffix]
        limit.check(size, f"{self.file}: {members.stem}.{suffix}")
        with self.file.open("rb") as file:
            file.seek(first)
            return file.read(size)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Nothing: unknown fields are written as they were read."""
    return iter(())


def image_folder(split: str) -> str:
    """Where the images of a split wait to be put into shards."""
    return f"{WAITING}/{split}"


def beside_file(folder: str, split: str, name: str) -> str | None:
    """Where a file beside an image waits with it."""
    return f"{image_folder(split)}/{name}.{SUFFIX_OF[folder]}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """Shards of 200 images with an index, as `synth data pack` does."""
    location, entries = StoragePath(str(folder)), list[ShardEntry]()
    heads: dict[str, Head] = {}
    for one in sets:
        heads[one.split] = one.head
        entries += _write_split(location, folder / image_folder(one.split), one)
        write_categories(location, one.head.categories)
    splits = {split: {"info": head.info.content(), "licenses": list(head.licenses)} for split, head in heads.items()}
    about = {"format": 1, "command": "synth data convert", "checksums": CHECKSUMS, "splits": splits}
    write_atomic(folder / "dataset.json", (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    write_signed_index(location, entries)
    if (folder / WAITING).is_dir():
        for left in sorted((folder / WAITING).rglob("*"), reverse=True):
            left.unlink() if left.is_file() else left.rmdir()
        (folder / WAITING).rmdir()


def _write_split(location: StoragePath, waiting: Path, one: SplitLabels) -> Iterator[ShardEntry]:
    kinds = {kind.id: kind for kind in one.head.categories}
    samples: list[ShardSample] = []
    number, taken = 0, set[str]()
    images = iter(one.images)
    while labels := next(images, None):
        samples.append(_sample(labels, waiting, taken))
        if len(samples) == SHARD_IMAGES:
            yield _write_shard(location, f"{one.split}-{number:06d}", one, samples, kinds)
            samples, number, taken = [], number + 1, set()
    if samples:
        yield _write_shard(location, f"{one.split}-{number:06d}", one, samples, kinds)


def _write_shard(
    location: StoragePath,
    name: str,
    one: SplitLabels,
    samples: list[ShardSample],
    kinds: Mapping[int | None, CategoryRecord],
) -> ShardEntry:
    used = {record.category_id for sample in samples for record in sample.annotations}
    head = Head([kind for number, kind in kinds.items() if number in used], one.head.info)
    return write_shard(location, name, one.split, samples, head)


def _sample(labels: ImageLabels, waiting: Path, taken: set[str]) -> ShardSample:
    name = str(labels.image.file_name)
    file = waiting / name
    found = {file.suffix.lower().removeprefix("."): file}
    found |= {suffix: waiting / f"{name}.{suffix}" for suffix in BESIDE}
    files = {suffix: read_file(path, IMAGE_BYTES, "the image") for suffix, path in found.items() if path.is_file()}
    for path in found.values():
        path.unlink(missing_ok=True)
    stem = free_stem(PurePosixPath(name).stem, labels.image.id or 0, taken)
    return ShardSample(stem, files, labels.image, labels.annotations)
