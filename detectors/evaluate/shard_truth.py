"""The labels of one shard at a time, for evaluation, and what a detector found in its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import COCO_BYTES, COCO_VALUES
from dataset.problems import Problems
from dataset.shards.index import coco_name
from dataset.shards.parts import ids_of, read_part
from dataset.shards.tar import REPAIR
from dataset.values import short, whole_number
from detectors.data.image_set import Classes, ImageSet, Predictions
from detectors.data.read_coco import columns_of
from detectors.data.rows import read_row
from detectors.data.shard_set import ShardSet, labelled_image
from detectors.evaluate.results import ResultRow, as_predictions, coco_rows, write_rows

if TYPE_CHECKING:
    from detectors.models.detect import Detections

FORGET = "delete the file: the same command writes it again"


def read_truth(shards: ShardSet, shard: int, problems: Problems) -> ImageSet:
    """The images of a shard that are used, with their labels, by the set's own classes, in the order of the tar.

    Raises SynthError where the COCO part is missing or damaged; single records that cannot be used go to `problems`.
    """
    entry = shards.shards[shard]
    where = shards.root.locate(coco_name(entry.name))
    part = read_part(shards.root, entry)
    ids = ids_of(part.images, where).tolist()
    used, known = set(shards.positions(shard).tolist()), set(ids)
    images = {
        number: labelled_image(record, [], where, masks=False)
        for place, (number, record) in enumerate(zip(ids, part.images, strict=True))
        if place in used
    }
    for record in part.annotations:
        number = whole_number(record.value("image_id")) or 0
        image = images.get(number)
        if number not in known:
            found = f"an annotation of image {short(record.value('image_id'))}"
            raise SynthError(
                "the labels of a shard are invalid",
                code="shard-labels-damaged",
                where=where,
                found=found,
                hint=REPAIR,
            )
        if image is not None:
            image.boxes.append(replace(record, segmentation=None))
    rows = [read_row(image, shards.own_label, shards.own, problems, shards.boxes) for image in images.values()]
    groups = np.arange(len(images), dtype=np.int32)
    return columns_of(shards.name, Path(entry.name), shards.own, images, rows, groups)


def write_found(
    path: Path, image_ids: Sequence[int], found: Sequence[Detections], category_ids: Mapping[int, int]
) -> None:
    """COCO results of some images. category_ids: by label; what the data set does not know is left out."""
    rows: list[ResultRow] = []
    for image, one in zip(image_ids, found, strict=True):
        known = [row for row, label in enumerate(one.labels.tolist()) if label in category_ids]
        ids = [category_ids[label] for label in one.labels[known].tolist()]
        rows += coco_rows([image] * len(known), ids, one.boxes[known], one.scores[known])
    write_rows(path, rows)


def read_found(
    path: Path, truth: ImageSet, label_of: dict[int, int], classes: Classes, *, some: bool = False
) -> Predictions:
    """COCO results of the images of `truth`, labelled by `classes`. label_of: category id to label.

    some: whether they may speak of further images, which are left out.

    Raises SynthError where the file is missing, is none, or speaks of other images or categories.
    """
    image_of = {number: place for place, number in enumerate(truth.image_ids.tolist())}
    try:
        rows = read_json(path, COCO_BYTES, "results of a shard", values=COCO_VALUES, hint=FORGET)
        if some:
            rows = [row for row in rows if row["image_id"] in image_of]
        found = as_predictions(rows, classes, image_of, label_of)
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
            raise ValueError("boxes or scores that are not finite")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        what, told = "the results of a shard are invalid", f"{type(error).__name__}: {error}"
        raise SynthError(what, code="predictions-invalid", where=str(path), found=told, hint=FORGET) from error
    return found


def image_ids_of(shards: ShardSet, shard: int) -> list[int]:
    """The ids of the images of a shard that are used, in the order of the tar. Raises SynthError without them."""
    entry = shards.shards[shard]
    where = shards.root.locate(coco_name(entry.name))
    ids: list[int] = ids_of(read_part(shards.root, entry).images, where).tolist()
    if len(ids) != entry.images:
        what = "the labels of a shard are invalid"
        raise SynthError(what, code="shard-labels-damaged", where=where, found=f"{len(ids)} images", hint=REPAIR)
    return [ids[place] for place in shards.positions(shard).tolist()]
