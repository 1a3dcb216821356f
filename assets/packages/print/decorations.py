"""Decorations of labels: patterns, and heaps of the contents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from assets.packages.print.label_colors import blend
from assets.packages.print.lettering import Rgb

Box = tuple[float, float, float, float]
HEAP = 26
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def render_goods(image: Image.Image, box: Box, color: Rgb, plate: Rgb, seed: int, style: int = 0) -> None:
    """Render a bowl of the product in a box (left, top, right, bottom): a heap of balls or of one of GOODS."""
    left, top, right, bottom = box
    middle = np.array([left + right, top + bottom]) / 2
    half = np.array([right - left, bottom - top]) / 2
    draw = ImageDraw.Draw(image)
    draw.ellipse(box, fill=blend(plate, WHITE, 0.35))
    rng = np.random.default_rng(seed)
    angle, share, size, tone, turn = rng.random((5, HEAP))
    radius = min(half[0] * 0.17, half[1] * 0.42) * (0.6 + 0.55 * size)
    reach = np.sqrt(share) * 0.74
    x = middle[0] + half[0] * reach * np.cos(2 * np.pi * angle)
    y = middle[1] + half[1] * reach * np.sin(2 * np.pi * angle)
    shades = [blend(color, BLACK, dark * 0.25) for dark in tone.tolist()]
    if style == 0:
        for x0, y0, r, shade in zip(x.tolist(), y.tolist(), radius.tolist(), shades, strict=True):
            _render_ball(draw, x0, y0, r, shade)
        return
    outline, inner = GOODS[style - 1]
    positions = np.stack([x, y], axis=1)
    for shapes, shade in zip(
        zip(*_place_shapes((outline, inner), positions, radius, turn), strict=True), shades, strict=True
    ):
        draw.polygon(shapes[0], fill=blend(shade, BLACK, 0.12), outline=blend(shade, BLACK, 0.4))
        draw.polygon(shapes[1], fill=blend(shade, WHITE, 0.35))


def _render_ball(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, shade: Rgb) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=blend(shade, BLACK, 0.3))
    draw.ellipse((x - r * 0.92, y - r * 0.95, x + r * 0.86, y + r * 0.82), fill=shade)
    draw.ellipse((x - r * 0.5, y - r * 0.6, x - r * 0.05, y - r * 0.2), fill=blend(shade, WHITE, 0.55))


def _place_shapes(
    shapes: tuple[NDArray[np.float64], ...], positions: NDArray, radius: NDArray, turn: NDArray
) -> list[list[list[tuple[float, float]]]]:
    """Place each shape (P, 2) at each position (N, 2), rotated by fractions of a circle; return polygons for Pillow."""
    cosine, sine = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    turns = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1) * radius[:, None, None]
    polygons = [positions[:, None] + np.einsum("nij,pj->npi", turns, shape) for shape in shapes]
    return [[[(px, py) for px, py in one] for one in polygon.tolist()] for polygon in polygons]


def _oval_points(count: int, x: float, y: float, bend: float = 0.0) -> NDArray[np.float64]:
    """Return an oval, (count, 2), bent like a bean."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([x * np.cos(angle), y * np.sin(angle)], axis=1)
    points[:, 1] += bend * points[:, 0] ** 2
    return points


def _leaf_points(length: float, width: float) -> NDArray[np.float64]:
    """Return a leaf, (20, 2)."""
    along = np.linspace(-1, 1, 11)
    upper = np.stack([along * length, (1 - along**2) * width], axis=1)
    return np.concatenate([upper, upper[-2:0:-1] * [1, -1]])


SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
# Goods other than balls: outline and highlight of slices, beans, cubes and leaves, in radii.
GOODS: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...] = (
    (_oval_points(18, 1.15, 1.15), _oval_points(14, 0.85, 0.85)),
    (_oval_points(18, 1.3, 0.75, 0.35), _oval_points(10, 0.7, 0.2, 0.35) - [0, 0.25]),
    (SQUARE * 0.85, SQUARE * [0.85, 0.28] - [0, 0.57]),
    (_leaf_points(1.5, 0.65), _leaf_points(1.2, 0.08)),
)
GOODS_STYLES = 1 + len(GOODS)


def _decorate_band(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.885, width, height), fill=blend(second, BLACK, 0.15))
    for number in range(3):
        y = height * (0.56 + 0.012 * number)
        draw.line((0, y, width, y), fill=third, width=max(height // 220, 1))


def _decorate_waves(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x = np.arange(0, width + 8, 4)
    for number, color in enumerate((blend(second, WHITE, 0.3), second)):
        y = height * (0.57 + 0.07 * number) + height * 0.03 * np.sin(x / width * 2 * np.pi + number * 1.7)
        draw.polygon([(0, height), *zip(x.tolist(), y.tolist(), strict=True), (width, height)], fill=color)


def _decorate_sunburst(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    ray = blend(background, WHITE, 0.22)
    for number in range(18):
        a, b = (2 * np.pi * (number + part) / 18 for part in (0, 0.5))
        reach = 1.5 * max(width, height)
        tips = [(width / 2 + reach * np.cos(t), height * 0.72 + reach * np.sin(t)) for t in (a, b)]
        draw.polygon([(width / 2, height * 0.72), *tips], fill=ray)


def _decorate_dots(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        x, y, r = rng.uniform(0, width), rng.uniform(height * 0.53, height), rng.uniform(0.008, 0.035) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=blend(second, third, rng.uniform(0, 0.6)))


def _decorate_stripes(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    """Render slanted stripes, slightly lighter than the background."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    step, pale = max(width, height) / 9, blend(background, WHITE, 0.14)
    for number in range(0, 20, 2):
        x = step * (number - 9)
        draw.polygon([(x, 0), (x + step, 0), (x + step + height, height), (x + height, height)], fill=pale)


def _decorate_split(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    """Render the lower part in the second colour, with a slanted, lined border."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, height * 0.66), (width, height * 0.5), (width, height), (0, height)], fill=third)
    draw.polygon([(0, height * 0.68), (width, height * 0.52), (width, height), (0, height)], fill=second)


def _decorate_frame(image: Image.Image, background: Rgb, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    thick = max(round(min(width, height) * 0.025), 1)
    ImageDraw.Draw(image).rectangle((0, 0, width - 1, height - 1), outline=second, width=thick)


DECORATIONS: tuple[Callable[[Image.Image, Rgb, Rgb, Rgb, int], None], ...] = (
    _decorate_band,
    _decorate_waves,
    _decorate_sunburst,
    _decorate_dots,
    _decorate_stripes,
    _decorate_split,
    _decorate_frame,
)
