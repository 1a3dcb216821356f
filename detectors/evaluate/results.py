"""COCO results files: what a detector found, as any COCO tool reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.json_input import read_json
from assets.limits import COCO_BYTES, COCO_VALUES
from assets.plurals import first_few, join_few
from dataset.categories import CORNER_NAMES
from dataset.masks import CompressedRle, compressed_mask
from dataset.values import box_numbers, number, short, whole_number
from detectors.data.image_set import Classes, ImageSet, Packed, Predictions
from detectors.data.rows import MAX_EDGE_PX
from detectors.evaluate.metrics.align import Floats, Ints

FIELDS = ("image_id", "category_id", "bbox", "score")


class ResultRow(TypedDict):
    """A detection as COCO results files have it. bbox: x, y, width, height, pixels. segmentation: of its mask.

    keypoints: x, y and score of each corner of its cuboid.
    """

    image_id: int
    category_id: int
    bbox: list[float]
    score: float
    segmentation: NotRequired[CompressedRle]
    keypoints: NotRequired[list[float]]


def coco_rows(
    image_ids: Iterable[int], category_ids: Iterable[int], boxes: NDArray[Any], scores: NDArray[Any]
) -> Iterator[ResultRow]:
    """COCO results of detections. boxes: (D, 4) xyxy. Reading them again gives the same boxes and scores to the bit."""
    edges = xywh_from_xyxy(boxes.astype(np.float64)).tolist()
    for image, category, box, score in zip(
        image_ids, category_ids, edges, scores.astype(np.float64).tolist(), strict=True
    ):
        yield {"image_id": image, "category_id": category, "bbox": box, "score": score}


def write_rows(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write a COCO results file."""
    write_atomic(path, ("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n").encode())


def write_results(path: Path, found: Predictions, truth: ImageSet, category_ids: Mapping[str, int]) -> None:
    """Write detections as a COCO results file. category_ids: by class key. Raises SynthError if a class has none."""
    ids = np.array(_ids_of(found.classes, category_ids), np.int64)[found.labels]
    rows = coco_rows(truth.image_ids[found.images].tolist(), ids.tolist(), found.boxes, found.scores)
    write_rows(path, _complete(rows, found, truth))


def _complete(rows: Iterable[ResultRow], found: Predictions, truth: ImageSet) -> Iterator[ResultRow]:
    """Yield the rows with masks and corners, where there are any."""
    for place, row in enumerate(rows):
        if found.masks is not None:
            width, height = (int(side) for side in truth.sizes[found.images[place]])
            row["segmentation"] = {"size": [height, width], "counts": found.masks[place].decode("ascii")}
        if found.keypoints is not None:
            row["keypoints"] = corner_numbers(found.keypoints[place])
        yield row


def corner_numbers(points: NDArray[np.float32]) -> list[float]:
    """The (8, 3) corners of a cuboid as COCO has them, one after the other, to a hundredth of a pixel."""
    return [round(float(number), 4 if place % 3 == 2 else 2) for place, number in enumerate(points.ravel())]


def read_results(path: Path, truth: ImageSet, category_ids: Mapping[str, int], *, some: bool = False) -> Predictions:
    """What a COCO results file says about these images. category_ids: class key to category id.

    some: whether it may speak of further images, which are left out.

    The classes are the keys of `category_ids` by rising id. Raises SynthError with every wrong row at once.
    """
    rows = _read_rows(path)
    keys = sorted(category_ids, key=lambda key: category_ids[key])
    label_of = {category_ids[key]: label for label, key in enumerate(keys)}
    image_of = {image_id: index for index, image_id in enumerate(truth.image_ids.tolist())}
    if some:
        rows = [row for row in rows if whole_number(row.get("image_id", 0)) in image_of]
    problems = [
        f"row {number}: {text}" for number, row in enumerate(rows, 1) for text in _wrong(row, image_of, label_of)
    ]
    if problems:
        raise SynthError(
            "the results file does not fit the images",
            code="predictions-mismatch",
            where=str(path),
            expected="image_id and category_id of this data set, bbox of four numbers, score",
            hint="compare with the annotations that the detections were made on",
            problems=first_few(problems, 20),
        )
    name_of = dict(zip(truth.classes.keys, truth.classes.names, strict=True))
    classes = Classes(tuple(keys), tuple(name_of.get(key, key) for key in keys))
    # As `as_predictions` orders them.
    rows.sort(key=lambda row: (image_of[row["image_id"]], -float(row["score"])))
    found = as_predictions(rows, classes, image_of, label_of)
    return replace(found, masks=_masks_in(rows, found, truth, path), keypoints=_corners_in(rows))


