"""Lettering for artwork: ink with contrast to its background, and text as large as fits."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Rgb = tuple[int, int, int]
# Words are measured once, at this size in pixels, and scaled.
MEASURED_PX = 100


def ink_on(background: Rgb, *wanted: Rgb) -> Rgb:
    """Return the first of the wanted colours with contrast to the background, else black or white."""
    black, white = (22, 22, 24), (252, 252, 250)
    for ink in (*wanted, white, black):
        if abs(_brightness(ink) - _brightness(background)) > 95:
            return ink
    return black if _brightness(background) > 128 else white


def _brightness(color: Rgb) -> float:
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def font_of(pixels: float) -> ImageFont.FreeTypeFont:
    """Return Pillow's own typeface at a size in whole pixels, at least 6."""
    return _load_font(max(round(pixels), 6))


@lru_cache(maxsize=256)
def _load_font(pixels: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(pixels)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels contain FreeType
    return font


def text_length(text: str, pixels: float) -> float:
    """Estimate the pixels of a text on one line from its words, whose lengths are cached as they repeat in a list.

    Ignores kerning across spaces and the rounding of small glyphs to whole pixels.
    """
    words = text.split(" ")
    return (sum(map(_word_length, words)) + (len(words) - 1) * _word_length(" ")) * pixels / MEASURED_PX


@lru_cache(maxsize=1 << 15)
def _word_length(word: str) -> float:
    return _load_font(MEASURED_PX).getlength(word)


def write_fitted(
    image: Image.Image, text: str, box: tuple[float, float, float, float], ink: Rgb, *, bold: float = 0.0
) -> None:
    """Write text as large as fits into the box (left, top, right, bottom), centred, in up to three lines."""
    left, top, right, bottom = box
    if right - left < 8 or bottom - top < 6 or not text:
        return
    draw = ImageDraw.Draw(image)
    best: tuple[float, list[str]] = (6.0, [text])
    for lines in _break_lines(text):
        longest = max(text_length(line, 100) for line in lines)
        pixels = min((right - left) / max(longest, 1) * 94, (bottom - top) / (len(lines) * 1.12))
        best = max(best, (pixels, lines))
    pixels, lines = best
    # Small glyphs are rendered in whole pixels: up to a sixth longer than measured.
    longest = max(font_of(int(pixels)).getlength(line) for line in lines)
    pixels *= min((right - left) / max(longest, 1), 1)
    font, stroke = font_of(int(pixels)), max(int(pixels * bold), 0)
    y = (top + bottom) / 2 - pixels * 1.1 * (len(lines) - 1) / 2
    for line in lines:
        draw.text(((left + right) / 2, y), line, ink, font, "mm", stroke_width=stroke, stroke_fill=ink)
        y += pixels * 1.1


def _break_lines(text: str) -> list[list[str]]:
    """Return the text on one line, and broken into two and three lines of about equal length."""
    words = text.split()
    ways = [[text]]
    for count in range(2, min(len(words), 3) + 1):
        target, line = len(text) / count, ""
        lines: list[str] = []
        for word in words:
            if line and len(line) + len(word) / 2 > target and len(lines) < count - 1:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        ways.append([*lines, line])
    return ways
