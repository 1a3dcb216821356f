"""Reviewed photographs as labels: a CSV of decisions in the place of a COCO file."""

from __future__ import annotations

import os
from pathlib import Path

from assets.errors import SynthError
from dataset.coco_reader import CocoContent
from dataset.records import AnnotationRecord, CategoryRecord, ImageRecord, InfoRecord
from dataset.review.table import NAMED, ReviewedBox, missing_images, read_reviewed


def reviewed_labels(file: Path, images: Path | None) -> tuple[Path, CocoContent]:
    """The folder that all images lie in, and the decisions as the content of a COCO file.

    Boxes with a SKU are labels; what nobody named, or is no product of the gallery, is neither target nor background.
    images: where the images lie now. Raises SynthError if the CSV cannot be used or images are missing.
    """
    reviewed = read_reviewed(file)
    error = missing_images(reviewed, (row.image for row in reviewed.rows), images, "reviewed images are missing")
    if error:
        raise error
    if not any(row.decision in NAMED for row in reviewed.rows):
        raise SynthError(
            "no box of the review has a SKU",
            code="review-undecided",
            where=str(file),
            expected="decisions 'accept' or 'other'",
        )
    paths = {row.image: reviewed.path(row.image, images).absolute() for row in reviewed.rows}
    root = Path(os.path.commonpath([path.parent for path in paths.values()]))
    sizes = {row.image: (row.image_width, row.image_height) for row in reviewed.rows}
    image_ids = {name: number for number, name in enumerate(paths, start=1)}
    skus = sorted({row.sku for row in reviewed.rows if row.decision in NAMED})
    categories = {sku: number for number, sku in enumerate(skus, start=1)}
    records = [
        ImageRecord(
            id=image_ids[name],
            file_name=path.relative_to(root).as_posix(),
            width=sizes[name][0],
            height=sizes[name][1],
        )
        for name, path in paths.items()
    ]
    annotations = [
        _annotation(number, row, image_ids[row.image], categories) for number, row in enumerate(reviewed.rows, start=1)
    ]
    named = [CategoryRecord(id=number, name=sku, sku=sku) for sku, number in categories.items()]
    return root, CocoContent(records, annotations, named, InfoRecord(description=f"reviewed: {file.name}"))


def _annotation(number: int, row: ReviewedBox, image: int, categories: dict[str, int]) -> AnnotationRecord:
    named = row.decision in NAMED
    return AnnotationRecord(
        id=number,
        image_id=image,
        category_id=categories[row.sku] if named else None,
        bbox=[row.x, row.y, row.width, row.height],
        area=row.width * row.height,
        iscrowd=0,
        ignore=int(not named),
    )
