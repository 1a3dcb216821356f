"""Drawn packshots of every kind of package, with their true masks: for measuring what is made of packshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import Sku
from assets.packages.print.artwork import label_colors, render_panel

SIDE = 800
# Width in metres, depth and height in widths: from, to.
SIZES = {
    "carton": ((0.05, 0.25), (0.25, 0.75), (1.1, 2.2)),
    "gable_top": ((0.06, 0.095), (0.9, 1.0), (2.2, 3.2)),
    "can": ((0.05, 0.11), (1, 1), (0.5, 1.9)),
    "bottle": ((0.05, 0.12), (0.5, 1), (2.2, 4.2)),
    "jar": ((0.05, 0.11), (1, 1), (0.8, 1.8)),
    "pouch": ((0.1, 0.25), (0.25, 0.5), (1.1, 1.7)),
    "bag": ((0.1, 0.25), (0.25, 0.5), (1.1, 1.7)),
    "tube": ((0.04, 0.07), (0.55, 0.85), (2.5, 4)),
    "tray": ((0.12, 0.28), (0.6, 0.8), (0.15, 0.3)),
    "blister": ((0.08, 0.18), (0.1, 0.3), (1.2, 1.9)),
}
Outline = list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A product, its packshot (SIDE, SIDE, 3) uint8 and its mask there (SIDE, SIDE)."""

    sku: Sku
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def draw_packshot(number: int, kind: str) -> Drawing:
    """The packshot of one product of a kind; another number, another product."""
    rng = np.random.default_rng([number, sorted(SIZES).index(kind)])
    width, depth, height = (float(rng.uniform(*span)) for span in SIZES[kind])
    depth, height = depth * width, height * width
    sku = Sku(
        f"{kind}-{number:05}",
        f"Product {number}",
        package=kind,
        width_m=round(width, 4),
        depth_m=round(depth, 4),
        height_m=round(height, 4),
        brand=f"Brand {number % 40}",
        packshot=f"shots/{kind}-{number:05}.jpg",
    )
    cover = _cover(OUTLINES[kind](rng, height), width, height, kind)
    return Drawing(sku, _photographed(sku, cover, rng), cover >= 0.5)


def _cover(outline: Outline, width: float, height: float, kind: str) -> NDArray[np.float32]:
    """Coverage of each pixel, 0 to 1. outline: (half width in widths, height in heights), from the bottom."""
    scale = 4 * SIDE * 0.82 / max(width, height)
    half, up = np.array(outline).T
    right = np.stack([half * width * scale, (0.5 - up) * height * scale], axis=1)
    left = (right * [-1, 1])[::-1]
    if kind == "bag":
        right, left = (np.concatenate(part) for part in ((right,), (_teeth(right[-1], left[0], scale), left)))
        left = np.concatenate([left, _teeth(left[-1], right[0], scale)])
    large = np.zeros((4 * SIDE, 4 * SIDE), np.uint8)
    cv2.fillPoly(large, [(np.concatenate([right, left]) + 2 * SIDE).astype(np.int32)], 255)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _teeth(first: NDArray, last: NDArray, scale: float) -> NDArray[np.float64]:
    """The cut end of film: teeth of two millimetres, inwards."""
    count = max(int(abs(last[0] - first[0]) / scale / 0.002), 8)
    way = np.linspace(first, last, count)
    way[1:-1:2, 1] += np.sign(-first[1]) * 0.0012 * scale
    return way


