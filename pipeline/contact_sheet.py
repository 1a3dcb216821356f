"""Drawing of contact sheets: tiles in rows, with words that stay legible."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from assets.atomic import write_whole

Rgb = tuple[int, int, int]
GAP = 8
GROUND: Rgb = (246, 246, 244)
INK: Rgb = (28, 28, 30)


def font(pixels: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface at a size in pixels."""
    return ImageFont.load_default(pixels)


def color_of(number: int) -> Rgb:
    """Well apart colours for neighbouring numbers: hues by the golden ratio, full and bright."""
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb(number * 0.61803398875 % 1.0, 0.75, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


def sheet_of(tiles: Sequence[Image.Image], columns: int, title: str) -> Image.Image:
    """Tiles of one size in rows under a title."""
    width, height = tiles[0].size
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    head = 40
    size = (columns * (width + GAP) + GAP, head + rows * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, GROUND)
    ImageDraw.Draw(sheet).text((GAP, head / 2), title, fill=INK, font=font(20), anchor="lm")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (GAP + column * (width + GAP), head + GAP + row * (height + GAP)))
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> Path:
    """The sheet as a PNG that appears whole, its folder with it; returns `path`."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())
    return path


def tint_mask(picture: NDArray[np.uint8], mask: NDArray[np.bool_], color: Rgb) -> None:
    """Colours a mask's pixels a little and its outline fully, in place."""
    import cv2

    picture[mask] = (picture[mask] * 0.65 + np.array(color) * 0.35).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, color, 1)


def draw_dashed(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], color: Rgb, dash: int = 5) -> None:
    """A dashed rectangle."""
    left, top, right, bottom = box
    for start in range(int(left), int(right), 2 * dash):
        for y in (top, bottom):
            draw.line((start, y, min(start + dash, right), y), fill=color)
    for start in range(int(top), int(bottom), 2 * dash):
        for x in (left, right):
            draw.line((x, start, x, min(start + dash, bottom)), fill=color)


def draw_label(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, color: Rgb, pixels: float) -> None:
    """Dark words on a plate of the colour, their lower left corner at `place`, kept inside the picture's top."""
    letters = font(pixels)
    width = draw.textlength(text, font=letters) + 6
    left, bottom = place
    bottom = max(bottom, pixels + 4)
    draw.rectangle((left, bottom - pixels - 4, left + width, bottom), fill=color)
    draw.text((left + 3, bottom - 2 - pixels / 2), text, fill=(0, 0, 0), font=letters, anchor="lm")


def shorten(text: str, most: int) -> str:
    """Text of at most so many letters, cut with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
