"""Drawing of one image of a preview: outlines, masks or boxes with the SKU beside each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from assets.color import distinct_color
from assets.errors import SynthError
from assets.files.image_input import open_image
from dataset.masks import compressed_mask, decode_mask
from dataset.records import AnnotationRecord
from pipeline.preview.mask import DARK, plot_mask
from pipeline.preview.sheet import Box, Rgb, plot_dashed, plot_label, shorten
from pipeline.preview.shop import plot_links, shop_items
from pipeline.preview.types import PreviewImage, Style

LONGEST_WORDS = 18
TEXT = 11
# Pixels around the tile: a line there is not seen.
BEYOND = 8.0


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
    drawn = []
    for record, color, words in _items(image):
        if record.bbox is None:
            raise ValueError(f"bbox: {record.value('bbox')!r}, expected four numbers")
        outlined = style != "box" and plot_mask(tile, _mask_of(image, record, pixels), color, scale, style)
        edges = _edges_of(record.bbox, scale, size)
        drawn.append(_Drawn(record, edges, color, words, outlined=style == "outline" and outlined))
    canvas = Image.fromarray(tile)
    draw = ImageDraw.Draw(canvas)
    _plot_boxes(draw, drawn)
    if image.shop is not None:
        plot_links(draw, {one.record.instance: one.middle for one in drawn}, image.shop)
    _plot_words(draw, drawn, canvas.size)
    return canvas


@dataclass(frozen=True)
class _Drawn:
    """A record on the tile. edges: of its box, pixels of the tile. outlined: its mask is drawn, no box is needed."""

    record: AnnotationRecord
    edges: Box
    color: Rgb
    words: str
    outlined: bool

    @property
    def middle(self) -> tuple[float, float]:
        return (self.edges[0] + self.edges[2]) / 2, (self.edges[1] + self.edges[3]) / 2


def _items(image: PreviewImage) -> Iterable[tuple[AnnotationRecord, Rgb, str]]:
    """What is drawn of an image, each with its colour and its words."""
    if image.shop is not None:
        return shop_items(image.records, image.shop)
    return (
        (record, distinct_color(_number_of(record, place)), image.sku_of(record))
        for place, record in enumerate(image.records)
    )


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


def _plot_boxes(draw: ImageDraw.ImageDraw, drawn: Sequence[_Drawn]) -> None:
    """Draw the boxes of what has no outline."""
    for one in drawn:
        x0, y0, x1, y1 = one.edges
        if one.record.ignored:
            plot_dashed(draw, one.edges, one.color)
        elif not one.outlined:
            draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=DARK, width=4)
            draw.rectangle(one.edges, outline=one.color, width=2)


def _plot_words(draw: ImageDraw.ImageDraw, drawn: Sequence[_Drawn], size: tuple[int, int]) -> None:
    """Write all words last: those of one must not lie under the lines of another."""
    taken: list[Box] = []
    for one in drawn:
        if one.words and not one.record.ignored:
            text = shorten(one.words, LONGEST_WORDS)
            taken.append(plot_label(draw, one.edges[:2], text, one.color, TEXT, taken=taken, within=size))
