"""Small print on packages: text blocks, nutrition tables, barcodes; rendered once and reused on many packages."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from assets.catalog.barcode import barcode_image, ean13
from assets.packages.print.lettering import Rgb, font_of, ink_on, text_length, write_fitted

Box = tuple[float, float, float, float]
# Available letter sizes and column widths of text pages, pixels; length of a page in lines.
LETTERS_PX = (6, 8, 11, 15, 20)
COLUMNS_PX = (48, 80, 120, 180, 260, 400)
PAGE_LINES = 44
# Line pitch and space between columns, in letter sizes.
LINE, GUTTER = 1.25, 0.8
TEXT = (
    "Ingredients: water, sugar, wheat flour, vegetable oil, salt, natural flavour, yeast, milk powder, starch, spices, "
    "emulsifier, raising agent, colour, antioxidant, may contain traces of nuts. Store in a cool and dry place. Best "
    "before: see date on pack. Once opened keep closed and use within a few days. Shake well. Recycle this pack."
)
NUTRITION = (
    "Nutrition / 100 g",
    "Energy  1480 kJ",
    "Fat  4.1 g",
    "Carbohydrate  62 g",
    "Sugars  18 g",
    "Protein  9 g",
    "Salt  0.6 g",
)
TABLE_PX = 220
DARK, PALE = (20, 20, 20), (250, 250, 248)


def render_text_block(image: Image.Image, box: Box, background: Rgb, seed: int) -> None:
    """Fill a box (left, top, right, bottom) with small print in columns, in a realistic letter size."""
    left, top, right, bottom = (round(side) for side in box)
    letters = max((size for size in LETTERS_PX if size <= max(image.height / 42, 7)), default=LETTERS_PX[0])
    width = max((column for column in COLUMNS_PX if column <= right - left), default=0)
    if not width or bottom - top < letters:
        return
    page, ink = _render_page(letters, width), ink_on(background)
    line = letters * LINE
    lines = min(int((bottom - top) / line), PAGE_LINES)
    columns = int((right - left + letters * GUTTER) / (width + letters * GUTTER))
    for column in range(columns):
        start = (seed + column * 17) % (PAGE_LINES - lines + 1)
        part = page.crop((0, round(start * line), width, round((start + lines) * line)))
        image.paste(ink, (left + round(column * (width + letters * GUTTER)), top), part)


@lru_cache(maxsize=len(LETTERS_PX) * len(COLUMNS_PX))
def _render_page(letters: int, width: int) -> Image.Image:
    """Render a column of random words as a mask."""
    page = Image.new("L", (width, round(PAGE_LINES * letters * LINE) + 1), 0)
    draw, font = ImageDraw.Draw(page), font_of(letters)
    rng = np.random.default_rng([letters, width])
    words, text = TEXT.split(), ""
    for number in range(PAGE_LINES):
        while True:
            word = words[rng.integers(len(words))]
            if text and text_length(f"{text} {word}", letters) > width:
                break
            text = f"{text} {word}".strip()
        draw.text((0, number * letters * LINE), text, 255, font)
        text = word
    return page


def render_table(image: Image.Image, box: Box) -> None:
    """Render a table of nutrition facts that fills a box."""
    left, top, right, bottom = (round(side) for side in box)
    if right - left < 8 or bottom - top < 8:
        return
    size = (right - left, bottom - top)
    # Aspects in steps of a quarter octave: letters are at most a tenth too wide or too narrow.
    octave = round(4 * float(np.log2(size[1] / size[0])))
    image.paste(
        _render_table_image(int(np.clip(octave, -12, 12))).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0),
        (left, top),
    )


@lru_cache(maxsize=32)
def _render_table_image(octave: int) -> Image.Image:
    """Render a table whose height is 2 ** (octave / 4) times its width."""
    aspect = 2 ** (octave / 4)
    width, height = (TABLE_PX, round(TABLE_PX * aspect)) if aspect < 2 else (round(2 * TABLE_PX / aspect), 2 * TABLE_PX)
    table = Image.new("RGB", (max(width, 16), max(height, 16)), PALE)
    draw = ImageDraw.Draw(table)
    step = table.height / len(NUTRITION)
    for number, row in enumerate(NUTRITION):
        y = step * number
        write_fitted(table, row, (3, y + step * 0.12, table.width - 3, y + step * 0.88), DARK)
        draw.line((0, y, table.width, y), fill=DARK, width=1)
    draw.rectangle((0, 0, table.width - 1, table.height - 1), outline=DARK, width=2)
    return table


def render_barcode(image: Image.Image, box: Box, text: str) -> None:
    """Render a barcode in the middle of a box, as large as fits: of `text`, or of a number derived from it."""
    left, top, right, bottom = box
    code = barcode_image(ean13(text))
    wide = min(right - left, (bottom - top) * code.width / code.height)
    size = (max(round(wide), 12), max(round(wide * code.height / code.width), 8))
    position = (round((left + right - size[0]) / 2), round((top + bottom - size[1]) / 2))
    image.paste(code.resize(size, Image.Resampling.BOX), position)
