"""Checks of masks on their run lengths: a million of them are read in minutes, no image is made of one.

The arithmetic is pycocotools' own; it writes past its buffers on run lengths that do not fill the image, so every
mask is proven to be sound before it comes near.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.verify.records import ROUNDING, Record, Violation, is_number, matrix_of

# Characters of the longest run length: 35 bits, so that no sum below leaves 64 of them.
LONGEST_RUN = 7


def sound_mask(value: object, height: int, width: int) -> Record | str:
    """The RLE {"size", "counts"} that `value` is, or what is wrong with it in words."""
    if not isinstance(value, dict) or value.get("size") != [height, width] or not isinstance(value.get("counts"), str):
        return f"expected an RLE of size [{height}, {width}]"
    if len(value["counts"]) > LONGEST_RUN * (height * width + 2):
        return "more runs than pixels"
    if not _fills(value["counts"], height * width):
        return "the run lengths do not fill the image"
    return {"size": value["size"], "counts": value["counts"]}


def decode_mask(value: object, height: int, width: int) -> NDArray[np.bool_] | str:
    """The mask (height, width) of an RLE, or what is wrong with it in words."""
    from pycocotools import mask as codec

    rle = sound_mask(value, height, width)
    return rle if isinstance(rle, str) else codec.decode(rle).astype(bool)


def _fills(counts: str, pixels: int) -> bool:
    """Whether COCO's run lengths add up to the image.

    They are LEB128 in six-bit characters, from the fourth on differences to the last but one.
    """
    try:
        codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return False
    ends = np.flatnonzero((codes & 32) == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not len(ends) or ends[-1] != len(codes) - 1:
        return False
    starts = np.append(0, ends[:-1] + 1)
    sizes = ends - starts + 1
    if sizes.max() > LONGEST_RUN:
        return False
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, sizes))
    lengths = np.add.reduceat((codes & 31) << shifts, starts)
    lengths -= np.where(codes[ends] & 16, np.int64(1) << (5 * sizes), 0)
    lengths[1::2], lengths[2::2] = lengths[1::2].cumsum(), lengths[2::2].cumsum()
    return bool(lengths.min() >= 0 and lengths.max() <= pixels and lengths.sum() == pixels)


class MaskMap(Mapping[int, NDArray[np.bool_]]):
    """The masks of an image by instance, no pixel in two: kept as one map, since a file may name thousands."""

    def __init__(self, height: int, width: int) -> None:
        self._ids = np.zeros((height, width), np.uint16)
        self._instances: dict[int, None] = {}

    def add(self, instance: int, rle: Record) -> int:
        """Add the pixels of a valid mask that are free; return the number of those that were taken."""
        from pycocotools import mask as codec

        mask, free = codec.decode(rle).astype(bool), self._ids == 0
        self._ids[mask & free] = instance
        self._instances[instance] = None
        return int((mask & ~free).sum())

    @property
    def numbers(self) -> NDArray[np.uint16]:
        """(H, W) the instance of each pixel, 0 for none."""
        return self._ids

    def __getitem__(self, instance: int) -> NDArray[np.bool_]:
        if instance not in self._instances:
            raise KeyError(instance)
        return self._ids == instance

    def __iter__(self) -> Iterator[int]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)


def shared_pixels(rles: Sequence[Record]) -> int:
    """How many pixels too many sound masks have for none to be in two of them."""
    from pycocotools import mask as codec

    return int(sum(int(area) for area in codec.area(list(rles))) - int(codec.area(codec.merge(list(rles)))))


def tight_box(rle: Record) -> list[float]:
    """x, y, width, height of the pixels of a sound mask that has some."""
    from pycocotools import mask as codec

    return [float(side) for side in codec.toBbox(rle)]


def check_masks(record: Record, mask: Record, amodal: Record, where: str) -> Iterator[Violation]:
    """Check area, boxes and visibility against the valid masks."""
    from pycocotools import mask as codec

    area, within = int(codec.area(mask)), int(codec.area(amodal))
    if area == 0:
        yield Violation(where, "the mask is empty")
        return
    box = tight_box(mask)
    if record.get("area") != area:
        yield Violation(where, f"area {record.get('area')!r}, but the mask has {area} pixels")
    if record.get("bbox") != box:
        yield Violation(where, f"bbox {record.get('bbox')!r}, but the mask's is {box}")
    outside = area - int(codec.area(codec.merge([mask, amodal], intersect=True)))
    if outside:
        yield Violation(where, f"{outside} visible pixels lie outside the amodal mask")
        return
    if is_number(record.get("visibility")) and abs(record["visibility"] - area / within) > ROUNDING:
        yield Violation(
            where, f"visibility {record['visibility']}, but {area} of {within} pixels are {area / within:.6f}"
        )
    yield from _check_amodal_box(record, tight_box(amodal), mask["size"], where)


def _check_amodal_box(record: Record, inner: list[float], shape: Sequence[int], where: str) -> Iterator[Violation]:
    """The amodal box ends where the amodal mask ends, and beyond the image only where the product is cut."""
    box = matrix_of([record.get("amodal_bbox")], (1, 4))
    if box is None:
        yield Violation(where, f"amodal_bbox is {record.get('amodal_bbox')!r}, expected four numbers")
        return
    left, top, right, bottom = box[0, 0], box[0, 1], box[0, 0] + box[0, 2], box[0, 1] + box[0, 3]
    height, width = shape
    clipped = [max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)]
    expected = [inner[0], inner[1], inner[0] + inner[2], inner[1] + inner[3]]
    if clipped[0] > expected[0] or clipped[1] > expected[1] or clipped[2] < expected[2] or clipped[3] < expected[3]:
        yield Violation(where, f"amodal_bbox {record['amodal_bbox']} does not contain the amodal mask {inner}")
    leaves = left < 0 or top < 0 or right > width or bottom > height
    if is_number(record.get("truncation")) and leaves != (record["truncation"] > 0):
        told = f"amodal_bbox {record['amodal_bbox']} and truncation {record['truncation']} disagree"
        yield Violation(where, told)
    if not leaves and clipped != expected:
        yield Violation(where, f"amodal_bbox {record['amodal_bbox']}, but the amodal mask's is {inner}")
