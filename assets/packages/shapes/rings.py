"""Rings (closed horizontal sections), walls between them and lids.

A ring is (N + 1, 3), the last point equal to the first. It starts at the back (+Y) and goes to the right seen from
outside: after a quarter it is at -X, half way at the front (-Y), after three quarters at +X.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import SEGMENTS

# An outline that bends by more than this at a ring has a hard edge there.
CREASE = np.radians(38)
UPWARDS = np.array([0.0, 0.0, 1.0])


@lru_cache(maxsize=64)
def _unit_loop(aspect: float, exponent: float, segments: int) -> NDArray[np.float64]:
    angle = np.linspace(0, np.pi / 2, 721)
    x, y = np.sin(angle) ** (2 / exponent), np.cos(angle) ** (2 / exponent)
    x[0] = y[-1] = 0.0
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y) * aspect))])
    spots = np.linspace(0, length[-1], segments // 4 + 1)
    x, y = np.interp(spots, length, x), np.interp(spots, length, y)
    left = np.stack([-np.concatenate([x, x[-2::-1]]), np.concatenate([y, -y[-2::-1]])], axis=1)
    loop = np.concatenate([left, left[-2::-1] * [-1, 1]])
    loop.flags.writeable = False
    return loop


def unit_loop(aspect: float, exponent: float = 2.0, segments: int = SEGMENTS) -> NDArray[np.float64]:
    """Return an ellipse (exponent 2) or rounded rectangle, (segments + 1, 2) in -1 ... 1, in equal steps around.

    aspect: depth : width of the section for which the steps are equal.
    """
    return _unit_loop(float(f"{aspect:.4g}"), exponent, segments)


def oval_rings(
    unit: NDArray, half_width: NDArray, half_depth: NDArray, z: NDArray, x: NDArray | float = 0.0
) -> NDArray:
    """Return rings (R, N + 1, 3): a unit loop in R sizes at heights z, centred at x."""
    columns = np.broadcast_to(half_width, z.shape)[:, None] * unit[:, 0] + np.broadcast_to(x, z.shape)[:, None]
    depths = np.broadcast_to(half_depth, z.shape)[:, None] * unit[:, 1]
    return np.stack([columns, depths, np.broadcast_to(z[:, None], columns.shape)], axis=2)


def rounded_loop(half_width: float, half_depth: float, radius: float, corner: int = 5) -> NDArray[np.float64]:
    """Return a rectangle with rounded corners of `corner` points each, (N + 1, 2), from the middle of the back."""
    radius = min(radius, half_width, half_depth)
    turn = np.linspace(0, np.pi / 2, corner)
    x = half_width - radius + radius * np.sin(turn)
    y = half_depth - radius + radius * np.cos(turn)
    left = np.concatenate([[0.0], -x, -x[::-1], [0.0]])
    depth = np.concatenate([[half_depth], y, -y[::-1], [-half_depth]])
    return np.stack([np.concatenate([left, -left[-2::-1]]), np.concatenate([depth, depth[-2::-1]])], axis=1)


def even_loop(loop: NDArray, segments: int) -> NDArray[np.float64]:
    """Resample a loop (M + 1, 2) to (segments + 1, 2) in equal steps around."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(loop, axis=0), axis=1))])
    spots = np.linspace(0, length[-1], segments + 1)
    even = np.column_stack([np.interp(spots, length, loop[:, axis]) for axis in (0, 1)])
    even[-1] = even[0]
    return even


def lift(loop: NDArray, z: float) -> NDArray[np.float64]:
    """Return a loop (N + 1, 2) as a ring at height z."""
    return np.column_stack([loop, np.full(len(loop), z)])


def add_wall(pieces: Pieces, rings: NDArray, v: NDArray, material: Material) -> None:
    """Add the surface through rings (R, N + 1, 3), ordered upwards as seen from outside; v (R,): texture heights.

    The texture goes around once. Edges are hard where the outline bends sharply, smooth elsewhere.
    """
    u = np.linspace(0, 1, rings.shape[1])
    uv = np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=2)
    for start, stop in _smooth_spans(rings):
        pieces.add_patch(rings[start:stop], uv[start:stop], material, around=True)


def _smooth_spans(rings: NDArray) -> list[tuple[int, int]]:
    """Return ranges of rings between creases, judged by the outlines at the front and the right."""
    middle = (rings.shape[1] - 1) // 2
    hard = np.zeros(len(rings), bool)
    for column in (middle, middle + middle // 2):
        step = np.diff(rings[:, column], axis=0)
        step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-300)
        hard[1:-1] |= np.einsum("ij,ij->i", step[1:], step[:-1]) < np.cos(CREASE)
    edges = [0, *np.flatnonzero(hard).tolist(), len(rings) - 1]
    return [(a, b + 1) for a, b in pairwise(edges)]


def add_lid(
    pieces: Pieces, ring: NDArray, uv: NDArray, material: Material, *, up: bool, axis: NDArray = UPWARDS
) -> None:
    """Close a flat ring (N + 1, 3) with a fan; uv (N + 1, 2) or (2,). up: it faces along `axis`, else against it."""
    corners, ring_uv = ring[:-1], np.broadcast_to(uv, (len(ring), 2))[:-1]
    count = len(corners)
    first = np.arange(count)
    successor = np.roll(first, -1)
    faces = np.stack([np.full(count, count), first, successor] if up else [np.full(count, count), successor, first], 1)
    points = np.concatenate([corners, corners.mean(axis=0, keepdims=True)])
    spots = np.concatenate([ring_uv, ring_uv.mean(axis=0, keepdims=True)])
    pieces.add(points, np.tile(axis if up else -axis, (count + 1, 1)), spots, faces, material)


def flat_uv(ring: NDArray, rectangle: tuple[float, float, float, float], *, up: bool) -> NDArray[np.float64]:
    """Return texture coordinates (N + 1, 2) that show an image once on a flat ring, upright with the front edge down.

    rectangle: left, bottom, width, height of the image in the texture, 0 to 1.
    """
    low, high = ring[:, :2].min(axis=0), ring[:, :2].max(axis=0)
    share = (ring[:, :2] - low) / np.maximum(high - low, 1e-300)
    if not up:
        share = share * [1, -1] + [0, 1]
    return np.array(rectangle[:2]) + share * rectangle[2:]
