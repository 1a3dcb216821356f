"""YOLO with masks, as Ultralytics segments: a polygon for each product in place of its box; holes and parts by bridges.

labels/SPLIT/a/1.txt   a line for each product: class, x1, y1, x2, y2, ... as fractions of the image

Everything else as in `yolo`, which reads both: rows of boxes and of polygons are never mixed, since Ultralytics drops
one kind. A product without a mask gets the corners of its box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dataset.formats import yolo
from dataset.formats.files import FileStore, clipped_box, lost_fields, mask_of
from dataset.formats.outlines import outline_of
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord, SplitLabels

# Its files are found to be of this format, which reads them.
READ_AS = "yolo"
# Outlines run this far inside of the edge of their outermost pixels.
PRECISION = 0.25


def detect(path: Path) -> bool:
    """Never: a set with masks has the same names and places as one with boxes."""
    return False


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """As `yolo`."""
    return yolo.open_labels(path, images)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but masks, boxes and classes of products that are to be found."""
    kept = []
    for record in labels.annotations:
        if _row(labels.image, record) is None:
            yield "ignored products, crowds and annotations without a box or category, which become background"
        else:
            kept.append(record)
            if not _outline(labels.image, record):
                yield "that there is no mask: the box becomes one"
    yield from lost_fields(ImageLabels(labels.image, kept), ("segmentation",))


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return yolo.image_folder(split)


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """A text file for each image, then data.yaml. Raises SynthError for a category that the set does not have."""
    yolo.write_rows(folder, sets, _row)


def _row(image: ImageRecord, record: AnnotationRecord) -> Sequence[float] | None:
    """x and y of all corners as fractions of the image; None for what is no target."""
    box = clipped_box(image, record)
    if box is None or record.category_id is None or record.ignored:
        return None
    left, top, right, bottom = box
    corners = _outline(image, record) or [left, top, right, top, right, bottom, left, bottom]
    sides = image.size or (1, 1)
    return [value / sides[place % 2] for place, value in enumerate(corners)]


def _outline(image: ImageRecord, record: AnnotationRecord) -> list[float]:
    """Corners of the mask, [] if there is none that can be read."""
    mask = mask_of(image, record)
    return [] if mask is None else [float(value) for value in outline_of(mask).ravel()]
