"""From packshot to model: seen from the front, a built package covers its packshot's silhouette."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assets.catalog.types import Sku
from assets.packages.build import make_package
from assets.packages.packshots.silhouette import silhouette_of

SIDE = 500
LEANING = ("bottle", "jar", "pouch", "bag", "tube")
# Kind; outline from the bottom as (half width in widths, height in heights); width, depth, height in metres.
SHAPES = [
    ("carton", [(0.5, 0), (0.5, 1)], (0.19, 0.06, 0.28)),
    ("gable_top", [(0.5, 0), (0.5, 1)], (0.07, 0.07, 0.22)),
    ("can", [(0.5, 0), (0.5, 1)], (0.075, 0.075, 0.11)),
    ("can", [(0.41, 0), (0.5, 0.05), (0.5, 0.93), (0.42, 0.99), (0.42, 1)], (0.066, 0.066, 0.115)),
    ("bottle", [(0.46, 0), (0.5, 0.03), (0.5, 0.55), (0.3, 0.72), (0.17, 0.8), (0.17, 1)], (0.08, 0.08, 0.3)),
    ("bottle", [(0.5, 0), (0.43, 0.3), (0.5, 0.6), (0.2, 0.8), (0.26, 0.82), (0.26, 1)], (0.1, 0.05, 0.22)),  # a waist
    ("jar", [(0.48, 0), (0.5, 0.05), (0.5, 0.75), (0.44, 0.82), (0.44, 1)], (0.08, 0.08, 0.12)),
    ("jar", [(0.38, 0), (0.48, 0.94), (0.5, 0.94), (0.5, 1)], (0.095, 0.095, 0.07)),
    ("pouch", [(0.44, 0), (0.5, 0.06), (0.5, 0.95), (0.47, 1)], (0.16, 0.07, 0.24)),
    ("bag", [(0.5, 0), (0.46, 0.2), (0.45, 0.5), (0.46, 0.8), (0.5, 1)], (0.2, 0.08, 0.3)),
    ("tube", [(0.32, 0), (0.32, 0.13), (0.35, 0.13), (0.5, 0.96), (0.5, 1)], (0.055, 0.035, 0.18)),
    ("blister", [(0.46, 0), (0.5, 0.03), (0.5, 0.97), (0.46, 1)], (0.12, 0.03, 0.19)),
]


def packshot(outline: list[tuple[float, float]], size: tuple[float, float, float], lean: float) -> NDArray[np.uint8]:
    """A product of plain colours with a soft shadow on white, (SIDE, SIDE, 3). lean: its top's shift, in widths."""
    scale = SIDE * 0.8 / max(size[0] * (1 + abs(lean)), size[2])
    half, up = np.array(outline).T
    y = (0.5 - up) * size[2] * scale + SIDE / 2
    sides = [(0.0 + lean * up + sign * half) * size[0] * scale + SIDE / 2 for sign in (1, -1)]
    corners = np.concatenate([np.stack([sides[0], y], axis=1), np.stack([sides[1], y], axis=1)[::-1]])
    cover = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(cover, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    shadow = cv2.GaussianBlur(np.roll(cover, (8, 6), (0, 1)), (0, 0), 10)[..., None] / 255
    ground = 255 - 60 * shadow * (np.arange(SIDE)[:, None, None] > SIDE * 0.7)
    print_ = np.full((SIDE, SIDE, 3), (40, 110, 60), np.uint8)
    print_[SIDE // 2 : SIDE * 2 // 3] = (230, 200, 60)
    share = cover[..., None] / 255
    return np.asarray(ground * (1 - share) + print_ * share, np.uint8)


def true_mask(outline: list[tuple[float, float]], size: tuple[float, float, float], lean: float) -> NDArray[np.bool_]:
    """The same product alone, at the size of its box."""
    half, up = np.array(outline).T
    heights = 1 - (np.arange(300) + 0.5) / 300
    middles, halves = lean * heights, np.interp(heights, up, half)
    x = np.linspace((middles - halves).min(), (middles + halves).max(), 301)
    return np.abs((x[:-1] + x[1:]) / 2 - middles[:, None]) <= halves[:, None]


# Boxes, cans and cards are symmetric; the others may lean.
CASES = [(*shape, lean) for shape in SHAPES for lean in (0.0, 0.12) if not lean or shape[0] in LEANING]


@pytest.mark.parametrize(("kind", "outline", "size", "lean"), CASES, ids=[f"{c[0]} {c[2]} {c[3]}" for c in CASES])
def test_the_front_of_a_built_package_covers_its_packshot(
    kind: str, outline: list, size: tuple[float, float, float], lean: float, tmp_path: Path
) -> None:
    Image.fromarray(packshot(outline, size, lean)).save(tmp_path / "front.jpg", quality=85)
    sku = Sku("s", "S", package=kind, width_m=size[0], depth_m=size[1], height_m=size[2], packshot="front.jpg")
    mesh = make_package(sku, tmp_path, texture_px=64)
    assert mesh.size == pytest.approx(size, abs=1e-6)
    true = true_mask(outline, size, lean)
    seen = silhouette_of(mesh, 400)
    seen = cv2.resize(seen.astype(np.float32), true.shape[::-1], interpolation=cv2.INTER_AREA) >= 0.5
    assert (seen & true).sum() / (seen | true).sum() > 0.95
