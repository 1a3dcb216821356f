"""The records of a COCO file dealt to the shards that they will lie in, and put together with their images."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from assets.limits import DATASET_INSTANCES, DATASET_PICTURES, PICTURE_BYTES, read_file
from dataset.coco_reader import annotations_of, images_of
from dataset.find import CocoSplit
from dataset.problems import Problems, check_usable
from dataset.records import AnnotationRecord, ImageRecord
from dataset.shards.index import ShardSample
from dataset.shards.tar import PICTURES
from dataset.spool import BlockSpool
from dataset.store import leaves_folder
from dataset.values import short, whole_number

# What `synth render` writes beside the images: suffix in the tar, folder and suffix on disk.
BESIDE = (
    ("depth.png", "depth", ".png"),
    ("normals.png", "normals", ".png"),
    ("ids.png", "ids", ".png"),
    ("scene.json", "scenes", ".json"),
)
# Stems that every tar reader takes apart as we do: up to the first dot.
STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}")
IMAGE, ANNOTATION = b"i", b"a"


def fill_spool(spool: BlockSpool, splits: Sequence[CocoSplit], shard_images: int) -> list[int]:
    """Every record into the part of its shard; return the number of images of each split.

    Raises SynthError with every problem of every split at once.
    """
    counts: list[int] = []
    found: list[Problems] = []
    first = 0
    for split in splits:
        problems = Problems(f"{split.name} ({split.file})")
        ids = _spool_images(spool, split, first, shard_images, problems)
        _spool_annotations(spool, split, ids, first, shard_images, problems)
        counts.append(len(ids))
        found.append(problems)
        first += -(-len(ids) // shard_images)
    check_usable(found, skip_bad=False)
    return counts


def _spool_images(spool: BlockSpool, split: CocoSplit, first: int, shard_images: int, problems: Problems) -> array[int]:
    """The ids of the images in their order."""
    ids: array[int] = array("q")
    for record in images_of(split.file):
        number, name = whole_number(record.value("id")), record.file_name
        sides = [whole_number(record.value(side)) for side in ("width", "height")]
        if number is None or name is None or None in sides:
            problems.spoil("images without an id, a file_name, width and height", short(record.content()))
            number = -1 if number is None else number
        elif leaves_folder(name):
            problems.spoil("images outside the image folder", short(name))
        elif _suffix(name) not in PICTURES:
            problems.spoil("images that are not image files by name", short(name))
        elif not (split.images / name).is_file():
            problems.spoil("images that are missing", short(name))
        DATASET_PICTURES.check(len(ids) + 1, str(split.file))
        spool.add(first + len(ids) // shard_images, IMAGE + _block(record))
        ids.append(number)
    numbers, counts = np.unique(np.array(ids, np.int64), return_counts=True)
    for twice in numbers[counts > 1].tolist():
        problems.spoil("image ids given twice", f"id {twice}")
    if not ids:
        problems.spoil("files without images", split.file.name)
    return ids


def _spool_annotations(
    spool: BlockSpool, split: CocoSplit, ids: array[int], first: int, shard_images: int, problems: Problems
) -> None:
    order = np.argsort(np.array(ids, np.int64), kind="stable")
    rising, places = array("q", np.array(ids, np.int64)[order].tobytes()), order.astype(np.int32)
    held = np.zeros(len(ids), np.int32)
    for record in annotations_of(split.file):
        image = whole_number(record.value("image_id"))
        rank = bisect_left(rising, image) if image is not None else len(rising)
        if rank == len(rising) or rising[rank] != image:
            problems.spoil("annotations of unknown images", f"annotation {short(record.value('id'))}")
            continue
        place = int(places[rank])
        held[place] += 1
        spool.add(first + place // shard_images, ANNOTATION + _block(record))
    if len(held) and held.max() > DATASET_INSTANCES.maximum:
        DATASET_INSTANCES.check(int(held.max()), f"{split.file}, image id {ids[int(held.argmax())]}")


def samples_of_part(blocks: Iterable[bytes], split: CocoSplit) -> list[ShardSample]:
    """The samples of a shard: images, what lies beside them, and their annotations in the order of the file."""
    images: list[ImageRecord] = []
    annotations: dict[int, list[AnnotationRecord]] = {}
    for block in blocks:
        content = json.loads(block[1:])
        if block[:1] == IMAGE:
            images.append(ImageRecord.parse(content))
            annotations[int(content["id"])] = []
        else:
            annotations[int(content["image_id"])].append(AnnotationRecord.parse(content))
    taken: set[str] = set()
    return [_sample(image, annotations[int(image.value("id"))], split, taken) for image in images]


def _sample(image: ImageRecord, annotations: list[AnnotationRecord], split: CocoSplit, taken: set[str]) -> ShardSample:
    name = str(image.file_name).replace("\\", "/")
    stem = PurePosixPath(name).stem
    files = {_suffix(name): read_file(split.images / str(image.file_name), PICTURE_BYTES, "the image")}
    for suffix, folder, ending in BESIDE:
        path = split.root / folder / f"{stem}{ending}"
        if path.is_file():
            files[suffix] = read_file(path, PICTURE_BYTES, "the image")
    return ShardSample(_free_stem(stem, int(image.value("id")), taken), files, image, annotations)


def _free_stem(stem: str, number: int, taken: set[str]) -> str:
    """The stem where every tar reader understands it and no other sample of the shard has it, else a number."""
    free = stem if STEM.fullmatch(stem) and stem not in taken else f"image{number:012d}"
    while free in taken:
        free += "_"
    taken.add(free)
    return free


def _suffix(name: str) -> str:
    return Path(name).suffix.lower().removeprefix(".")


def _block(record: ImageRecord | AnnotationRecord) -> bytes:
    return json.dumps(record.content(), ensure_ascii=False).encode(errors="surrogatepass")
