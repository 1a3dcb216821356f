"""Labels as the pages take them: rows for the page of a picture, columns of numbers for filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.masks import compressed_mask
from dataset.records import AnnotationRecord, ImageRecord
from dataset.shop import SIDES
from dataset.values import box_numbers, number, short

# Shares in half percents; no share.
FULL_SHARE, NO_SHARE = 200, 255
NO_VIEW = 255
# The side of a product that a camera sees, by the axis of the object's frame that points to it most and its sign.
VIEWS = {(1, -1): "front", (1, 1): "back", (0, -1): "left", (0, 1): "right", (2, 1): "top", (2, -1): "bottom"}
# Facts of an image's record, in the order of the page.
FACTS = ("recipe", "seed", "index", "view", "group", "backend", "renderer", "license")


@dataclass(frozen=True, eq=False)
class BoxFacets:
    """What filters need of N annotations. counts: (P,) int32, annotations of each picture. category: (N,) int32.

    xywh: (N, 4) float32 pixels, NaN without a box. visibility, truncation: (N,) uint8, half percents. view: (N,) uint8,
    number in SIDES. ignored: (N,) uint8.
    """

    counts: NDArray[np.int32]
    category: NDArray[np.int32]
    xywh: NDArray[np.float32]
    visibility: NDArray[np.uint8]
    truncation: NDArray[np.uint8]
    view: NDArray[np.uint8]
    ignored: NDArray[np.uint8]

    @classmethod
    def join(cls, parts: Sequence[BoxFacets]) -> BoxFacets:
        """Put the columns of several together, one after another."""
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in cls.__dataclass_fields__))

    @classmethod
    def of(cls, pictures: Sequence[Sequence[AnnotationRecord]], labels: Sequence[Sequence[int]]) -> BoxFacets:
        """Return the columns of the annotations of pictures. labels: category of each."""
        records = [record for records in pictures for record in records]
        boxes = [box_numbers(record.bbox) or [np.nan] * 4 for record in records]
        return cls(
            np.array([len(records) for records in pictures], np.int32),
            np.array([label for labels_of in labels for label in labels_of], np.int32),
            np.array(boxes, np.float32).reshape(len(records), 4),
            np.array([_half_percents(record.visibility) for record in records], np.uint8),
            np.array([_half_percents(record.truncation) for record in records], np.uint8),
            np.array([view_of(record) for record in records], np.uint8),
            np.array([record.ignored for record in records], np.uint8),
        )


def _half_percents(value: object) -> int:
    share = number(value)
    return NO_SHARE if share != share else int(min(max(share, 0.0), 1.0) * FULL_SHARE + 0.5)


def view_of(record: AnnotationRecord) -> int:
    """Return the number in SIDES of the side of a product that the camera looks at, NO_VIEW without a pose."""
    try:
        pose = np.array(record.camera_from_object, np.float64)
    except (TypeError, ValueError):
        return NO_VIEW
    if pose.shape != (4, 4):
        return NO_VIEW
    # The camera's place in the object's frame.
    toward = -pose[:3, :3].T @ pose[:3, 3]
    axis = int(np.argmax(np.abs(toward)))
    return SIDES.index(VIEWS[axis, 1 if toward[axis] >= 0 else -1]) if np.isfinite(toward).all() else NO_VIEW


def picture_row(
    image: ImageRecord, records: Sequence[AnnotationRecord], labels: Sequence[int], size: tuple[int, int], url: str
) -> list[Any]:
    """Return what the page of a picture shows. size: width, height, pixels. url: of the picture, relative."""
    facts = [[name, text_of(image.value(name))] for name in FACTS if image.value(name) is not None]
    boxes = [_box_row(record, label, size) for record, label in zip(records, labels, strict=True)]
    return [*size, url, facts, boxes]


def _box_row(record: AnnotationRecord, label: int, size: tuple[int, int]) -> list[Any]:
    """Category, box, visibility, truncation, flag, mask, amodal box, amodal mask, instance; 0 for what is missing."""
    return [
        label,
        _numbers(record.bbox),
        _share(record.visibility),
        _share(record.truncation),
        int(record.ignored),
        _mask(record.segmentation, size),
        _numbers(record.amodal_bbox),
        _mask(record.amodal_segmentation, size),
        record.instance if record.instance is not None else 0,
    ]


def _numbers(box: object) -> list[float] | int:
    edges = box_numbers(box)
    return 0 if edges is None else [int(edge) if edge == int(edge) else round(edge, 3) for edge in edges]


def _share(value: object) -> float:
    share = number(value)
    return -1 if share != share else round(share, 4)


def _mask(value: object, size: tuple[int, int]) -> str | int:
    """Return compressed run lengths, 0 where there is no mask or none that can be read."""
    found = compressed_mask(value, size[1], size[0]) if min(size) > 0 else b""
    return found.decode("ascii") if isinstance(found, bytes) and found else 0


def text_of(value: object) -> str:
    """Return a value of a record as text of bounded length."""
    return value[:500] if isinstance(value, str) else short(value)