def _masks_in(rows: Sequence[ResultRow], found: Predictions, truth: ImageSet, path: Path) -> Packed | None:
    """The masks of the rows, None unless all of them have one. Raises SynthError for those that cannot be read."""
    if not rows or not all("segmentation" in row for row in rows):
        return None
    masks, problems = [], []
    for row, image in zip(rows, found.images.tolist(), strict=True):
        width, height = (int(side) for side in truth.sizes[image])
        mask = compressed_mask(row["segmentation"], height, width)
        if isinstance(mask, bytes) and mask:
            masks.append(mask)
        else:
            problems.append(f"image_id {row['image_id']}: {mask or 'an empty segmentation'}")
    if problems:
        raise SynthError(
            "the results file holds masks that cannot be read",
            code="predictions-mismatch",
            where=str(path),
            expected="run lengths or polygons of the size of the image",
            problems=first_few(problems, 20),
        )
    return Packed.of(masks)


def _corners_in(rows: Sequence[ResultRow]) -> NDArray[np.float32] | None:
    """(D, 8, 3) corners of cuboids of the rows, None unless all of them have 24 numbers."""
    points = [row.get("keypoints") for row in rows]
    if not points or not all(_is_corners(one) for one in points):
        return None
    return np.array(points, np.float32).reshape(-1, len(CORNER_NAMES), 3)


def _is_corners(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 * len(CORNER_NAMES) and all(map(is_finite, value))


def is_finite(value: object) -> bool:
    """Whether a value is a number that is neither NaN nor infinite."""
    found = number(value)
    return found == found and abs(found) < MAX_EDGE_PX


def xywh_from_xyxy(boxes: Floats) -> Floats:
    """(N, 4) x, y, width, height, as COCO writes boxes."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def as_predictions(
    rows: Sequence[ResultRow], classes: Classes, image_of: Mapping[int, int], label_of: Mapping[int, int]
) -> Predictions:
    """The rows of a COCO results file as detections. image_of, label_of: by the ids in the file."""
    images: Ints = np.array([image_of[row["image_id"]] for row in rows], np.int64)
    boxes: Floats = np.array([row["bbox"] for row in rows], np.float64).reshape(len(rows), 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.array([label_of[row["category_id"]] for row in rows], np.int32)
    # As they stand: numbers that float32 cannot tell apart are no ties.
    scores = np.array([row["score"] for row in rows], np.float64)
    order = np.lexsort((-scores, images))
    return Predictions(classes, images[order], boxes.astype(np.float32)[order], labels[order], scores[order])


def _read_rows(path: Path) -> list[Any]:
    rows = read_json(path, COCO_BYTES, "the COCO results file", values=COCO_VALUES, constants=True)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SynthError(
            "not a COCO results file",
            code="predictions-invalid",
            where=str(path),
            expected="a JSON list of objects",
        )
    return rows


def _wrong(row: Any, images: dict[int, int], labels: dict[int, int]) -> list[str]:
    missing = [field for field in FIELDS if field not in row]
    if missing:
        return [f"no {', '.join(missing)}"]
    problems = [
        f"unknown {name} {short(row[name])}"
        for name, known in (("image_id", images), ("category_id", labels))
        if whole_number(row[name]) not in known
    ]
    edges = box_numbers(row.get("bbox"))
    if edges is None or max(map(abs, edges)) > MAX_EDGE_PX:
        problems.append(f"bbox {short(row['bbox'])}")
    score = number(row["score"])
    return problems if score == score else [*problems, f"score {short(row['score'])}"]


def _ids_of(classes: Classes, category_ids: Mapping[str, int]) -> list[int]:
    """The category id of every class, in the order of its labels."""
    unknown = [key for key in classes.keys if key not in category_ids]
    if unknown:
        raise SynthError(
            "classes without a category id",
            code="category-id-missing",
            found=join_few(unknown, 10),
            expected="an id for every class key",
        )
    return [category_ids[key] for key in classes.keys]
