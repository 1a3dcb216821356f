"""Checks of records that somebody else made: what any user of COCO relies on, and no more."""

from __future__ import annotations

from collections.abc import Container, Iterator

from dataset.masks import compressed_mask
from dataset.values import box_numbers
from pipeline.verify.records import Record, Violation, is_number

# A box may leave the picture by rounding.
ROUNDING_PX = 1.0


def check_foreign_image(record: Record, where: str) -> Iterator[Violation]:
    """Id, name and size of an image entry."""
    for name in ("id", "width", "height"):
        if type(record.get(name)) is not int or (name != "id" and record[name] < 1):
            yield Violation(where, f"{name} {record.get(name)!r}, expected a whole number")
    if not isinstance(record.get("file_name"), str):
        yield Violation(where, f"file_name is {record.get('file_name')!r}, expected a text")


def check_foreign_record(record: Record, image: Record, categories: Container[int], where: str) -> Iterator[Violation]:
    """An annotation's id, category, box inside the picture, area and mask."""
    if type(record.get("id")) is not int:
        yield Violation(where, f"id {record.get('id')!r}, expected a whole number")
    if type(record.get("category_id")) is not int or record["category_id"] not in categories:
        yield Violation(where, f"category_id {record.get('category_id')!r} is none of the categories")
    box = box_numbers(record.get("bbox"))
    if box is None or min(box[2:]) <= 0:
        yield Violation(where, f"bbox {record.get('bbox')!r}, expected x, y, width, height in pixels")
    elif (
        min(box[:2]) < -ROUNDING_PX
        or box[0] + box[2] > image["width"] + ROUNDING_PX
        or box[1] + box[3] > image["height"] + ROUNDING_PX
    ):
        yield Violation(where, f"bbox {box} leaves a picture of {image['width']}x{image['height']}")
    area = record.get("area")
    if area is not None and (not is_number(area) or not 0 <= area <= image["width"] * image["height"]):
        yield Violation(where, f"area {area!r}, expected pixels of a picture of {image['width']}x{image['height']}")
    mask = compressed_mask(record.get("segmentation"), image["height"], image["width"])
    if isinstance(mask, str):
        yield Violation(where, f"segmentation: {mask}")
