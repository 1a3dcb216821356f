"""Training images from a sharded data set; memory holds only the index, the categories and the open shards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from dataset.images import decode_image
from dataset.masks import decode_outlines
from dataset.problems import Problems
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord
from dataset.shards.cache import ShardCache
from dataset.shards.index import ShardEntry, tar_name
from dataset.shards.tar import IMAGES, LABELS, REPAIR, Members, check_tar, image_suffix, read_labels, scan_tar
from dataset.storage.path import StoragePath
from detectors.data.class_match import IGNORED, Classes, label_table
from detectors.data.mix import Windows
from detectors.data.rows import LabelledImage, corners_of, read_row
from detectors.data.sample import Sample
from detectors.data.settings import BoxKind

SHARDS = "shards.json"
# Shards shuffled together: at 200 images each, an image is shuffled among 2,400.
WINDOW = 12


@dataclass(frozen=True, eq=False)
class ShardSet:
    """Images in shards, labelled by `classes`. Images are numbered from 0 across the shards in their order.

    own, own_label: the set's own classes, and category id -> its label among them. label_of: own label -> label in
    `classes`, IGNORED if it has none. sizes: (n, 2) int32, width and height of some of the images. masks, keypoints:
    whether all annotations of these have some. rendered: whether `synth` rendered them. skip_bad: skip unusable
    annotations instead of raising. boxes: around visible pixels or whole products. kept: positions (n,) int64 in each
    shard of the images that are used, None for all.
    """

    name: str
    root: StoragePath
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
    boxes: BoxKind = "visible"
    window: int = WINDOW
    keypoints: bool = False
    kept: tuple[NDArray[np.int64], ...] | None = None
    first: NDArray[np.int64] = field(init=False)
    _reader: ShardReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        counts = [len(self.positions(shard)) for shard in range(len(self.shards))]
        object.__setattr__(self, "first", np.cumsum([0, *counts], dtype=np.int64))
        object.__setattr__(self, "_reader", ShardReader(self.root, self.shards, self.cache, 2 * self.window))

    def __len__(self) -> int:
        return int(self.first[-1])

    def positions(self, shard: int) -> NDArray[np.int64]:
        """Return the positions (n,) in a shard of the images that are used."""
        return np.arange(self.shards[shard].images) if self.kept is None else self.kept[shard]

    @property
    def windows(self) -> Windows:
        """The order in which to read the images."""
        return Windows(np.diff(self.first), self.window)

    @property
    def columns(self) -> None:
        """None, since labels are read together with their images."""

    @property
    def live(self) -> None:
        """None, since the images are stored."""

    @property
    def box_count(self) -> int:
        """Number of annotations in all shards, ignored ones included; 0 if none of the set's classes has a label."""
        return sum(shard.annotations for shard in self.shards) if (self.label_of >= 0).any() else 0

    @property
    def missing_masks(self) -> str:
        """A message if annotations of the first shard lack masks, else ""."""
        if self.boxes == "amodal":
            return "amodal boxes have no masks"
        return "" if self.masks else "annotations of the first shard have no masks"

    @property
    def missing_keypoints(self) -> str:
        """A message if annotations of the first shard lack keypoints, else ""."""
        return "" if self.keypoints else "annotations of the first shard have no keypoints"

    def relabelled(self, classes: Classes) -> ShardSet:
        """Return the same images labelled by `classes`; boxes of other classes become ignored regions."""
        return replace(self, classes=classes, label_of=label_table(classes, replace(self, classes=self.own)))

    def lost_classes(self, classes: Classes) -> list[str]:
        """Return the keys of the set's classes that are not in `classes`, whether they occur in its images or not."""
        return [self.own.keys[label] for label in np.flatnonzero(self.relabelled(classes).label_of < 0)]

    def save(self, folder: Path) -> None:
        """Write the location of the shards into `folder`, from where `reopen_shards` opens them again."""
        head = {
            "name": self.name,
            "place": self.root.url,
            "split": self.shards[0].split,
            "keys": self.classes.keys,
            "names": self.classes.names,
            "cache_bytes": self.cache.most,
            "skip_bad": self.skip_bad,
            "boxes": self.boxes,
            "kept": None if self.kept is None else [places.tolist() for places in self.kept],
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / SHARDS, json.dumps(head, ensure_ascii=False).encode())

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Start to download remote shards in the background. shards: in the order of need."""
        self._reader.fetch_ahead(shards)

    def locate(self, index: int) -> str:
        """Return the name of an image for messages."""
        shard, index = self._find(index)
        return f"{self.root.locate(tar_name(self.shards[shard].name))}, sample {index}"

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """Read an image with its boxes, and with masks if requested and if every box has one.

        Raises SynthError if shard, labels or image are unusable.
        """
        records, files, where = self._read(index)
        labels = OwnLabels(self.own, self.own_label, self.label_of, self.boxes)
        return make_sample(records, files, where, labels, masks=masks, skip_bad=self.skip_bad)

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """Read an image as (H, W, 3) uint8 RGB. Raises SynthError if it cannot be read."""
        labels, files, where = self._read(index)
        return decode_file(labelled_image(labels.image, [], where, masks=False), files, where)

    def _read(self, index: int) -> tuple[ImageLabels, dict[str, bytes], str]:
        """Return the records of an image, its files by suffix, and its name for messages."""
        shard, index = self._find(index)
        members, files = self._reader.read(shard, index)
        where = f"{self.root.locate(tar_name(self.shards[shard].name))}: {members.stem}"
        return read_labels(files[LABELS], where), files, where

    def _find(self, index: int) -> tuple[int, int]:
        """Return the shard of an image, and its index in that shard."""
        shard = int(np.searchsorted(self.first, index, "right")) - 1
        return shard, int(self.positions(shard)[index - int(self.first[shard])])


@dataclass(frozen=True)
class OwnLabels:
    """How the labels of a set become those of a training. own: the set's classes. own_label: of each category id.

    label_of: own label -> label of the training, IGNORED if it has none. boxes: their kind.
    """

    own: Classes
    own_label: Mapping[int, int]
    label_of: NDArray[np.int32]
    boxes: BoxKind = "visible"


def make_sample(
    records: ImageLabels,
    files: Mapping[str, bytes],
    where: str,
    labels: OwnLabels,
    *,
    masks: bool,
    skip_bad: bool = False,
) -> Sample:
    """Make a training sample of an image's records and files, with masks if requested and if every box has one.

    Raises SynthError if records or image are unusable.
    """
    image = labelled_image(records.image, records.annotations, where, masks=masks)
    problems = Problems(where)
    row = read_row(image, labels.own_label, labels.own, problems, labels.boxes)
    if problems.bad and not skip_bad:
        what, hint = "labels of a sample are invalid", f"{REPAIR}; --skip-bad"
        raise SynthError(what, code="records-invalid", where=where, problems=problems.lines(), hint=hint)
    targets = np.array([IGNORED if label == IGNORED else labels.label_of[label] for label in row.labels], np.int64)
    outlines = decode_outlines(row.masks, image.height, image.width) if masks and all(row.masks) else None
    boxes = np.array(row.boxes, np.float32).reshape(-1, 4)
    visibility, corners = np.array(row.visibility, np.float32), corners_of(row.keypoints)
    return Sample(decode_file(image, files, where), boxes, targets, outlines, visibility, keypoints=corners)


def decode_file(image: LabelledImage, files: Mapping[str, bytes], where: str) -> NDArray[np.uint8]:
    content = files[image_suffix(files, image.record, where)]
    return decode_image(content, image.width, image.height, where)


def labelled_image(
    record: ImageRecord, annotations: Sequence[AnnotationRecord], where: str, *, masks: bool
) -> LabelledImage:
    """Combine an image record with its annotations; masks are dropped unless requested."""
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
    """A shard with an open file descriptor. samples: positions of the files of each sample."""

    file: int
    samples: list[Members]


class _OpenShards(LRUCache[int, _Open]):
    """The shards read last, by number; closes the files of the others."""

    def popitem(self) -> tuple[int, _Open]:
        shard, opened = super().popitem()
        os.close(opened.file)
        return shard, opened


class ShardReader:
    """Reads the files of samples from shards and keeps some shards open; each process opens its own files."""

    def __init__(self, root: StoragePath, shards: tuple[ShardEntry, ...], cache: ShardCache, most_open: int) -> None:
        self.root, self.shards, self.cache, self.most_open = root, shards, cache, most_open
        self._opened = _OpenShards(most_open)
        self._process = os.getpid()
        self._ahead: dict[int, Future[Path]] = {}
        self._threads: ThreadPoolExecutor | None = None
        # Threads of one process may read at once, and one must not close what another has open.
        self._reading = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("root", "shards", "cache", "most_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __del__(self) -> None:
        if vars(self).get("_process") == os.getpid():
            for opened in self._opened.values():
                os.close(opened.file)

    def read(self, shard: int, index: int) -> tuple[Members, dict[str, bytes]]:
        """Read the label and image files of a sample, by suffix; others such as depth are not read."""
        with self._reading:
            opened = self._open(shard)
            members = opened.samples[index]
            wanted = {suffix: span for suffix, span in members.spans.items() if suffix in (LABELS, *IMAGES)}
            return members, {suffix: os.pread(opened.file, size, first) for suffix, (first, size) in wanted.items()}

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Start to download remote shards in the background, those needed next first; nothing to do for local ones."""
        self._after_fork()
        if self.root.local is not None:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(2, thread_name_prefix="shards")
        wanted = list(shards)
        self._ahead = {shard: future for shard, future in self._ahead.items() if shard in wanted}
        for shard in wanted:
            if shard not in self._ahead and shard not in self._opened:
                self._ahead[shard] = self._threads.submit(self.cache.fetch, self.root, self.shards[shard])

    def _open(self, shard: int) -> _Open:
        self._after_fork()
        if shard not in self._opened:
            self._opened[shard] = _open_shard(self.root, self.shards[shard], self._path(shard))
        return self._opened[shard]

    def _path(self, shard: int) -> Path:
        if self.root.local is not None:
            return self.root.local / tar_name(self.shards[shard].name)
        future = self._ahead.pop(shard, None)
        path = future.result() if future is not None else None
        # A shard that was fetched ahead may have been evicted from the cache since.
        return path if path is not None and path.exists() else self.cache.fetch(self.root, self.shards[shard])

    def _after_fork(self) -> None:
        """Reset threads and connections in a forked process, as they belong to the parent."""
        if self._process != os.getpid():
            self._process, self._ahead, self._threads = os.getpid(), {}, None
            self.root = StoragePath(self.root.url)


def _open_shard(root: StoragePath, entry: ShardEntry, path: Path) -> _Open:
    """Open a shard. Raises SynthError if it is missing, or if its bytes or number of samples differ from the index."""
    where = root.locate(tar_name(entry.name))
    check_tar(path, entry, where)
    try:
        with path.open("rb") as file:
            samples = scan_tar(file, where)
            if len(samples) != entry.images:
                found, expected = f"{len(samples)} samples", f"{entry.images}, as index.json says"
                what = "a shard is damaged"
                raise SynthError(what, code="shard-damaged", where=where, found=found, expected=expected)
            return _Open(os.dup(file.fileno()), samples)
    except OSError as error:
        raise SynthError(
            "a shard cannot be read", code="shard-damaged", where=where, found=str(error), hint=REPAIR
        ) from error