def _photographed(sku: Sku, cover: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    size = (int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
    print_ = np.asarray(render_panel("front", sku, size, label_colors(sku)[0]).convert("RGB"), np.float32)
    front = np.zeros((SIDE, SIDE, 3), np.float32)
    front[rows[0] : rows[0] + size[1], columns[0] : columns[0] + size[0]] = print_
    depth = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    front *= (1 - 0.12 * np.exp(-depth / 6))[..., None]  # lit from the front, rims are a little darker
    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j].astype(np.float32)
    grounds = (np.full_like(x, 255), np.full_like(x, 247), 240 - 50 * y + 15 * x)
    behind = grounds[int(rng.integers(3))]
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(np.roll(cover, (SIDE // 40, SIDE // 80), (0, 1)), (0, 0), SIDE / 50)
        behind = behind * (1 - float(rng.uniform(0.1, 0.4)) * soft * np.clip((y - 0.5) * 3, 0, 1))
    image = behind[..., None] * (1 - cover[..., None]) + front * cover[..., None]
    return np.asarray(np.clip(image + rng.normal(0, 0.7, image.shape), 0, 255), np.uint8)


def _box(rng: np.random.Generator, height: float) -> Outline:
    return [(0.5, 0), (0.5, 1)]


def _card(rng: np.random.Generator, height: float) -> Outline:
    return _rounded(0.03, height)


def _pouch(rng: np.random.Generator, height: float) -> Outline:
    return _rounded(float(rng.uniform(0.05, 0.08)), height)


def _rounded(radius: float, height: float) -> Outline:
    """Corners of a radius in widths; the height of a corner is about the same length."""
    turn = np.linspace(0, np.pi / 2, 8)
    share = radius * 0.7
    low = [(0.5 - radius * (1 - np.sin(t)), share * (1 - np.cos(t))) for t in turn]
    return [*low, *((half, 1 - up) for half, up in low[::-1])]


def _can(rng: np.random.Generator, height: float) -> Outline:
    if rng.random() < 0.4:  # for drinks
        return [(0.41, 0), (0.5, 0.045), (0.5, 0.93), (0.43, 0.985), (0.43, 1)]
    rim = 0.003 / height
    return [(0.5, 0), (0.5, rim), (0.487, 2 * rim), (0.487, 1 - 2 * rim), (0.5, 1 - rim), (0.5, 1)]


def _bottle(rng: np.random.Generator, height: float) -> Outline:
    neck, shoulder, cap = (float(rng.uniform(*span)) for span in ((0.13, 0.22), (0.5, 0.7), (0.85, 0.92)))
    waist = float(rng.choice([1.0, 1.0, 0.86]))
    way = np.linspace(0, 1, 14)
    bend = [(0.5 + (neck - 0.5) * (0.5 - 0.5 * np.cos(np.pi * t)), shoulder + (cap - 0.03 - shoulder) * t) for t in way]
    body = [(0.46, 0), (0.5, 0.03), (0.5, 0.2), (0.5 * waist, 0.32), (0.5, 0.44)]
    return [*body, *bend, (neck, cap), (neck * 1.15, cap), (neck * 1.15, 1)]


def _jar(rng: np.random.Generator, height: float) -> Outline:
    lid, low = float(rng.uniform(0.42, 0.47)), float(rng.uniform(0.74, 0.84))
    turn = np.linspace(0, np.pi / 2, 8)
    shoulder = [(lid - 0.02 + (0.52 - lid) * np.cos(t), low - 0.1 + 0.1 * np.sin(t)) for t in turn]
    return [(0.46, 0), (0.5, 0.04), *shoulder, (lid, low), (lid, 1)]


def _bag(rng: np.random.Generator, height: float) -> Outline:
    waist = float(rng.uniform(0.02, 0.05))
    return [(0.5 - waist * np.sin(np.pi * t) ** 0.7, t) for t in np.linspace(0, 1, 24)]


def _tube(rng: np.random.Generator, height: float) -> Outline:
    foot = float(rng.uniform(0.28, 0.38))
    return [(foot, 0), (foot, 0.13), (foot + 0.03, 0.13), (0.5, 0.95), (0.5, 1)]


def _tray(rng: np.random.Generator, height: float) -> Outline:
    return [(float(rng.uniform(0.4, 0.45)), 0), (0.48, 0.92), (0.5, 0.92), (0.5, 1)]


OUTLINES: dict[str, Callable[[np.random.Generator, float], Outline]] = {
    "carton": _box,
    "gable_top": _box,
    "can": _can,
    "bottle": _bottle,
    "jar": _jar,
    "pouch": _pouch,
    "bag": _bag,
    "tube": _tube,
    "tray": _tray,
    "blister": _card,
}
