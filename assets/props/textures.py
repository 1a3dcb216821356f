"""Procedural textures: tileable images from two colours and a seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from assets.props.look import Texture


def render_texture(texture: Texture, size: int = 512) -> NDArray[np.uint8]:
    """Render a procedural texture, (size, size, 3) uint8 sRGB, tileable.

    Raises KeyError for kind "image", which is not procedural.
    """
    import cv2

    rng = np.random.default_rng([texture.seed, size])
    share = np.clip(PATTERNS[texture.kind](*_texel_grid(size), rng), 0, 1).astype(np.float32)
    # Slight unevenness: no real surface has a uniform colour.
    grain = np.float32(0.94) + np.float32(0.12) * tileable_noise(size, rng, octaves=4, first=4).astype(np.float32)
    first, second = (np.array(color, np.float32) for color in texture.colors)
    planes = [(one + (other - one) * share) * grain * np.float32(255) for one, other in zip(first, second, strict=True)]
    return cv2.merge([cv2.convertScaleAbs(plane) for plane in planes])


@lru_cache(maxsize=2)
def _texel_grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of each texel, (size, size) each, from 0 to below 1."""
    y, x = np.mgrid[0:size, 0:size] / size
    x.flags.writeable = y.flags.writeable = False
    return x, y


def tileable_noise(size: int, rng: np.random.Generator, *, octaves: int, first: int = 2) -> NDArray[np.float64]:
    """Sample periodic fractal value noise, (size, size), 0 to 1. first: cells of the coarsest octave."""
    total = np.zeros((size, size), np.float32)
    weight = 1.0
    for octave in range(octaves):
        cells = min(first << octave, size)
        grid = rng.random((cells, cells)).astype(np.float32)
        between = _periodic_cubic(cells, size)
        total += np.float32(weight) * (between @ grid @ between.T)
        weight *= 0.55
    low, high = float(total.min()), float(total.max())
    return (total.astype(np.float64) - low) / max(high - low, 1e-9)


@lru_cache(maxsize=64)
def _periodic_cubic(cells: int, size: int) -> NDArray[np.float32]:
    """Return the matrix (size, cells) that interpolates `cells` periodic values at `size` positions.

    Cubic convolution with a = -0.75 (Keys, 1981), values at the centres of their cells.
    """
    a = -0.75
    position = (np.arange(size) + 0.5) * cells / size - 0.5
    matrix = np.zeros((size, cells))
    for step in range(-1, 3):
        cell = np.floor(position) + step
        x = np.abs(position - cell)
        near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
        np.add.at(matrix, (np.arange(size), cell.astype(int) % cells), np.where(x <= 1, near, far))
    return matrix.astype(np.float32)


def _solid_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    return np.zeros_like(x)


def _checker_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    cells = 2 * int(rng.integers(1, 5))
    return ((np.floor(x * cells) + np.floor(y * cells)) % 2).astype(float)


def _stripes_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    count, slant = int(rng.integers(2, 9)), int(rng.integers(0, 3))
    return ((x * count + y * slant) % 1 < rng.uniform(0.25, 0.75)).astype(float)


def _dots_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    cells, radius = int(rng.integers(3, 9)), rng.uniform(0.18, 0.42)
    u, v = (x * cells) % 1 - 0.5, (y * cells) % 1 - 0.5
    return (np.hypot(u, v) < radius).astype(float)


def _noise_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    return tileable_noise(len(x), rng, octaves=6, first=int(rng.integers(2, 6)))


def _gradient_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    along = x if rng.random() < 0.5 else y
    return 0.5 - 0.5 * np.cos(2 * np.pi * along)  # symmetric, so that it tiles


def _wood_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    """Return boards side by side with grain along y, each in its own shade."""
    boards = int(rng.integers(1, 6))
    size = len(x)
    bend = tileable_noise(size, rng, octaves=2, first=2)
    fibre = tileable_noise(size, rng, octaves=4, first=32)
    # Averaged along the board: long fine lines.
    along = fibre.mean(axis=0, keepdims=True) * np.ones((size, 1))
    along = (along - along.min()) / max(float(np.ptp(along)), 1e-9)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (x * boards * 9 + 0.8 * bend + 0.6 * along))
    board = np.floor(x * boards).astype(int)
    shade = rng.uniform(-0.25, 0.25, size=boards)[board]
    gap = ((x * boards) % 1 < 0.012) * (boards > 1)
    return np.clip(0.3 * rings + 0.45 * along + 0.25 * fibre + shade, 0, 1) * (1 - gap) + gap


def _fabric_pattern(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray:
    """Return a slightly uneven plain weave."""
    threads = 2 * int(rng.integers(20, 45))
    over = (np.floor(x * threads) + np.floor(y * threads)) % 2
    across = np.abs(np.sin(np.pi * threads * np.where(over > 0, x, y)))
    return np.clip(0.25 + 0.5 * across * (0.7 + 0.3 * over) + 0.2 * tileable_noise(len(x), rng, octaves=5), 0, 1)


PATTERNS: dict[str, Callable[[NDArray, NDArray, np.random.Generator], NDArray]] = {
    "solid": _solid_pattern,
    "checker": _checker_pattern,
    "stripes": _stripes_pattern,
    "dots": _dots_pattern,
    "noise": _noise_pattern,
    "gradient": _gradient_pattern,
    "wood": _wood_pattern,
    "fabric": _fabric_pattern,
}
