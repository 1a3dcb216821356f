"""Tubes: round at the cap they stand on, flat at the crimped upper end, with about the same girth at every height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh
from assets.packages.shapes.panels import background_color
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FILM, PackagePlan, solid_material
from assets.packages.shapes.rings import add_lid, add_wall, unit_loop
from assets.packages.shapes.round import girth_of, has_packshot, profile_rows
from assets.packages.shapes.wrap import body_material, label_material

# Metres: height of the crimped end, thickness of two walls.
CRIMP_M, THICK_M = 0.008, 0.0008
LEVELS = 14


def build(plan: PackagePlan) -> Mesh:
    """Build a tube on its cap."""
    pieces = Pieces()
    if has_packshot(plan):
        _add_pictured(pieces, plan)
    else:
        _add_printed(pieces, plan)
    return pieces.mesh(plan.size)


def tube_rings(
    plan: PackagePlan, half_width: NDArray, half_depth: NDArray, z: NDArray, x: NDArray | float = 0.0
) -> NDArray:
    """Return rings (R, N + 1, 3) from ovals to lines, each in equal steps around."""
    units = np.stack(
        [unit_loop(float(b / a), segments=plan.segments) for a, b in zip(half_width, half_depth, strict=True)]
    )
    columns = units[:, :, 0] * half_width[:, None] + np.broadcast_to(x, z.shape)[:, None]
    return np.stack([columns, units[:, :, 1] * half_depth[:, None], np.broadcast_to(z[:, None], columns.shape)], axis=2)


def _circumference(a: NDArray, b: NDArray) -> NDArray:
    """Compute the circumference of ellipses with these half axes (Ramanujan 1914)."""
    h = ((a - b) / (a + b)) ** 2
    return np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))


def _half_widths(half_depth: NDArray, around: NDArray, limit: float) -> NDArray[np.float64]:
    """Compute half widths, at girth `limit`, of ellipses with these half depths and circumferences, by bisection."""
    low, high = np.full(half_depth.shape, limit * 0.4), np.full(half_depth.shape, limit)
    for _ in range(40):
        middle = (low + high) / 2
        small = _circumference(middle, half_depth) < around
        low, high = np.where(small, middle, low), np.where(small, high, middle)
    return (low + high) / 2


def _add_printed(pieces: Pieces, plan: PackagePlan) -> None:
    width, depth, h = (float(side) for side in plan.size)
    background, second, _ = plan.colors
    crimp, thick, cap_high = _crimp_sizes(plan)
    share = np.linspace(0, 1, LEVELS)
    z = cap_high + (h - crimp - cap_high) * share
    half_depth = depth / 2 + (thick / 2 - depth / 2) * share
    # A wedge from the side; from the front it widens to keep the same girth.
    girth = float(_circumference(np.array(width / 2), np.array(thick / 2)))
    half_width = _half_widths(half_depth, np.full(LEVELS, girth), width / 2)
    rings = tube_rings(plan, half_width, half_depth, z)
    label = label_material(plan, girth, float(z[-1] - z[0]), FILM)
    add_wall(pieces, rings, share, label)
    seal = solid_material(background, FILM)
    top = _crimp_rings(rings[-1], h, crimp, thick)
    add_wall(pieces, top, np.zeros(len(top)), seal)
    add_lid(pieces, top[-1], np.zeros(2), seal, up=True)
    cap = solid_material(second, 0.4)
    low_half = float(half_width[0])
    edge = min(0.0015, cap_high * 0.2, low_half * 0.1, depth * 0.05)
    scale = np.array([0.84 - edge / low_half, 0.84, 0.9, 0.9, 1.0])
    foot = rings[0][None] * [1, 1, 0] * scale[:, None, None]
    foot[:, :, 2] = np.array([0, edge, cap_high * 0.82, cap_high * 0.84, cap_high])[:, None]
    foot[-1] = rings[0]
    add_wall(pieces, foot[:4], np.zeros(4), cap)
    add_wall(pieces, foot[3:], np.zeros(2), seal)
    add_lid(pieces, foot[0], np.zeros(2), cap, up=False)


def _crimp_sizes(plan: PackagePlan) -> tuple[float, float, float]:
    """Return height and thickness of the crimp and height of the cap, metres."""
    _, depth, h = (float(side) for side in plan.size)
    return min(CRIMP_M, h * 0.1), min(THICK_M, depth * 0.2), min(h * 0.16, max(h * 0.1, 0.022))


def _crimp_rings(border: NDArray, h: float, crimp: float, thick: float) -> NDArray:
    """Return upright rings from a flat border, with pressed lines."""
    count = 6
    rings = np.repeat(border[None], count, axis=0)
    rings[1:, :, 2] = (h - crimp + crimp * np.arange(1, count) / (count - 1))[:, None]
    rings[1:-1, :, 1] += (np.arange(1, count - 1) % 2 - 0.5)[:, None] * thick * 0.5
    return rings


def _add_pictured(pieces: Pieces, plan: PackagePlan) -> None:
    profile = plan.art.profile
    assert profile is not None  # has_packshot was asked
    width, depth, h = (float(side) for side in plan.size)
    crimp, thick, cap_high = _crimp_sizes(plan)
    heights = np.unique(
        np.concatenate([profile.heights[profile_rows(profile)], np.linspace(cap_high / h, 1 - crimp / h, LEVELS)])
    )
    left, right = (np.interp(heights, profile.heights, border) for border in (profile.left, profile.right))
    half = np.maximum((right - left) / 2, 0.004) * width
    flat = np.clip((heights * h - cap_high) / max(h - crimp - cap_high, 1e-12), 0, 1)
    deep = depth / 2 + (thick / 2 - depth / 2) * flat
    # The cap is round: it is about as deep as wide.
    widest = max(2 * float(half[flat == 0].max()), 1e-12)
    deep = np.where(heights * h <= cap_high, np.minimum(deep, half * depth / widest), deep)
    rings = tube_rings(plan, half, deep, heights * h, (left + right) / 2 * width)
    material = body_material(plan, rings, girth_of(rings), FILM)
    add_wall(pieces, rings, heights, material)
    background = solid_material(background_color(plan), FILM)
    add_lid(pieces, rings[0], np.zeros(2), background, up=False)
    add_lid(pieces, rings[-1], np.zeros(2), background, up=True)
