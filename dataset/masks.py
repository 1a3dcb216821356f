"""Reading, writing and decoding of the three kinds of COCO segmentations: compressed and plain RLE, polygons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from dataset.values import short

# In widths plus heights of the image. The rasteriser keeps every step along the outline.
LONGEST_OUTLINE = 200


class CompressedRle(TypedDict):
    """COCO's compressed run lengths of a mask. size: height, width."""

    size: list[int]
    counts: str


def compressed_mask(value: object, height: int, width: int) -> bytes | str:
    """Return the segmentation as COCO's compressed run lengths at (height, width), b"" if there is none.

    Returns a str that says what is wrong where it cannot be read.
    """
    if value is None or value == [] or value == {}:
        return b""
    if isinstance(value, list):
        return _from_polygons(value, height, width)
    if not isinstance(value, dict) or "counts" not in value:
        return f"found {type(value).__name__}, expected polygons or run lengths"
    if value.get("size") != [height, width]:
        return f"run lengths of size {short(value.get('size'))}, the image is [{height}, {width}]"
    counts = value["counts"]
    if isinstance(counts, list):
        return _from_plain(counts, height, width)
    data = counts.encode() if isinstance(counts, str) and counts.isascii() else b""
    lengths = run_lengths(data)
    if lengths is None or lengths.sum() != height * width:
        # pycocotools writes past its buffer on such input: it must never see it.
        return "the run lengths do not fill the image"
    return data


def decode_mask(counts: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Decode compressed run lengths that `compressed_mask` accepted into (height, width) uint8 0/1."""
    from pycocotools import mask as codec

    return codec.decode({"size": [height, width], "counts": counts})


def decode_outlines(masks: Sequence[bytes], height: int, width: int) -> NDArray[np.uint8]:
    """Decode N compressed run lengths into (N, height, width) uint8 0/1."""
    outlines = np.zeros((len(masks), height, width), np.uint8)
    for outline, counts in zip(outlines, masks, strict=True):
        outline[:] = decode_mask(counts, height, width)
    return outlines


def encode_crop(mask: NDArray[np.bool_], x: int, y: int, height: int, width: int) -> CompressedRle:
    """COCO's compressed run lengths of a mask at column x and row y of an image.

    mask: (h, w) bool. The image is never made, which is 100 times faster. Raises ValueError if the mask reaches
    beyond the image.
    """
    from pycocotools import mask as codec

    counts = _crop_lengths(mask, x, y, height, width)
    encoded = codec.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def _crop_lengths(mask: NDArray[np.bool_], x: int, y: int, height: int, width: int) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, down the image's columns from left to right."""
    rows, columns = mask.shape
    if min(x, y) < 0 or x + columns > width or y + rows > height:
        raise ValueError(f"a mask of {columns}x{rows} at ({x}, {y}) leaves an image of {width}x{height}")
    padded = np.zeros((columns, rows + 2), np.int8)
    padded[:, 1:-1] = mask.T
    steps = np.diff(padded, axis=1)
    starts, stops = (
        (column + x) * height + row + y for column, row in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    # A run that reaches the bottom continues at the top of the next column.
    broken = starts[1:] != stops[:-1]
    starts, stops = starts[np.append(True, broken)[: len(starts)]], stops[np.append(broken, True)[: len(stops)]]
    edges = np.column_stack([starts, stops]).ravel()
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    return [int(count) for count in (counts if counts[-1] else counts[:-1])]


def run_lengths(counts: bytes) -> NDArray[np.int64] | None:
    """The run lengths in COCO's text: LEB128 in six-bit characters, from the fourth on relative to the last but one."""
    codes = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    # Six characters count to 2^29 pixels; at seven, pycocotools shifts past its 32 bits.
    if (ends - starts).max() >= 6:
        return None
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= np.where(codes[ends] & 16, np.int64(1) << (5 * (ends - starts + 1)), 0)
    # Entry i > 2 is relative to entry i - 2: the odd and the even entries are two running sums, begun at 1 and at 2.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return None if (values < 0).any() else values


def _from_plain(counts: list[object], height: int, width: int) -> bytes | str:
    from pycocotools import mask as codec

    whole = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    if len(whole) != len(counts) or sum(whole) != height * width:
        return "the run lengths do not fill the image"
    return codec.frPyObjects({"size": [height, width], "counts": whole}, height, width)["counts"]


def _from_polygons(polygons: list[object], height: int, width: int) -> bytes | str:
    from pycocotools import mask as codec

    rings = []
    # One polygon that was not put into a list of polygons.
    for polygon in [polygons] if all(isinstance(edge, int | float) for edge in polygons) else polygons:
        try:
            ring = np.asarray(polygon, np.float64)
        except (TypeError, ValueError, OverflowError):
            return "a polygon is not a list of numbers"
        if ring.ndim != 1 or len(ring) % 2 or not np.isfinite(ring).all():
            return "a polygon is not a list x1, y1, x2, y2, ..."
        if len(ring) >= 6:
            # Far outside points would make the rasteriser walk for minutes.
            limit = np.tile([width, height], len(ring) // 2)
            rings.append(np.clip(ring, -limit, 2 * limit))
    if sum(np.abs(ring - np.roll(ring, 2)).sum() for ring in rings) > LONGEST_OUTLINE * (width + height):
        return "the polygons are longer than any outline"
    if not rings:
        return "no polygon has three corners"
    return codec.merge(codec.frPyObjects([ring.tolist() for ring in rings], height, width))["counts"]
