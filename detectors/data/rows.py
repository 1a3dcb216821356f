"""Check the annotations of one image, and repair them where that is unambiguous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dataset.categories import CORNER_NAMES
from dataset.masks import compressed_mask
from dataset.problems import Problems
from dataset.records import AnnotationRecord, ImageRecord
from dataset.values import number, short, sku_text, whole_number
from detectors.data.image_set import IGNORED, Classes
from detectors.data.settings import BoxKind

# A box may extend beyond the image by rounding errors; more than this is reported.
ROUNDING_PX = 1.0
# Smaller areas count as missing.
MIN_AREA_PX = 1e-6
# Smaller boxes are useless for training and lead to divisions by zero.
MIN_SIDE_PX = 0.5
# Coordinates of detections beyond this are invalid, and sums of them may overflow float32.
MAX_EDGE_PX = 1e9

NO_NUMBERS = "boxes that are not four finite numbers"
NOT_FINITE = "boxes that are NaN or infinite"
OUTSIDE = "boxes outside the image"
CUT = "boxes that extend beyond the image, clipped"
UNKNOWN_CATEGORY = "annotations of unknown categories"
OTHER_SKU = "annotations whose sku is not that of their category"
NO_AMODAL = "annotations without an amodal box"

Box = tuple[float, float, float, float]
# x, y and flag of each corner.
NO_CORNERS = (0.0,) * (3 * len(CORNER_NAMES))


@dataclass
class LabelledImage:
    """A usable image record with its annotation records. width, height: in the pixels that its labels refer to."""

    record: ImageRecord
    width: int
    height: int
    boxes: list[AnnotationRecord] = field(default_factory=list)


@dataclass
class Row:
    """The usable annotations of one image. ids: 0 if missing or not positive."""

    boxes: list[Box] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    true_labels: list[int] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    visibility: list[float] = field(default_factory=list)
    truncation: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    masks: list[bytes] = field(default_factory=list)
    # The corners of cuboids as 24 numbers, zeros where an annotation has none.
    keypoints: list[Sequence[float]] = field(default_factory=list)


def read_row(
    image: LabelledImage,
    label_of: Mapping[int, int],
    classes: Classes,
    problems: Problems,
    kind: BoxKind = "visible",
) -> Row:
    """Return the usable annotations of an image; those of unknown class become ignored regions, not background.

    kind: of the boxes; amodal ones are clipped to the image and have no masks, which would be those of visible pixels.
    """
    row = Row()
    twins: set[tuple[object, ...]] = set()
    for record in image.boxes:
        where = f"annotation {short(record.value('id'))} in {image.record.file_name}"
        if kind == "amodal":
            if record.value("amodal_bbox") is None and not record.ignored:
                problems.spoil(NO_AMODAL, where)
                continue
            record = _amodal_of(record, image) if record.value("amodal_bbox") is not None else record
        box = _box_of(record, image, where, problems)
        label = _label_of(record, label_of, classes, where, problems)
        if box is None:
            continue
        # A crowd in the place of a product is no second product, nor the first of two.
        twin = (label, record.ignored, *box)
        if twin in twins:
            problems.note("boxes given twice, used once", where)
            continue
        twins.add(twin)
        _add(row, record, box, label, image, where, problems)
    return row


def _amodal_of(record: AnnotationRecord, image: LabelledImage) -> AnnotationRecord:
    """Return a record with its amodal box, of which what lies beyond the image is cut off without a note."""
    box = record.value("amodal_bbox")
    if record.amodal_bbox is not None:
        x, y, width, height = map(number, record.amodal_bbox)
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = min(x + width, float(image.width)), min(y + height, float(image.height))
        if right > left and bottom > top:
            return replace(
                record,
                bbox=[left, top, right - left, bottom - top],
                segmentation=None,
                area=(right - left) * (bottom - top),
            )
    # Reported as any unusable box.
    return replace(record, bbox=None, segmentation=None, extra={**record.extra, "bbox": box})


def corners_of(points: Sequence[Sequence[float]]) -> NDArray[np.float32] | None:
    """Return (A, 8, 3) corners of cuboids of as many numbers; None if there is not a single one."""
    corners = np.array(points, np.float32).reshape(-1, len(CORNER_NAMES), 3)
    return corners if corners.any() else None


def is_not_finite(box: object) -> bool:
    """Return whether a box that was rejected consists of four numbers, so that some of them are NaN or infinite."""
    sides = box if isinstance(box, list) and len(box) == 4 else ["no box"]
    return all(type(side) in (int, float) for side in sides)


def _add(
    row: Row, record: AnnotationRecord, box: Box, label: int, image: LabelledImage, where: str, problems: Problems
) -> None:
    ignored = record.ignored
    if ignored:
        problems.note("crowds and ignored products, neither target nor background")
    mask = compressed_mask(record.value("segmentation"), image.height, image.width)
    if isinstance(mask, str):
        problems.note("unreadable masks, only their boxes used", f"{where}: {mask}")
        mask = b""
    row.boxes.append(box)
    row.labels.append(IGNORED if ignored else label)
    row.true_labels.append(label)
    row.areas.append(_area_of(record, box, image, problems))
    row.visibility.append(_share(record.visibility))
    row.truncation.append(_share(record.truncation))
    row.ids.append(max(whole_number(record.value("id")) or 0, 0))
    row.masks.append(mask)
    row.keypoints.append(_corners_of(record))


def _corners_of(record: AnnotationRecord) -> Sequence[float]:
    """Return the keypoints if they are those of a cuboid, else zeros: other sets label other things."""
    points = record.keypoints
    return NO_CORNERS if points is None or len(points) != len(NO_CORNERS) else points


def _area_of(record: AnnotationRecord, box: Box, image: LabelledImage, problems: Problems) -> float:
    area = number(record.area)
    if MIN_AREA_PX < area <= image.width * image.height:
        return area
    given = record.value("area") is not None
    problems.note(
        "impossible areas, area of the box used" if given else "annotations without area, area of the box used"
    )
    return (box[2] - box[0]) * (box[3] - box[1])


def _share(value: object) -> float:
    share = number(value)
    return share if 0 <= share <= 1 else float("nan")


def _box_of(record: AnnotationRecord, image: LabelledImage, where: str, problems: Problems) -> Box | None:
    """Return the box as xyxy, clipped to the image, or None if it is unusable."""
    shown = record.value("bbox")
    if record.bbox is None:
        problems.spoil(NOT_FINITE if is_not_finite(shown) else NO_NUMBERS, f"{where}: {short(shown)}")
        return None
    x, y, width, height = map(number, record.bbox)
    if width <= 0 or height <= 0:
        problems.spoil("boxes without width or height", f"{where}: {short(shown)}")
        return None
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(image.width)), min(y + height, float(image.height))
    if right - left <= 0 or bottom - top <= 0:
        problems.spoil(OUTSIDE, f"{where}: {short(shown)} in {image.width}x{image.height}")
        return None
    if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
        problems.spoil("boxes thinner than half a pixel", f"{where}: {short(shown)}")
        return None
    outside = max(left - x, top - y, x + width - right, y + height - bottom)
    if outside > ROUNDING_PX:
        problems.note(CUT, f"{where}: by {outside:.6g} px")
    return left, top, right, bottom


def _label_of(
    record: AnnotationRecord, label_of: Mapping[int, int], classes: Classes, where: str, problems: Problems
) -> int:
    given = record.value("category_id")
    category = whole_number(given)
    if given is None and record.ignored:
        return IGNORED  # a reviewed photo with an object that was not identified
    if category is None or category not in label_of:
        problems.spoil(UNKNOWN_CATEGORY, f"{where}: category_id {short(given)}")
        return IGNORED
    label = label_of[category]
    sku = sku_text(record.value("sku"))
    if sku is not None and sku not in (classes.keys[label], classes.names[label]):
        problems.spoil(OTHER_SKU, f"{where}: {short(sku)}, not {classes.keys[label]!r}")
        return IGNORED
    return label
