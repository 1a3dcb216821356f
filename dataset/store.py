"""Stores: data sets in folders, COCO files and shards, read by the same calls."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from assets.errors import SynthError
from assets.files.json_input import parse_json, read_json
from assets.files.scratch import scratch_folder
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, DATASET_JSON, IMAGE_BYTES, read_file
from dataset.coco_reader import head_of, images_of, objects_of
from dataset.coco_spool import spool_records, spooled_labels
from dataset.find import CocoSplit, find_splits
from dataset.layout import BESIDE, SHOP, Layout, stem_in
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels
from dataset.shards.index import ShardEntry, has_index, read_categories, read_index, tar_name
from dataset.shards.parts import read_part
from dataset.shards.tar import image_suffix, read_samples
from dataset.shop import ShopRecords
from dataset.spool import BlockSpool
from dataset.storage.path import RemoteFile, StoragePath
from dataset.values import whole_number

# Images whose annotations are held at once.
AT_ONCE = 1024
# Beside the shards of a set: what it was made from.
ABOUT = "dataset.json"


@dataclass(frozen=True)
class StoredImage:
    """An image with its labels. data: its file, or the content of it. where: location for messages.

    beside: the same of what `synth render` stores beside it, by folder: depth, normals, ids, shop, scenes. A path may
    name a file that is not there, and so may one of a storage.
    """

    labels: ImageLabels
    data: bytes | Path
    where: str
    beside: Mapping[str, bytes | Path | RemoteFile] = field(default_factory=dict)

    def read(self) -> bytes:
        """Read the image file. Raises SynthError if it cannot be read."""
        return self.data if isinstance(self.data, bytes) else read_file(self.data, IMAGE_BYTES, "the image")

    def read_shop(self) -> ShopRecords | None:
        """Read the labels of shops, if it has any. Raises SynthError if they are damaged."""
        data = self.read_beside(SHOP)
        return None if data is None else ShopRecords.parse(data, self.where)

    def read_beside(self, folder: str) -> bytes | None:
        """Read what is stored beside it in a folder, None without any. Raises SynthError if it cannot be read."""
        data = self.beside.get(folder)
        if isinstance(data, Path):
            limit = DATASET_JSON if data.suffix == ".json" else IMAGE_BYTES
            return read_file(data, limit, "a file beside an image") if data.is_file() else None
        return data.read() if isinstance(data, RemoteFile) else data

    def has_beside(self, folder: str) -> bool:
        """Whether something is stored beside it in a folder; in a storage, whether the set has that folder."""
        data = self.beside.get(folder)
        return data.is_file() if isinstance(data, Path) else data is not None


class DataPart(Protocol):
    """Images of one split that are read together: a COCO file, a shard."""

    @property
    def split(self) -> str:
        """Name of the split, such as "train"."""

    @property
    def count(self) -> int:
        """Number of images."""

    def labels(self) -> Iterator[ImageLabels]:
        """Iterate over the labels of all images in order, in flat memory. Raises SynthError if they cannot be read."""

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        """Iterate over images with their labels in order: all, or those at some positions, counted from 0."""


class DataStore(Protocol):
    """A data set, whichever way it is stored."""

    @property
    def where(self) -> str:
        """Location for messages."""

    @property
    def parts(self) -> Sequence[DataPart]:
        """The parts, those of a split in order."""

    @property
    def categories(self) -> Sequence[CategoryRecord]:
        """Categories of the whole data set; none if there are only labels of single images."""

    def head(self, split: str) -> Head:
        """Info, licences and categories of a split."""


def open_dataset(source: str | Path, *, images: Path | None = None, unfinished: bool = False) -> DataStore:
    """Open the data set at `source`: a COCO file, a folder with COCO files, or shards at any location.

    images: folder of the images if they are not beside their COCO file. unfinished: read a folder of `synth render` by
    the labels of its single images, whether it has COCO files or not. Raises SynthError if there is no data set.
    """
    if store := sharded_store(source):
        return store
    folder = Path(source)
    if unfinished and folder.is_dir() and Layout(folder).info.exists() and any((folder / "labels").glob("*.json")):
        return RenderedStore(folder)
    return CocoStore(folder, tuple(CocoPart(split) for split in find_splits(folder, images)))


def sharded_store(source: str | Path) -> ShardStore | None:
    """Open the sharded data set at `source`; None if there is no index of shards."""
    location = StoragePath(str(source))
    return None if Path(source).is_file() or not has_index(location) else ShardStore(location)


def _beside(layout: Layout, stem: str) -> Mapping[str, Path]:
    return {folder: layout.file(folder, stem) for folder in BESIDE.values()}


def leaves_folder(name: str) -> bool:
    """Whether a file name of a record points outside its folder."""
    plain = name.replace("\\", "/")
    return PurePosixPath(plain).is_absolute() or posixpath.normpath(plain).split("/")[0] == ".."


@dataclass(frozen=True)
class CocoStore:
    """COCO files on disk, one part for each split."""

    path: Path
    parts: tuple[CocoPart, ...]

    @property
    def where(self) -> str:
        return str(self.path)

    @cached_property
    def categories(self) -> Sequence[CategoryRecord]:
        by_id: dict[int | None, CategoryRecord] = {}
        for part in self.parts:
            for one in head_of(part.source.file).categories:
                if by_id.setdefault(one.id, one).key != one.key:
                    found = f"{one.id} is {by_id[one.id].key!r} and {one.key!r}"
                    raise SynthError(
                        "the splits have different categories",
                        code="categories-differ",
                        where=self.where,
                        found=found,
                    )
        return list(by_id.values())

    def head(self, split: str) -> Head:
        return head_of(next(part for part in self.parts if part.split == split).source.file)


@dataclass(frozen=True)
class CocoPart:
    """A COCO file with its images."""

    source: CocoSplit

    @property
    def split(self) -> str:
        return self.source.name

    @cached_property
    def count(self) -> int:
        count = 0
        for count, _ in enumerate(objects_of(self.source.file, "images"), start=1):
            DATASET_IMAGES.check(count, str(self.source.file))
        return count

    def labels(self, stray: Callable[[AnnotationRecord, bool], None] | None = None) -> Iterator[ImageLabels]:
        """Iterate over the labels as `DataPart.labels`; annotations of unknown images are left out.

        The file is read twice; records wait on disk until their image is due. stray: as for `spool_records`.
        """
        with scratch_folder("labels") as folder:
            spool = BlockSpool(Path(folder) / "records")
            spool.clear()
            count = len(spool_records(self.source.file, spool, size=AT_ONCE, stray=stray))
            spool.finish()
            for part in range(-(-count // AT_ONCE)):
                yield from spooled_labels(spool.blocks(part))

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        yield from map(self.stored, self.chosen_labels(only))

    def chosen_labels(self, only: Collection[int] | None) -> Iterator[ImageLabels]:
        """Iterate over all labels, or those at some positions: few of them are read at once, many in flat memory."""
        if only is None:
            return self.labels()
        if len(only) <= AT_ONCE:
            return self._some(only)
        return (labels for place, labels in enumerate(self.labels()) if place in only)

    def _some(self, only: Collection[int]) -> Iterator[ImageLabels]:
        """The labels of a few images, held in memory."""
        images = [image for place, image in enumerate(images_of(self.source.file)) if place in only]
        drawn: dict[int | None, list[AnnotationRecord]] = {whole_number(one.value("id")): [] for one in images}
        drawn.pop(None, None)
        for content in objects_of(self.source.file, "annotations") if drawn else ():
            own = drawn.get(whole_number(content.get("image_id")))
            if own is not None:
                own.append(AnnotationRecord.parse(content))
                DATASET_INSTANCES.check(len(own), f"{self.source.file}, image id {content['image_id']}")
        for image in images:
            yield ImageLabels(image, drawn.get(whole_number(image.value("id")), []))

    def stored(self, labels: ImageLabels) -> StoredImage:
        """Find the image of labels of this part. Raises SynthError if it has no file name, or an unsafe one."""
        name = labels.image.file_name
        if name is None:
            found = str(labels.image.content())[:200]
            raise SynthError(
                "an image has no file_name",
                code="image-id-missing",
                where=str(self.source.file),
                found=found,
            )
        if leaves_folder(name):
            hint = "give the folder that contains all images with --images"
            raise SynthError(
                "an image lies outside the image folder",
                code="path-unsafe",
                where=str(self.source.file),
                found=name,
                hint=hint,
            )
        path = self.source.images / name.replace("\\", "/")
        return StoredImage(labels, path, str(path), _beside(Layout(self.source.root), stem_in(name)))


@dataclass(frozen=True)
class RenderedStore:
    """A folder of `synth render`, finished or not, read by the labels of its single images: a store of one part."""

    folder: Path
    split: str = "all"

    @property
    def where(self) -> str:
        return str(self.folder)

    @property
    def parts(self) -> Sequence[RenderedStore]:
        return (self,)

    @property
    def categories(self) -> Sequence[CategoryRecord]:
        return ()

    def head(self, split: str) -> Head:
        return Head(self.categories)

    @cached_property
    def _files(self) -> Sequence[Path]:
        return sorted((self.folder / "labels").glob("*.json"))

    @property
    def count(self) -> int:
        return len(self._files)

    def labels(self) -> Iterator[ImageLabels]:
        return map(_read_labels, self._files)

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        for place, file in enumerate(self._files):
            if only is None or place in only:
                layout = Layout(self.folder)
                path = layout.image(file.stem)
                yield StoredImage(_read_labels(file), path, str(path), _beside(layout, file.stem))


def _read_labels(file: Path) -> ImageLabels:
    try:
        labels = ImageLabels.parse(read_json(file, DATASET_JSON, "the labels"))
    except (KeyError, TypeError, ValueError) as error:
        hint = "'synth verify' names everything that is wrong with the data set"
        found = "no image record and list of annotations"
        raise SynthError(
            "the labels of an image cannot be read", code="records-invalid", where=str(file), found=found, hint=hint
        ) from error
    DATASET_INSTANCES.check(len(labels.annotations), str(file))
    return labels


@dataclass(frozen=True)
class ShardStore:
    """A sharded set on any storage."""

    location: StoragePath

    @property
    def where(self) -> str:
        return self.location.url

    @cached_property
    def shards(self) -> Sequence[ShardEntry]:
        """The shards of the index, in order."""
        return read_index(self.location).shards

    @property
    def parts(self) -> Sequence[ShardImages]:
        return tuple(ShardImages(self.location, entry) for entry in self.shards)

    @cached_property
    def categories(self) -> Sequence[CategoryRecord]:
        return read_categories(self.location)

    def head(self, split: str) -> Head:
        entry = next(part.entry for part in self.parts if part.split == split)
        head = read_part(self.location, entry).head
        return replace(head, categories=self.categories, licenses=self._licenses(split))

    def _licenses(self, split: str) -> Sequence[Any]:
        """Licences of a split, which stand beside the shards; none where that file is missing or damaged."""
        with suppress(FileNotFoundError, SynthError, AttributeError, KeyError, TypeError):
            where = self.location.locate(ABOUT)
            about: Any = parse_json(self.location.read(ABOUT), "what the set was made from", where)
            found = about["splits"][split]["licenses"]
            return found if isinstance(found, list) else ()
        return ()


@dataclass(frozen=True)
class ShardImages:
    """The images of one shard."""

    location: StoragePath
    entry: ShardEntry

    @property
    def split(self) -> str:
        return self.entry.split

    @property
    def count(self) -> int:
        return self.entry.images

    def labels(self) -> Iterator[ImageLabels]:
        """Iterate over the labels of the COCO part, without reading the images."""
        part = read_part(self.location, self.entry)
        by_image: dict[int | None, list[AnnotationRecord]] = {one.id: [] for one in part.images}
        for record in part.annotations:
            by_image.setdefault(record.image_id, []).append(record)
        for image in part.images:
            yield ImageLabels(image, by_image.get(image.id, []))

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        for place, sample in enumerate(read_samples(self.location, self.entry)):
            if only is None or place in only:
                where = f"{self.location.locate(tar_name(self.entry.name))}, {sample.stem}"
                image = sample.files[image_suffix(sample.files, sample.image, where)]
                beside = {BESIDE[suffix]: data for suffix, data in sample.files.items() if suffix in BESIDE}
                yield StoredImage(sample.labels, image, where, beside)
