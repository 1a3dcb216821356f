"""Records of a COCO file brought together by image: they wait on disk, since annotations may come in any order."""

from __future__ import annotations

import marshal
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from assets.limits import DATASET_IMAGES, DATASET_INSTANCES
from dataset.coco_reader import objects_of
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord
from dataset.spool import BlockSpool
from dataset.values import whole_number

# Records wait in Python's own binary form: JSON text takes ten times longer, and only this command reads them.
IMAGE, ANNOTATION = b"i", b"a"


def spool_records(
    file: Path,
    spool: BlockSpool,
    *,
    size: int,
    first: int = 0,
    image: Callable[[ImageRecord], None] | None = None,
    stray: Callable[[AnnotationRecord, bool], None] | None = None,
) -> array[int]:
    """Sort the records of a COCO file into parts of `size` images, from part `first` on; return the ids of the images.

    image: called with each image. stray: called with each annotation of an unknown image (False), which is left out,
    and each one that comes after annotations of a later image (True). Raises SynthError for too many records.
    """
    ids: array[int] = array("q")
    for place, content in enumerate(objects_of(file, "images")):
        DATASET_IMAGES.check(place + 1, str(file))
        spool.add(first + place // size, IMAGE + marshal.dumps(content))
        number = whole_number(content.get("id"))
        ids.append(-(2**63) if number is None else number)
        if image is not None:
            image(ImageRecord.parse(content))
    order = np.argsort(np.array(ids, np.int64), kind="stable")
    rising, last = array("q", np.array(ids, np.int64)[order].tobytes()), 0
    held = np.zeros(len(ids), np.int32)
    for content in objects_of(file, "annotations"):
        of = whole_number(content.get("image_id"))
        rank = bisect_left(rising, of) if of is not None else len(rising)
        known = rank < len(rising) and rising[rank] == of
        place = int(order[rank]) if known else -1
        if known:
            held[place] += 1
            spool.add(first + place // size, ANNOTATION + marshal.dumps(content))
        if place < last and stray is not None:
            stray(AnnotationRecord.parse(content), known)
        last = max(last, place)
    if len(held) and held.max() > DATASET_INSTANCES.maximum:
        DATASET_INSTANCES.check(int(held.max()), f"{file}, image id {ids[int(held.argmax())]}")
    return ids


def spooled_labels(blocks: Iterable[bytes]) -> Iterator[ImageLabels]:
    """The images of a part with their annotations, all in the order of the file."""
    images: list[ImageRecord] = []
    annotations: dict[int | None, list[AnnotationRecord]] = {}
    for block in blocks:
        content = marshal.loads(block[1:])
        if block[:1] == IMAGE:
            images.append(ImageRecord.parse(content))
        else:
            own = annotations.setdefault(whole_number(content["image_id"]), [])
            own.append(AnnotationRecord.parse(content))
    for image in images:
        yield ImageLabels(image, annotations.pop(whole_number(image.value("id")), []))
