"""Drawing of contact sheets: tiles in rows, with words that stay legible."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.files.atomic import write_atomic

Rgb = tuple[int, int, int]
# xyxy pixels.
Box = tuple[float, float, float, float]
GAP = 8
GROUND: Rgb = (246, 246, 244)
INK: Rgb = (28, 28, 30)


def font(pixels: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface at a size in pixels."""
    return ImageFont.load_default(pixels)


def sheet_of(tiles: Sequence[Image.Image], columns: int, title: str) -> Image.Image:
    """Tiles of one size in rows under a title."""
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    return sheet_of_rows(rows, title)


def fill_rows(sizes: Sequence[tuple[int, int]], columns: int, width: int) -> list[list[tuple[int, int]]]:
    """Sizes of tiles in rows of at most `columns`, every row filling a sheet of `width` pixels: no cell stays empty.

    sizes: width and height of the images. Tiles have their shapes (to a pixel, and within 1:5 and 8:1); those of a
    row have one height. A single row is at most half as high as wide, and may be narrower.
    """
    rows = np.array_split(np.arange(len(sizes)), -(-len(sizes) // columns))
    most = width // 2 if len(rows) == 1 else 5 * width
    filled = []
    for row in rows:
        shapes = [min(max(sizes[place][0] / sizes[place][1], 0.2), 8.0) for place in row]
        free = width - GAP * (len(row) + 1)
        height = min(free / sum(shapes), most)
        widths = [max(round(height * shape), 1) for shape in shapes]
        if height < most:
            widths[-1] += free - sum(widths)  # what rounding left over
        filled.append([(side, max(round(height), 1)) for side in widths])
    return filled


def sheet_of_rows(rows: Sequence[Sequence[Image.Image]], title: str) -> Image.Image:
    """Rows of tiles, each row of one height, under a title."""
    head = 40
    width = max(sum(tile.width + GAP for tile in row) + GAP for row in rows)
    height = head + sum(row[0].height + GAP for row in rows) + GAP
    sheet = Image.new("RGB", (width, height), GROUND)
    _write_title(sheet, title, head)
    top = head + GAP
    for row in rows:
        left = GAP
        for tile in row:
            sheet.paste(tile, (left, top))
            left += tile.width + GAP
        top += row[0].height + GAP
    return sheet


def _write_title(sheet: Image.Image, title: str, head: int) -> None:
    """The title in letters as large as fit in one line."""
    draw = ImageDraw.Draw(sheet)
    long = draw.textlength(title, font=font(20))
    pixels = max(min(20.0, 20.0 * (sheet.width - 2 * GAP) / max(long, 1)), 8.0)
    draw.text((GAP, head / 2), title, fill=INK, font=font(pixels), anchor="lm")


def save_sheet(sheet: Image.Image, path: Path) -> Path:
    """The sheet as a PNG that appears whole, its folder with it; return `path`."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())
    return path


def plot_dashed(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], color: Rgb, dash: int = 5) -> None:
    """A dashed rectangle."""
    left, top, right, bottom = box
    for start in range(int(left), int(right), 2 * dash):
        for y in (top, bottom):
            draw.line((start, y, min(start + dash, right), y), fill=color)
    for start in range(int(top), int(bottom), 2 * dash):
        for x in (left, right):
            draw.line((x, start, x, min(start + dash, bottom)), fill=color)


def plot_label(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    color: Rgb,
    pixels: float,
    *,
    taken: Sequence[Box] = (),
    within: tuple[int, int],
) -> Box:
    """Dark words on a plate of the colour near `place`, kept inside the image; return where (xyxy).

    The lower left corner is at `place`, else below it, where no other words stand if there is such a spot. taken: of
    other words. within: width and height of the image.
    """
    letters = font(pixels)
    width, height = draw.textlength(text, font=letters) + 6, pixels + 4
    left = max(min(place[0], within[0] - width), 0)
    steps = (place[1] - height, *(place[1] + step * height for step in range(5)))
    spots = [(left, top, left + width, top + height) for top in (max(min(y, within[1] - height), 0) for y in steps)]
    spot = next((spot for spot in spots if not any(_overlap(spot, other) for other in taken)), spots[0])
    draw.rectangle(spot, fill=color)
    draw.text((spot[0] + 3, spot[3] - 2 - pixels / 2), text, fill=(0, 0, 0), font=letters, anchor="lm")
    return spot


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def shorten(text: str, most: int) -> str:
    """Text of at most so many letters, cut with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
