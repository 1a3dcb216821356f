"""Drawing of one image of a preview: outlines, masks or boxes with the SKU beside each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from assets.color import distinct_color
from assets.errors import SynthError
from assets.files.image_input import open_image
from dataset.masks import compressed_mask, decode_mask
from dataset.records import AnnotationRecord
from pipeline.preview.sheet import Box, Rgb, plot_dashed, plot_label, shorten
from pipeline.preview.types import PreviewImage, Style

DARK: Rgb = (20, 20, 20)
LONGEST_SKU = 18
TEXT = 11
# Pixels around the tile: a line there is not seen.
BEYOND = 8.0
# Parts of a pixel in which OpenCV is given places.
SHIFT = 4


def tile_size(image: PreviewImage) -> tuple[int, int]:
    """Width and height of an image as it is drawn; only its header is read."""
    with open_image(image.data, image.where, "the image") as opened:
        sides = opened.size
    # An image whose labels count it as turned is drawn so.
    return image.size if image.size == sides[::-1] else sides


def plot_tile(image: PreviewImage, size: tuple[int, int], style: Style) -> Image.Image:
    """The image with its instances, `size` (width, height) pixels. Raises SynthError if it cannot be drawn."""
    try:
        return _draw(image, image.read(), size, style)
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # a third party's labels may contain anything
        hint = "'synth verify' lists all problems of the data set"
        raise SynthError(
            "an image cannot be drawn", code="records-invalid", where=image.where, found=str(error), hint=hint
        ) from error


def _draw(image: PreviewImage, pixels: NDArray[np.uint8], size: tuple[int, int], style: Style) -> Image.Image:
    scale = size[0] / pixels.shape[1], size[1] / pixels.shape[0]
    tile = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    boxes = []
    for place, record in enumerate(image.records):
        if record.bbox is None:
            raise ValueError(f"bbox: {record.value('bbox')!r}, expected four numbers")
        color = distinct_color(_number_of(record, place))
        outlined = style != "box" and _plot_mask(tile, _mask_of(image, record, pixels), color, scale, style)
        boxes.append((record, _edges_of(record.bbox, scale, size), color, style == "outline" and outlined))
    canvas = Image.fromarray(tile)
    _plot_boxes(canvas, image, boxes)
    return canvas


def _edges_of(box: Sequence[float], scale: tuple[float, float], size: tuple[int, int]) -> Box:
    """xyxy of an xywh box on the tile; what lies far outside, as it may in foreign files, is cut."""
    low = [edge * part for edge, part in zip(box[:2], scale, strict=True)]
    high = [(edge + side) * part - 1 for edge, side, part in zip(box[:2], box[2:], scale, strict=True)]
    x0, y0 = (min(max(edge, -BEYOND), most + BEYOND) for edge, most in zip(low, size, strict=True))
    x1, y1 = (min(max(edge, -BEYOND), most + BEYOND) for edge, most in zip(high, size, strict=True))
    # Without a width PIL refuses to draw.
    return x0, y0, max(x0, x1), max(y0, y1)


def _number_of(record: AnnotationRecord, place: int) -> int:
    return place + 1 if record.instance is None else record.instance


def _mask_of(image: PreviewImage, record: AnnotationRecord, pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """(H, W) 0/1, None if there is none. Raises ValueError for a mask of our own that is none."""
    height, width = pixels.shape[:2]
    counts = b"" if record.ignored else compressed_mask(record.value("segmentation"), height, width)
    if isinstance(counts, str):
        if image.exact:
            raise ValueError(f"segmentation: {counts}")
        return None
    return decode_mask(counts, height, width) if counts else None


def _plot_mask(
    tile: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    color: Rgb,
    scale: tuple[float, float],
    style: Style,
) -> bool:
    """Draw the outline, for masks with a tint inside; whether there was a mask."""
    import cv2

    if mask is None or not mask.any():
        return False
    if style == "mask":
        inside = cv2.resize(mask, tile.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
        tile[inside] = (tile[inside] * 0.65 + np.array(color) * 0.35).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    # From the middles of pixels of the image to those of the tile.
    lines = [(((line + 0.5) * scale - 0.5) * (1 << SHIFT)).round().astype(np.int32) for line in found]
    # Dark on both sides, so that the line shows on any print.
    for shade, width in ((DARK, 3), (color, 1)):
        cv2.polylines(tile, lines, True, shade, width, cv2.LINE_AA, SHIFT)
    return True


Drawn = tuple[AnnotationRecord, Box, Rgb, bool]


def _plot_boxes(canvas: Image.Image, image: PreviewImage, boxes: Sequence[Drawn]) -> None:
    """Boxes of what has no outline, then all words: the words of one must not lie under the lines of another."""
    draw = ImageDraw.Draw(canvas)
    for record, edges, color, outlined in boxes:
        if record.ignored:
            plot_dashed(draw, edges, color)
        elif not outlined:
            draw.rectangle((edges[0] - 1, edges[1] - 1, edges[2] + 1, edges[3] + 1), outline=DARK, width=4)
            draw.rectangle(edges, outline=color, width=2)
    taken: list[Box] = []
    for record, edges, color, _ in boxes:
        if not record.ignored:
            text = shorten(image.sku_of(record), LONGEST_SKU)
            taken.append(plot_label(draw, edges[:2], text, color, TEXT, taken=taken, within=canvas.size))
