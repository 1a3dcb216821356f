"""Images whose pixels are numbers of products, as panoptic labels and masks in PNG have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import decode_pixels
from assets.limits import IMAGE_BYTES, read_file
from dataset.formats.files import lost_fields, mask_of
from dataset.formats.shapes import mask_fields
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord

UNLABELLED, VOID = 0, -1


def number_pixels(labels: ImageLabels) -> NDArray[np.int32]:
    """Return (H, W) int32: the place of an annotation, from 1, at its pixels; 0 elsewhere, -1 where it is ignored.

    A pixel belongs to the first annotation that has it.
    """
    width, height = labels.image.size or (0, 0)
    numbers = np.zeros((height, width), np.int32)
    for place, record in enumerate(labels.annotations, start=1):
        mask = mask_of(labels.image, record)
        if mask is not None:
            numbers[(mask > 0) & (numbers == UNLABELLED)] = VOID if record.ignored else place
    return numbers


def lost_in_pixels(labels: ImageLabels) -> Iterator[str]:
    """Say what an image of numbers cannot carry of labels."""
    shown = set(np.unique(number_pixels(labels)).tolist())
    for place, record in enumerate(labels.annotations, start=1):
        if record.ignored:
            yield "ignored products and crowds, whose pixels become void"
        elif place not in shown:
            yield "annotations without a pixel of their own: without a mask, or under others"
    overlaps = sum(mask > 0 for record in labels.annotations if (mask := mask_of(labels.image, record)) is not None)
    if np.any(np.asarray(overlaps) > 1):
        yield "pixels of several products, which belong to the first"
    yield from lost_fields(labels, ("segmentation",))


def decode_numbers(file: Path, image: ImageRecord, what: str) -> NDArray[np.uint32]:
    """Read (H, W) uint32 of a PNG: grey values, or R + 256 G + 256^2 B. Raises SynthError for another size or depth."""
    import cv2

    pixels = decode_pixels(read_file(file, IMAGE_BYTES, what), cv2.IMREAD_UNCHANGED, str(file), what)
    if pixels.shape[:2] != (image.height, image.width) or pixels.dtype not in (np.uint8, np.uint16):
        found = f"{pixels.shape[1]}x{pixels.shape[0]} of {pixels.dtype}"
        expected = f"{image.width}x{image.height}, as the image, of 8 or 16 bits"
        raise SynthError(
            f"{what} does not fit", code="records-invalid", where=str(file), found=found, expected=expected
        )
    if pixels.ndim == 2:
        return pixels.astype(np.uint32)
    blue, green, red = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return red + 256 * green + 65536 * blue


def records_of(
    numbers: NDArray[np.uint32], categories: Mapping[int, int], image: ImageRecord
) -> list[AnnotationRecord]:
    """Return an annotation for each number that has pixels, in rising order. categories: number to category id."""
    masks = ((number, numbers == number) for number in sorted(categories))
    return [
        AnnotationRecord(category_id=categories[number], iscrowd=0, **mask_fields(mask))
        for number, mask in masks
        if mask.any()
    ]
