"""Bounding boxes for recognition, from a detector or a COCO file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import COCO_BYTES, COCO_VALUES
from dataset.values import box_numbers, is_set, whole_number
from detectors.data.rows import MAX_EDGE_PX
from detectors.models.detect import detections_of
from detectors.predict.detector import load_detector
from detectors.predict.input_images import InputImage


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """The boxes of one image. xyxy: (D, 4) float64 pixels. scores: (D,) float64 of the detector, 1 for given boxes."""

    xyxy: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class BoxFinder:
    """A source of boxes.

    find: returns the boxes of some images. size: width and height that `InputImage.fitted` must have. description: for
    the results. threshold: minimum detection score.
    """

    find: Callable[[Sequence[InputImage]], list[ImageBoxes]]
    size: tuple[int, int]
    description: str
    threshold: float


def detect_boxes(run: Path, *, device: str, threshold: float | None) -> BoxFinder:
    """Return a source of the boxes of a detector, whatever its classes. threshold: None for the detector's own.

    Raises SynthError if there is no detector.
    """
    detector = load_detector(run, device=device)
    least = detector.threshold if threshold is None else threshold

    def find(images: Sequence[InputImage]) -> list[ImageBoxes]:
        outputs = detector.forward([image.fitted for image in images])
        found = [detections_of(output, image.letterbox) for output, image in zip(outputs, images, strict=True)]
        kept = [one.scores >= least for one in found]
        return [
            ImageBoxes(one.boxes[some].astype(np.float64), one.scores[some].astype(np.float64))
            for one, some in zip(found, kept, strict=True)
        ]

    return BoxFinder(find, detector.size, f"detector {run}", least)


def given_boxes(file: Path) -> BoxFinder:
    """Return a source of the boxes in COCO labels or results, by image id. Raises SynthError for other files."""
    content = _parse(file)
    records = content.get("annotations") if isinstance(content, dict) else content
    boxes: dict[int, list[list[float]]] = {}
    problems = []
    for number, record in enumerate(records if isinstance(records, list) else [None]):
        if not isinstance(record, dict) or not _is_box(record) or whole_number(record.get("image_id")) is None:
            problems.append(f"entry {number}: no image_id, or no bbox of four numbers with an area")
        elif not is_set(record.get("iscrowd")):
            boxes.setdefault(record["image_id"], []).append(record["bbox"])
    if problems:
        expected = "annotations, or results, each with image_id and bbox"
        raise SynthError(
            "not a COCO file with boxes",
            code="coco-invalid",
            where=str(file),
            expected=expected,
            problems=problems[:20],
        )

    def find(images: Sequence[InputImage]) -> list[ImageBoxes]:
        return [_of_image(image, boxes, file) for image in images]

    # The fitted images are not used, so they are made small.
    return BoxFinder(find, (64, 64), f"boxes of {file}", 0.0)


def _of_image(image: InputImage, boxes: dict[int, list[list[float]]], file: Path) -> ImageBoxes:
    number = image.source.image_id
    if number is None:
        hint = "give the images as the COCO file that the boxes belong to"
        raise SynthError(
            "boxes are given by image id, and this image has none",
            code="image-id-missing",
            where=str(image.source.file),
            hint=hint,
        )
    xywh = np.array(boxes.get(number, []), np.float64).reshape(-1, 4)
    return ImageBoxes(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1), np.ones(len(xywh)))


def _parse(file: Path) -> Any:
    return read_json(file, COCO_BYTES, "the file of boxes", values=COCO_VALUES, constants=True)


def _is_box(record: dict[str, Any]) -> bool:
    edges = box_numbers(record.get("bbox"))
    return edges is not None and max(map(abs, edges)) <= MAX_EDGE_PX and min(edges[2:]) > 0
