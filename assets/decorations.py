"""Decorations of labels: grounds, and heaps of what is inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from assets.label_colors import mixed
from assets.lettering import Rgb

Box = tuple[float, float, float, float]
BALLS = 26
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def draw_goods(image: Image.Image, box: Box, color: Rgb, plate: Rgb, seed: int) -> None:
    """A bowl of the product in a box (left, top, right, bottom): round things in its colour, shaded like balls."""
    left, top, right, bottom = box
    middle = np.array([left + right, top + bottom]) / 2
    half = np.array([right - left, bottom - top]) / 2
    draw = ImageDraw.Draw(image)
    draw.ellipse(box, fill=mixed(plate, WHITE, 0.35))
    rng = np.random.default_rng(seed)
    angle, share, size, tone = rng.random((4, BALLS))
    radius = min(half[0] * 0.17, half[1] * 0.42) * (0.6 + 0.55 * size)
    reach = np.sqrt(share) * 0.74
    x = middle[0] + half[0] * reach * np.cos(2 * np.pi * angle)
    y = middle[1] + half[1] * reach * np.sin(2 * np.pi * angle)
    for x0, y0, r, dark in zip(x.tolist(), y.tolist(), radius.tolist(), tone.tolist(), strict=True):
        shade = mixed(color, BLACK, dark * 0.25)
        draw.ellipse((x0 - r, y0 - r, x0 + r, y0 + r), fill=mixed(shade, BLACK, 0.3))
        draw.ellipse((x0 - r * 0.92, y0 - r * 0.95, x0 + r * 0.86, y0 + r * 0.82), fill=shade)
        draw.ellipse((x0 - r * 0.5, y0 - r * 0.6, x0 - r * 0.05, y0 - r * 0.2), fill=mixed(shade, WHITE, 0.55))


def _decorate_band(image: Image.Image, ground: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.885, width, height), fill=mixed(second, (0, 0, 0), 0.15))
    for number in range(3):
        y = height * (0.56 + 0.012 * number)
        draw.line((0, y, width, y), fill=third, width=max(height // 220, 1))


def _decorate_waves(image: Image.Image, ground: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x = np.arange(0, width + 8, 4)
    for number, color in enumerate((mixed(second, (255, 255, 255), 0.3), second)):
        y = height * (0.57 + 0.07 * number) + height * 0.03 * np.sin(x / width * 2 * np.pi + number * 1.7)
        draw.polygon([(0, height), *zip(x.tolist(), y.tolist(), strict=True), (width, height)], fill=color)


def _decorate_sunburst(image: Image.Image, ground: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    ray = mixed(ground, (255, 255, 255), 0.22)
    for number in range(18):
        a, b = (2 * np.pi * (number + part) / 18 for part in (0, 0.5))
        reach = 1.5 * max(width, height)
        tips = [(width / 2 + reach * np.cos(t), height * 0.72 + reach * np.sin(t)) for t in (a, b)]
        draw.polygon([(width / 2, height * 0.72), *tips], fill=ray)


def _decorate_dots(image: Image.Image, ground: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        x, y, r = rng.uniform(0, width), rng.uniform(height * 0.53, height), rng.uniform(0.008, 0.035) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=mixed(second, third, rng.uniform(0, 0.6)))


DECORATIONS: tuple[Callable[[Image.Image, Rgb, Rgb, Rgb, int], None], ...] = (
    _decorate_band,
    _decorate_waves,
    _decorate_sunburst,
    _decorate_dots,
)
