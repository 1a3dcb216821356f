"""What labels of shapes have in common: fields of polygons and masks, and what boxes and masks alone cannot carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from dataset.formats.files import clipped_box, lost_fields, mask_of, numbered
from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord


def polygon_fields(points: Sequence[float]) -> dict[str, Any]:
    """Return box, area and segmentation of a polygon x1, y1, x2, y2, ... in pixels.

    The area is that of the shoelace formula; bridges to holes and parts cancel out.
    """
    x, y = np.array(points[::2]), np.array(points[1::2])
    area = float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)
    box = [float(value) for value in (x.min(), y.min(), np.ptp(x), np.ptp(y))]
    return {"bbox": box, "area": area, "segmentation": [list(points)]}


def mask_fields(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return box, area and segmentation of a mask (H, W) of an image that is not empty."""
    left, top, width, height = (int(side) for side in box_of(mask))
    crop = mask[top : top + height, left : left + width]
    rle = encode_crop(crop, left, top, *mask.shape)
    box = [float(side) for side in (left, top, width, height)]
    return {"bbox": box, "area": float(crop.sum()), "segmentation": rle}


def box_of(mask: NDArray[np.bool_]) -> list[float]:
    """Return x, y, width and height of a mask (H, W) that is not empty."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return [float(side) for side in (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)]


def read_whole(
    image: ImageRecord, records: Sequence[AnnotationRecord | None], names: Sequence[str], where: str, expected: str
) -> list[AnnotationRecord]:
    """Return the annotations of an image with ids. Raises SynthError that names all that are None.

    names: of each, for the message.
    """
    problems = [name for name, record in zip(names, records, strict=True) if record is None]
    if problems:
        what = "the labels of an image cannot be read"
        raise SynthError(what, code="records-invalid", where=where, expected=expected, problems=problems[:20])
    return numbered(image, [record for record in records if record is not None], where)


def lost_beside_shapes(labels: ImageLabels) -> Iterator[str]:
    """Say what is lost of labels besides boxes, masks, classes and what is ignored."""
    for record in labels.annotations:
        if clipped_box(labels.image, record) is None:
            yield "annotations without a box in the image"
        elif record.segmentation is not None and mask_of(labels.image, record) is None:
            yield "masks that cannot be read"
        if record.iscrowd:
            yield "crowds, which become ignored products"
    yield from lost_fields(labels, ("segmentation",))
