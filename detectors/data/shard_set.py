"""A sharded data set as training reads it: nothing is held but the index, the categories and the shards in use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from dataset.masks import decode_outlines
from dataset.pictures import decode_picture
from dataset.problems import Problems
from dataset.records import AnnotationRecord, ImageRecord, PictureLabels
from dataset.shards.cache import ShardCache
from dataset.shards.index import ShardEntry, tar_name
from dataset.shards.tar import LABELS, PICTURES, REPAIR, Members, picture_suffix, read_labels, scan_tar
from dataset.storage.path import StoragePath
from detectors.data.class_match import IGNORED, Classes, label_table
from detectors.data.mix import Windows
from detectors.data.rows import LabelledImage, read_row
from detectors.data.sample import Sample

SHARDS = "shards.json"
# Shards that are mixed at once: at 200 pictures each an image meets some 2,400 others.
WINDOW = 12


@dataclass(frozen=True, eq=False)
class ShardSet:
    """Labelled images in shards, labelled by `classes`. Images count from 0 through the shards in their order.

    label_of: category id to label, IGNORED for a class that is left out. sizes: (n, 2) int32, width and height of some
    of the images. masks: whether all annotations of these have one.
    rendered: whether they are synth's own. skip_bad: leave out annotations that cannot be
    used, instead of stopping.
    """

    name: str
    place: StoragePath
    shards: tuple[ShardEntry, ...]
    classes: Classes
    own: Classes
    own_label: dict[int, int]
    label_of: NDArray[np.int32]
    sizes: NDArray[np.int32]
    masks: bool
    rendered: bool
    cache: ShardCache
    skip_bad: bool = False
    window: int = WINDOW
    first: NDArray[np.int64] = field(init=False)
    _reader: ShardReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        counts = [shard.images for shard in self.shards]
        object.__setattr__(self, "first", np.cumsum([0, *counts], dtype=np.int64))
        object.__setattr__(self, "_reader", ShardReader(self.place, self.shards, self.cache, 2 * self.window))

    def __len__(self) -> int:
        return int(self.first[-1])

    @property
    def windows(self) -> Windows:
        """The order that the images are gone through in."""
        return Windows(np.diff(self.first), self.window)

    @property
    def columns(self) -> None:
        """None: the labels are read with their images."""

    @property
    def box_count(self) -> int:
        """Annotations in all shards, ignored ones included; 0 where no class of theirs has a label."""
        return sum(shard.annotations for shard in self.shards) if (self.label_of >= 0).any() else 0

    @property
    def missing_masks(self) -> str:
        """In words whether annotations have no mask, as far as the first shard shows it."""
        return "" if self.masks else "annotations of its first shard have no mask"

    @property
    def root(self) -> StoragePath:
        """Where it lies."""
        return self.place

    def relabelled(self, classes: Classes) -> ShardSet:
        """The same images labelled by `classes`; boxes of classes that it lacks become ignored regions."""
        return replace(self, classes=classes, label_of=label_table(classes, replace(self, classes=self.own)))

    def lost_classes(self, classes: Classes) -> list[str]:
        """Keys of the classes, whether they occur or not, that have no place among `classes`."""
        return [self.own.keys[label] for label in np.flatnonzero(self.relabelled(classes).label_of < 0)]

    def save(self, folder: Path) -> None:
        """Writes into `folder` where the shards are; `reopen_shards` opens them again."""
        head = {
            "name": self.name,
            "place": self.place.url,
            "split": self.shards[0].split,
            "keys": self.classes.keys,
            "names": self.classes.names,
            "cache_bytes": self.cache.most,
            "skip_bad": self.skip_bad,
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / SHARDS, json.dumps(head, ensure_ascii=False).encode())

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Begins to fetch shards from elsewhere, those that are needed next first."""
        self._reader.fetch_ahead(shards)

    def locate(self, index: int) -> str:
        """The name of an image for people."""
        shard, place = self._find(index)
        return f"{self.place.locate(tar_name(self.shards[shard].name))}, sample {place}"

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """An image with its boxes, and its masks where they are wanted and every box has one.

        Raises SynthError where shard, labels or picture cannot be used.
        """
        records, files, where = self._read(index)
        image = labelled_image(records.image, records.annotations, where, masks=masks)
        problems = Problems(where)
        row = read_row(image, self.own_label, self.own, problems)
        if problems.bad and not self.skip_bad:
            what, hint = "labels of a sample are invalid", f"{REPAIR}; --skip-bad"
            raise SynthError(what, code="records-invalid", where=where, problems=problems.lines(), hint=hint)
        labels = np.array([IGNORED if label == IGNORED else self.label_of[label] for label in row.labels], np.int64)
        outlines = decode_outlines(row.masks, image.height, image.width) if masks and all(row.masks) else None
        boxes = np.array(row.boxes, np.float32).reshape(-1, 4)
        return Sample(_picture(image, files, where), boxes, labels, outlines, np.array(row.visibility, np.float32))

    def read_picture(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image. Raises SynthError where it cannot be read."""
        labels, files, where = self._read(index)
        return _picture(labelled_image(labels.image, [], where, masks=False), files, where)

    def _read(self, index: int) -> tuple[PictureLabels, dict[str, bytes], str]:
        """The records of an image, its files by suffix, and its name for people."""
        shard, place = self._find(index)
        members, files = self._reader.read(shard, place)
        where = f"{self.place.locate(tar_name(self.shards[shard].name))}: {members.stem}"
        return read_labels(files[LABELS], where), files, where

    def _find(self, index: int) -> tuple[int, int]:
        """The shard of an image, and its place there."""
        shard = int(np.searchsorted(self.first, index, "right")) - 1
        return shard, index - int(self.first[shard])


def _picture(image: LabelledImage, files: dict[str, bytes], where: str) -> NDArray[np.uint8]:
    content = files[picture_suffix(files, image.record, where)]
    return decode_picture(content, image.width, image.height, where)


def labelled_image(
    record: ImageRecord, annotations: Sequence[AnnotationRecord], where: str, *, masks: bool
) -> LabelledImage:
    """An image record with its annotations as labels are read from; without their masks where these are not wanted."""
    if record.size is None:
        found = f"{record.value('width')!r} x {record.value('height')!r}"
        raise SynthError(
            "an image record has no size",
            code="image-size-missing",
            where=where,
            found=found,
            hint=REPAIR,
        )
    if not masks:
        annotations = [replace(entry, segmentation=None) for entry in annotations]
    return LabelledImage(replace(record, file_name=record.file_name or where), *record.size, list(annotations))


@dataclass(frozen=True)
class _Open:
    """A shard whose file is open. samples: where they lie."""

    file: int
    samples: list[Members]


class _OpenShards(LRUCache[int, _Open]):
    """The shards read last, by number; closes the files of the others."""

    def popitem(self) -> tuple[int, _Open]:
        shard, opened = super().popitem()
        os.close(opened.file)
        return shard, opened


class ShardReader:
    """Files of samples out of shards, some of which are kept open; each process opens its own."""

    def __init__(self, place: StoragePath, shards: tuple[ShardEntry, ...], cache: ShardCache, most_open: int) -> None:
        self.place, self.shards, self.cache, self.most_open = place, shards, cache, most_open
        self._opened = _OpenShards(most_open)
        self._process = os.getpid()
        self._ahead: dict[int, Future[Path]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("place", "shards", "cache", "most_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __del__(self) -> None:
        if vars(self).get("_process") == os.getpid():
            for opened in self._opened.values():
                os.close(opened.file)

    def read(self, shard: int, place: int) -> tuple[Members, dict[str, bytes]]:
        """The labels and the picture of a sample, by suffix; depth and the like beside them are left."""
        opened = self._open(shard)
        members = opened.samples[place]
        wanted = {suffix: span for suffix, span in members.spans.items() if suffix in (LABELS, *PICTURES)}
        return members, {suffix: os.pread(opened.file, size, first) for suffix, (first, size) in wanted.items()}

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Begins to fetch shards from elsewhere, those that are needed next first; does nothing for a local disk."""
        self._after_fork()
        if self.place.local is not None:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(2, thread_name_prefix="shards")
        wanted = list(shards)
        self._ahead = {shard: future for shard, future in self._ahead.items() if shard in wanted}
        for shard in wanted:
            if shard not in self._ahead and shard not in self._opened:
                self._ahead[shard] = self._threads.submit(self.cache.fetch, self.place, self.shards[shard])

    def _open(self, shard: int) -> _Open:
        self._after_fork()
        if shard not in self._opened:
            self._opened[shard] = _open_shard(self.place, self.shards[shard], self._path(shard))
        return self._opened[shard]

    def _path(self, shard: int) -> Path:
        if self.place.local is not None:
            return self.place.local / tar_name(self.shards[shard].name)
        future = self._ahead.pop(shard, None)
        path = future.result() if future is not None else None
        # What was fetched ahead may have made room for others by now.
        return path if path is not None and path.exists() else self.cache.fetch(self.place, self.shards[shard])

    def _after_fork(self) -> None:
        """Threads and connections stay behind in the parent."""
        if self._process != os.getpid():
            self._process, self._ahead, self._threads = os.getpid(), {}, None
            self.place = StoragePath(self.place.url)


def _open_shard(place: StoragePath, entry: ShardEntry, path: Path) -> _Open:
    """Raises SynthError where the shard is missing, of another size or with other samples than the index says."""
    where = place.locate(tar_name(entry.name))

    def differs(found: str, expected: str) -> SynthError:
        return SynthError(
            "a shard is damaged",
            code="shard-damaged",
            where=where,
            found=found,
            expected=f"{expected}, as index.json says",
        )

    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry.tar_bytes:
                raise differs(f"{size} bytes", f"{entry.tar_bytes}")
            samples = scan_tar(file, where)
            if len(samples) != entry.images:
                raise differs(f"{len(samples)} samples", f"{entry.images}")
            return _Open(os.dup(file.fileno()), samples)
    except OSError as error:
        raise SynthError(
            "a shard cannot be read", code="shard-damaged", where=where, found=str(error), hint=REPAIR
        ) from error
