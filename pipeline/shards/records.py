"""The records of a COCO file dealt to the shards that they will lie in, and put together with their images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from assets.limits import IMAGE_BYTES, read_file
from dataset.coco_spool import spool_records, spooled_labels
from dataset.find import CocoSplit
from dataset.layout import BESIDE, Layout, stem_in
from dataset.problems import Problems, check_usable
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord
from dataset.shards.index import ShardSample, free_stem
from dataset.shards.tar import IMAGES
from dataset.spool import BlockSpool
from dataset.store import leaves_folder
from dataset.values import short, whole_number


def fill_spool(spool: BlockSpool, splits: Sequence[CocoSplit], shard_images: int) -> list[int]:
    """Every record into the part of its shard; return the number of images of each split.

    Raises SynthError with every problem of every split at once.
    """
    counts: list[int] = []
    found: list[Problems] = []
    first = 0
    for split in splits:
        problems = Problems(f"{split.name} ({split.file})")
        ids = spool_records(
            split.file,
            spool,
            size=shard_images,
            first=first,
            image=partial(_check_image, split, problems),
            stray=partial(_check_image_of, problems),
        )
        _check_ids(ids, split, problems)
        counts.append(len(ids))
        found.append(problems)
        first += -(-len(ids) // shard_images)
    check_usable(found, skip_bad=False)
    return counts


def _check_image(split: CocoSplit, problems: Problems, record: ImageRecord) -> None:
    numbers, name = [whole_number(record.value(key)) for key in ("id", "width", "height")], record.file_name
    if name is None or None in numbers:
        problems.spoil("images without an id, a file_name, width and height", short(record.content()))
    elif leaves_folder(name):
        problems.spoil("images outside the image folder", short(name))
    elif _suffix(name) not in IMAGES:
        problems.spoil("images that are not image files by name", short(name))
    elif not (split.images / name).is_file():
        problems.spoil("images that are missing", short(name))


def _check_image_of(problems: Problems, record: AnnotationRecord, known: bool) -> None:
    if not known:
        problems.spoil("annotations of unknown images", f"annotation {short(record.value('id'))}")


def _check_ids(ids: Sequence[int], split: CocoSplit, problems: Problems) -> None:
    numbers, counts = np.unique(np.array(ids, np.int64), return_counts=True)
    for twice in numbers[counts > 1].tolist():
        problems.spoil("image ids given twice", f"id {twice}")
    if not ids:
        problems.spoil("files without images", split.file.name)


def samples_of_part(blocks: Iterable[bytes], split: CocoSplit) -> list[ShardSample]:
    """The samples of a shard: images, what lies beside them, and their annotations in the order of the file."""
    taken: set[str] = set()
    return [_sample(labels, split, taken) for labels in spooled_labels(blocks)]


def _sample(labels: ImageLabels, split: CocoSplit, taken: set[str]) -> ShardSample:
    image = labels.image
    name = str(image.file_name).replace("\\", "/")
    stem = PurePosixPath(name).stem
    files = {_suffix(name): read_file(split.images / str(image.file_name), IMAGE_BYTES, "the image")}
    for suffix, folder in BESIDE.items():
        path = Layout(split.root).file(folder, stem_in(name))
        if path.is_file():
            files[suffix] = read_file(path, IMAGE_BYTES, "the image")
    return ShardSample(free_stem(stem, int(image.value("id")), taken), files, image, labels.annotations)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower().removeprefix(".")
