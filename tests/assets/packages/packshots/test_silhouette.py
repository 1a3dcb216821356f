"""Outlines and the kinds that they speak for: drawn ones, and those of built packages."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assets.catalog.types import Sku
from assets.packages.build import build_package
from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import Profile, guess_kind, profile_of, silhouette_of

# Width in metres, depth and height in widths, as they are on shelves: from, to.
SIZES = {
    "carton": ((0.05, 0.25), (0.25, 0.75), (1.1, 2.2)),
    "gable_top": ((0.06, 0.095), (0.9, 1.0), (2.2, 3.2)),
    "can": ((0.05, 0.12), (1, 1), (0.5, 1.9)),
    "bottle": ((0.05, 0.12), (0.5, 1), (2.2, 4.2)),
    "jar": ((0.05, 0.11), (1, 1), (0.8, 1.8)),
    "pouch": ((0.1, 0.25), (0.25, 0.5), (1.1, 1.7)),
    "bag": ((0.1, 0.25), (0.25, 0.5), (1.1, 1.7)),
    "tube": ((0.04, 0.07), (0.55, 0.85), (2.5, 4)),
    "tray": ((0.12, 0.28), (0.6, 0.8), (0.15, 0.3)),
    "blister": ((0.08, 0.18), (0.1, 0.3), (1.2, 1.9)),
}
Size = tuple[float, float, float]


def a_size(kind: str, rng: np.random.Generator) -> Size:
    width, depth, height = (float(rng.uniform(*span)) for span in SIZES[kind])
    return width, depth * width, height * width


def built(kind: str, number: int) -> tuple[Size, NDArray[np.bool_], NDArray[np.bool_]]:
    """Size, front and side silhouette of a package of a kind."""
    size = a_size(kind, np.random.default_rng([number, sorted(SIZES).index(kind)]))
    sku = Sku(f"{kind} {number}", "x", package=kind, width_m=size[0], depth_m=size[1], height_m=size[2])
    mesh = build_package(sku, PackageArt(), texture_px=32)
    return size, silhouette_of(mesh, 400), silhouette_of(mesh, 400, side=True)


@pytest.mark.parametrize("kind", [kind for kind in SIZES if kind != "blister"])
def test_built_packages_are_told_by_their_fronts(kind: str) -> None:
    guesses = Counter(guess_kind(front, size) for size, front, _ in (built(kind, number) for number in range(10)))
    assert guesses[kind] >= 9, guesses


@pytest.mark.parametrize("kind", ["carton", "gable_top", "pouch", "bag", "blister", "can"])
def test_a_second_view_tells_film_and_cards_from_boxes(kind: str) -> None:
    views = (built(kind, number) for number in range(10))
    guesses = Counter(guess_kind(front, size, side=profile_of(side)) for size, front, side in views)
    assert guesses[kind] >= 9, guesses


def test_bottles_side_by_side_are_a_multipack() -> None:
    _, bottle, _ = built("bottle", 0)
    assert guess_kind(np.hstack([bottle] * 3), (0.24, 0.16, 0.25)) == "multipack"


def drawn(points: list[tuple[float, float]], size: Size, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A symmetric outline, (half width, height) from the bottom in shares, its border as noisy as a cut-out's."""
    pixels = 500 / max(size[0], size[2])
    width, height = round(size[0] * pixels), round(size[2] * pixels)
    corners = [(width * (0.5 + half), height * (1 - up)) for half, up in points]
    corners += [(width * (0.5 - half), height * (1 - up)) for half, up in points[::-1]]
    mask = np.zeros((height + 20, width + 20), np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(corners) + 10).astype(np.int32)], 255)
    rough = mask + cv2.GaussianBlur(rng.normal(0, 90, mask.shape), (0, 0), 1.5)
    mask = (cv2.GaussianBlur(rough, (0, 0), 1) > 127).astype(np.uint8)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] > 0


