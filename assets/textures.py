"""Procedural textures: tileable pictures from two colours and a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from assets.look import Texture


def draw_texture(texture: Texture, size: int = 512) -> NDArray[np.uint8]:
    """The picture of a procedural texture, (size, size, 3) uint8 sRGB, its opposite edges fitting together.

    Raises KeyError for kind "image", which is not procedural.
    """
    rng = np.random.default_rng([texture.seed, size])
    y, x = np.mgrid[0:size, 0:size] / size
    share = PATTERNS[texture.kind](x, y, rng)
    first, second = (np.array(color) for color in texture.colors)
    picture = first + (second - first) * np.clip(share, 0, 1)[..., None]
    # A little unevenness: nothing real is one colour all over.
    grain = tileable_noise(size, rng, octaves=4, first=4)[..., None]
    return (np.clip(picture * (0.94 + 0.12 * grain), 0, 1) * 255 + 0.5).astype(np.uint8)


def tileable_noise(size: int, rng: np.random.Generator, *, octaves: int, first: int = 2) -> NDArray[np.float64]:
    """Fractal value noise, (size, size), 0 to 1, periodic. first: cells of the coarsest octave."""
    import cv2

    total = np.zeros((size, size))
    weight = 1.0
    for octave in range(octaves):
        cells = min(first << octave, size)
        grid = rng.random((cells, cells)).astype(np.float32)
        # Wrapped by half a period on each side, enlarged, cut back: the seams fit.
        rows, columns = grid.shape
        wrapped = np.pad(grid, ((rows // 2 or 1,) * 2, (columns // 2 or 1,) * 2), mode="wrap")
        scale = (size / columns, size / rows)
        large = cv2.resize(wrapped, None, fx=scale[0], fy=scale[1], interpolation=cv2.INTER_CUBIC)
        top, left = (large.shape[0] - size) // 2, (large.shape[1] - size) // 2
        total += weight * large[top : top + size, left : left + size]
        weight *= 0.55
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-9)


def _solid(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    return np.zeros_like(x)


def _checker(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    cells = 2 * int(rng.integers(1, 5))
    return ((np.floor(x * cells) + np.floor(y * cells)) % 2).astype(float)


def _stripes(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    count, slant = int(rng.integers(2, 9)), int(rng.integers(0, 3))
    return ((x * count + y * slant) % 1 < rng.uniform(0.25, 0.75)).astype(float)


def _dots(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    cells, radius = int(rng.integers(3, 9)), rng.uniform(0.18, 0.42)
    u, v = (x * cells) % 1 - 0.5, (y * cells) % 1 - 0.5
    return (np.hypot(u, v) < radius).astype(float)


def _noise(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    return tileable_noise(len(x), rng, octaves=6, first=int(rng.integers(2, 6)))


def _gradient(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    along = x if rng.random() < 0.5 else y
    return 0.5 - 0.5 * np.cos(2 * np.pi * along)  # there and back, so that it tiles


def _wood(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    """Boards side by side with grain along y, each board of its own shade."""
    boards = int(rng.integers(1, 6))
    size = len(x)
    bend = tileable_noise(size, rng, octaves=2, first=2)
    fibre = tileable_noise(size, rng, octaves=4, first=32)
    # Averaged along the board: fine lines that hardly end.
    along = fibre.mean(axis=0, keepdims=True) * np.ones((size, 1))
    along = (along - along.min()) / max(float(np.ptp(along)), 1e-9)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (x * boards * 9 + 0.8 * bend + 0.6 * along))
    board = np.floor(x * boards).astype(int)
    shade = rng.uniform(-0.25, 0.25, size=boards)[board]
    gap = ((x * boards) % 1 < 0.012) * (boards > 1)
    return np.clip(0.3 * rings + 0.45 * along + 0.25 * fibre + shade, 0, 1) * (1 - gap) + gap


def _fabric(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    """Plain weave: threads over and under, a little uneven."""
    threads = 2 * int(rng.integers(20, 45))
    over = (np.floor(x * threads) + np.floor(y * threads)) % 2
    across = np.abs(np.sin(np.pi * threads * np.where(over > 0, x, y)))
    return np.clip(0.25 + 0.5 * across * (0.7 + 0.3 * over) + 0.2 * tileable_noise(len(x), rng, octaves=5), 0, 1)


PATTERNS: dict[str, Callable[[NDArray, NDArray, np.random.Generator], NDArray]] = {
    "solid": _solid,
    "checker": _checker,
    "stripes": _stripes,
    "dots": _dots,
    "noise": _noise,
    "gradient": _gradient,
    "wood": _wood,
    "fabric": _fabric,
}