BOX = [(0.5, 0.0), (0.5, 1.0)]
OUTLINES = [
    ("carton", BOX, (0.19, 0.06, 0.28)),
    ("carton", BOX, (0.16, 0.05, 0.08)),
    ("can", BOX, (0.075, 0.075, 0.11)),
    ("can", [(0.42, 0), (0.5, 0.04), (0.5, 0.93), (0.41, 1)], (0.066, 0.066, 0.115)),  # for drinks
    ("gable_top", BOX, (0.07, 0.07, 0.23)),
    ("bottle", [(0.47, 0), (0.5, 0.03), (0.5, 0.6), (0.18, 0.8), (0.18, 1)], (0.08, 0.08, 0.3)),
    ("bottle", [(0.5, 0), (0.5, 0.55), (0.2, 0.8), (0.25, 0.85), (0.25, 1)], (0.1, 0.05, 0.22)),  # flat, for shampoo
    ("jar", [(0.48, 0), (0.5, 0.05), (0.5, 0.75), (0.44, 0.82), (0.44, 1)], (0.08, 0.08, 0.12)),
    ("jar", [(0.4, 0), (0.48, 0.94), (0.5, 0.94), (0.5, 1)], (0.095, 0.095, 0.07)),  # a tub
    ("tube", [(0.34, 0), (0.34, 0.12), (0.36, 0.12), (0.5, 1)], (0.055, 0.035, 0.18)),
    ("tray", [(0.4, 0), (0.48, 0.9), (0.5, 0.9), (0.5, 1)], (0.2, 0.15, 0.05)),
    ("bag", [(0.5, 0), (0.46, 0.2), (0.45, 0.5), (0.46, 0.8), (0.5, 1)], (0.2, 0.08, 0.3)),
]


@pytest.mark.parametrize(("kind", "points", "size"), OUTLINES, ids=[f"{o[0]} {o[2]}" for o in OUTLINES])
def test_drawn_outlines_are_told(kind: str, points: list, size: Size) -> None:
    rng = np.random.default_rng(0)
    guesses = Counter(guess_kind(drawn(points, size, rng), size) for _ in range(10))
    assert guesses[kind] >= 9, guesses


def test_mass_tells_a_bag_of_crisps_from_a_box() -> None:
    box = np.ones((300, 200), bool)
    assert guess_kind(box, (0.2, 0.08, 0.3), mass_kg=0.6) == "carton"
    assert guess_kind(box, (0.2, 0.08, 0.3), mass_kg=0.15) == "bag"


def test_a_profile_measures_what_is_there() -> None:
    mask = np.zeros((40, 30), bool)
    mask[10:30, 5:25] = True  # a square
    square = profile_of(mask, rows=9)
    assert square.heights == pytest.approx(np.linspace(0, 1, 9))
    assert square.left == pytest.approx(-0.5) and square.right == pytest.approx(0.5)
    mask[10:20, 15:] = False  # the upper right quarter is missing
    profile = profile_of(mask, rows=200)
    assert profile.right[profile.heights < 0.45] == pytest.approx(0.5)
    assert profile.right[profile.heights > 0.55] == pytest.approx(0.0)
    with pytest.raises(ValueError, match="nothing in it"):
        profile_of(np.zeros((3, 3), bool))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.05, 1.0), min_size=2, max_size=6), st.integers(0, 3))
def test_a_profile_follows_any_outline(widths: list[float], padding: int) -> None:
    """Drawn from a profile, and measured again: within two pixels."""
    heights = np.linspace(0, 1, 400)
    half = np.interp(heights, np.linspace(0, 1, len(widths)), np.array(widths) / max(widths)) / 2
    columns = (np.arange(400) + 0.5) / 400 - 0.5
    mask = np.abs(columns)[None, :] <= half[::-1, None]
    found = profile_of(np.pad(mask, padding), rows=50)
    assert found.widths == pytest.approx(2 * np.interp(found.heights, heights, half), abs=0.012)
    assert isinstance(found, Profile) and found.left == pytest.approx(-found.right, abs=0.006)


def test_silhouettes_are_what_rays_hit() -> None:
    import trimesh

    size, mask, _ = built("bottle", 1)
    sku = Sku("bottle 1", "x", package="bottle", width_m=size[0], depth_m=size[1], height_m=size[2])
    mesh = build_package(sku, PackageArt(), texture_px=32)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    rng = np.random.default_rng(0)
    spots = rng.uniform([0, 0], mask.shape, (400, 2))
    x = (spots[:, 1] / mask.shape[1] - 0.5) * size[0]
    z = (1 - spots[:, 0] / mask.shape[0]) * size[2]
    hit = solid.ray.intersects_any(np.stack([x, np.full(400, -1.0), z], 1), np.tile([0.0, 1, 0], (400, 1)))
    seen = mask[spots[:, 0].astype(int), spots[:, 1].astype(int)]
    assert (hit == seen).mean() > 0.98
