"""Packages after packshots: they cover the silhouette, look like the image, and go on where no image is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.catalog.load import load_catalog
from assets.catalog.types import Sku
from assets.library import load_product
from assets.mesh.types import Mesh
from assets.packages.build import build_package
from assets.packages.kinds import KINDS
from assets.packages.kinds.bottle import family_of
from assets.packages.packshots.art import SIDES, PackageArt
from assets.packages.packshots.silhouette import Profile, profile_of
from assets.packages.print.lettering import font_of, text_length, write_fitted
from assets.packages.print.small_print import render_table, render_text_block
from assets.packages.shapes.panels import border_color, image_colors
from assets.packages.shapes.plan import PackagePlan
from assets.packages.shapes.rings import even_loop, rounded_loop, unit_loop
from assets.packages.shapes.round import TOLERANCE, profile_rows
from support.front_view import view

ROWS, COLUMNS = 240, 120
PAIRS = (("front", "back"), ("left", "right"))
SIGNS = {"front": 1.0, "back": -1.0}
Outline = Callable[[np.ndarray], np.ndarray]


def waves(t: np.ndarray) -> np.ndarray:
    return 0.8 + 0.2 * np.cos(7 * t)


def neck(t: np.ndarray) -> np.ndarray:
    return np.where(t < 0.6, 1.0, np.where(t < 0.8, 1 - 0.65 * (t - 0.6) / 0.2, 0.35))


def foot(t: np.ndarray) -> np.ndarray:
    return np.where(t < 0.14, 0.55, 0.6 + 0.4 * (t - 0.14) / 0.86)


def pillow(t: np.ndarray) -> np.ndarray:
    return 0.93 + 0.07 * np.abs(2 * t - 1) ** 2


def corners(t: np.ndarray) -> np.ndarray:
    return 1 - 0.08 * np.maximum(0, 1 - np.minimum(t, 1 - t) / 0.04) ** 2


def shot_of(left: Outline, right: Outline) -> np.ndarray:
    """A packshot (ROWS, COLUMNS, 4): a gradient with bands, within an outline (half widths 0 to 1 by height)."""
    t = 1 - (np.arange(ROWS) + 0.5) / ROWS
    x = (np.arange(COLUMNS) + 0.5) / COLUMNS * 2 - 1
    shot = np.zeros((ROWS, COLUMNS, 4), np.uint8)
    shot[..., 0] = 60 + 150 * (t[:, None] > 0.4)
    shot[..., 1] = 40 + 170 * (x[None] + 1) / 2
    shot[..., 2] = 90 + 60 * np.sin(12 * t[:, None])
    inside = (x[None] >= -left(t)[:, None]) & (x[None] <= right(t)[:, None])
    shot[..., 3] = inside * 255
    return shot


def art_of(shot: np.ndarray, **more: np.ndarray) -> PackageArt:
    return PackageArt({"front": shot, **more}, None, profile_of(shot[..., 3] >= 128), None)


def sku_of(kind: str, width: float, depth: float, height: float) -> Sku:
    return Sku("k", "Acme Soup", package=kind, width_m=width, depth_m=depth, height_m=height, brand="Acme")


SHAPES: list[tuple[str, tuple[float, float, float], Outline, Outline]] = [
    ("bottle", (0.08, 0.08, 0.25), neck, neck),
    ("bottle", (0.1, 0.06, 0.25), waves, waves),
    ("bottle", (0.16, 0.09, 0.28), neck, waves),  # a handle on one side
    ("can", (0.07, 0.07, 0.11), waves, waves),
    ("jar", (0.08, 0.08, 0.11), pillow, pillow),
    ("tube", (0.055, 0.036, 0.17), foot, foot),
    ("pouch", (0.16, 0.07, 0.24), corners, corners),
    ("pouch", (0.16, 0.07, 0.24), neck, pillow),
    ("bag", (0.19, 0.06, 0.28), pillow, corners),
    ("bag", (0.28, 0.06, 0.19), pillow, pillow),
    ("blister", (0.09, 0.02, 0.14), corners, corners),
]


@pytest.mark.parametrize(("kind", "size", "left", "right"), SHAPES)
def test_from_the_front_a_package_covers_its_packshot(
    kind: str, size: tuple[float, float, float], left: Outline, right: Outline
) -> None:
    shot = shot_of(left, right)
    seen, _ = view(build_package(sku_of(kind, *size), art_of(shot), texture_px=128), COLUMNS, ROWS)
    wanted = shot[..., 3] >= 128
    assert (seen & wanted).sum() / (seen | wanted).sum() > 0.98


@pytest.mark.parametrize("kind", ["carton", "gable_top", "tray"])
def test_kinds_of_fixed_outline_cover_a_rectangle(kind: str) -> None:
    size = {"carton": (0.2, 0.06, 0.3), "gable_top": (0.07, 0.07, 0.24), "tray": (0.14, 0.04, 0.19)}[kind]
    seen, _ = view(build_package(sku_of(kind, *size), art_of(shot_of(np.ones_like, np.ones_like))), COLUMNS, ROWS)
    assert seen.mean() > 0.95


@pytest.mark.parametrize("crumbs", [0, 9])
@pytest.mark.parametrize(("floor", "wall", "brim"), [(0.8, 0.96, 0.92), (0.9, 0.97, 0.95), (0.95, 0.999, 0.99)])
def test_a_lying_tray_leans_as_its_packshot_shows(floor: float, wall: float, brim: float, crumbs: int) -> None:
    def half(heights: np.ndarray) -> np.ndarray:
        return np.where(heights < brim, np.interp(heights, [0, brim], [floor / 2, wall / 2]), 0.5) * 2

    wanted = shot_of(half, half)
    shot = wanted.copy()
    shot[ROWS - crumbs :, : COLUMNS // 2, 3] = 0  # what a shadow leaves of the lowest rows
    shot[ROWS - crumbs :, COLUMNS // 2 + 4 :, 3] = 0
    seen, _ = view(build_package(sku_of("tray", 0.24, 0.16, 0.05), art_of(shot), texture_px=128), COLUMNS, ROWS)
    covered = wanted[..., 3] >= 128
    assert (seen & covered).sum() / (seen | covered).sum() > 0.97


@pytest.mark.parametrize(("kind", "size", "left", "right"), [shape for shape in SHAPES if shape[0] != "blister"])
def test_from_the_front_a_package_looks_like_its_packshot(
    kind: str, size: tuple[float, float, float], left: Outline, right: Outline
) -> None:
    """Laid back onto the body and seen from far away again, print is where it was: nothing is stretched or shifted."""
    shot = shot_of(left, right)
    seen, colors = view(build_package(sku_of(kind, *size), art_of(shot)), COLUMNS, ROWS)
    counted = seen & (shot[..., 3] >= 128)
    counted[[0, 1, 2, -1, -2, -3]] = False  # rims and seals
    off = np.abs(colors[counted].astype(int) - shot[counted][:, :3]).max(axis=1)
    assert np.median(off) <= 6
    assert (off > 30).mean() < 0.06


SCANS = [("BBQSauce", "bottle"), ("Ketchup", "bottle"), ("SaladDressing", "bottle"), ("AlphabetSoup", "can")]


@pytest.mark.parametrize(("name", "kind"), SCANS)
def test_packages_after_images_of_scans_cover_and_resemble_them(name: str, kind: str, shared_data: Path) -> None:
    """Front and back of a real product as a far camera sees its scan are its packshots (the scans face +X)."""
    catalog = load_catalog(shared_data / "hope" / "skus.csv")
    scan = load_product(catalog.find(name), catalog.root).mesh
    depth, width, height = (float(side) for side in scan.size)
    right, up = np.eye(3)[1], np.eye(3)[2]
    views = {side: view(scan, 160, round(160 * height / width), (sign * right, up)) for side, sign in SIGNS.items()}
    shots = {side: np.dstack([colors, seen.astype(np.uint8) * 255]) for side, (seen, colors) in views.items()}
    mesh = build_package(sku_of(kind, width, depth, height), art_of(shots["front"], back=shots["back"]))
    wanted, looks = views["front"]
    seen, colors = view(mesh, wanted.shape[1], wanted.shape[0])
    assert (seen & wanted).sum() / (seen | wanted).sum() > 0.98
    both = seen & wanted
    assert np.abs(colors[both].astype(int) - looks[both]).mean() < 12


def test_the_side_packshot_gives_the_depth() -> None:
    front, side = shot_of(np.ones_like, np.ones_like), shot_of(neck, waves)  # seen from the left: +Y on its left
    art = replace(art_of(front), side_profile=profile_of(side[..., 3] >= 128))
    mesh = build_package(sku_of("bottle", 0.1, 0.06, 0.25), art, texture_px=64)
    axes = (np.array([0.0, -1, 0]), np.array([0.0, 0, 1]))
    seen, _ = view(mesh, COLUMNS, ROWS, axes)
    wanted = side[..., 3] >= 128
    assert (seen & wanted).sum() / (seen | wanted).sum() > 0.98


def label_of(mesh: Mesh) -> np.ndarray:
    textures = [part.material.texture for part in mesh.parts if part.material.texture is not None]
    return max(textures, key=lambda texture: texture.size)[..., :3].astype(int)


def test_the_back_goes_on_in_the_colours_of_the_front_without_a_seam() -> None:
    shot = shot_of(neck, neck)
    texture = label_of(build_package(sku_of("bottle", 0.08, 0.08, 0.25), art_of(shot)))
    width = texture.shape[1]
    front = width // 4 * 2
    start = (width - front) // 2
    for edge in (start, start + front):
        jump = np.abs(texture[:, edge] - texture[:, edge - 1]).max(axis=1)
        assert np.median(jump) < 12
    # Behind, each height has the main colour of the front at that height; below the neck there is drawn print on it.
    neck_rows = texture[: len(texture) // 5]
    assert np.abs(neck_rows[:, 0] - neck_rows[:, -1]).max() < 12
    middle = np.median(neck_rows[:, start : start + front], axis=1)
    assert np.abs(neck_rows[:, 2] - middle).max() < 12
    assert texture[len(texture) // 2 :, 2].std(axis=0).max() > 20


def test_the_back_packshot_is_seen_from_behind() -> None:
    back = np.full((90, 60, 4), 255, np.uint8)
    back[:, :30, :3] = (10, 20, 200)
    back[:, 30:, :3] = (10, 200, 20)
    front = np.full((90, 60, 4), 255, np.uint8)
    from_behind = (np.array([-1.0, 0, 0]), np.array([0.0, 0, 1]))
    for kind, depth in (("can", 0.08), ("pouch", 0.05), ("bag", 0.05), ("carton", 0.05), ("jar", 0.08), ("tube", 0.05)):
        mesh = build_package(sku_of(kind, 0.08, depth, 0.12), art_of(front, back=back), texture_px=128)
        _, colors = view(mesh, 8, 12, from_behind)
        assert colors[6, 1] == pytest.approx((10, 20, 200), abs=12), kind
        assert colors[6, 6] == pytest.approx((10, 200, 20), abs=12), kind


@pytest.mark.parametrize(("width", "depth"), [(0.08, 0.08), (0.1, 0.05)])
def test_side_packshots_are_seen_from_the_sides(width: float, depth: float) -> None:
    plain = {"front": (200, 200, 200), "left": (200, 30, 30), "right": (30, 30, 200)}
    sides = {}
    for side, color in plain.items():
        shot = np.full((90, 60, 4), 255, np.uint8)
        shot[..., :3] = color
        shot[:20, :30, :3] = (0, 160, 0)  # a mark at the upper left
        sides[side] = shot
    mesh = build_package(sku_of("bottle", width, depth, 0.15), art_of(sides.pop("front"), **sides), texture_px=256)
    z = np.array([0.0, 0, 1])
    for side, right in (("left", np.array([0.0, -1, 0])), ("right", np.array([0.0, 1, 0])), ("front", np.eye(3)[0])):
        _, colors = view(mesh, 9, 12, (right, z))
        assert colors[8, 4] == pytest.approx(plain[side], abs=12)
        assert colors[8, 3] == pytest.approx(plain[side], abs=12)
        assert colors[1, 3] == pytest.approx((0, 160, 0), abs=12)
        assert colors[1, 5] == pytest.approx(plain[side], abs=12)


@pytest.mark.parametrize("kind", ["can", "bottle", "jar", "tube"])
def test_an_unrolled_label_has_its_middle_in_front_and_meets_behind(kind: str) -> None:
    strip = np.zeros((40, 160, 3), np.uint8)
    strip[..., 0] = np.linspace(0, 250, 160).astype(np.uint8)
    mesh = build_package(sku_of(kind, 0.08, 0.08 if kind != "tube" else 0.05, 0.2), PackageArt(strip=strip))
    part = next(part for part in mesh.parts if part.material.texture is not None)
    corners = np.unique(mesh.faces[part.face_start : part.face_stop])
    places = mesh.vertices[corners]
    assert mesh.uv is not None
    uv = mesh.uv[corners]
    front, right = places[:, 1].argmin(), places[:, 0].argmax()
    assert uv[front, 0] == pytest.approx(0.5, abs=0.03)
    assert uv[right, 0] == pytest.approx(0.75, abs=0.03)
    texture = part.material.texture
    assert texture is not None
    assert texture[5, texture.shape[1] // 2, 0] == pytest.approx(125, abs=6)


def test_an_unrolled_label_fills_what_the_packshot_does_not_show() -> None:
    strip = np.full((60, 200, 3), (0, 0, 255), np.uint8)
    art = replace(art_of(shot_of(neck, neck)), strip=strip)
    texture = label_of(build_package(sku_of("bottle", 0.08, 0.08, 0.25), art))
    blue = (texture == (0, 0, 255)).all(axis=2)
    width = texture.shape[1]
    assert blue[:, 0].sum() == pytest.approx(width * 60 / 200, rel=0.05)
    assert not blue[:, width // 2].any()


def test_an_unrolled_label_continues_the_front_at_its_height() -> None:
    shot = shot_of(np.ones_like, np.ones_like)
    shot[..., :3] = (90, 60, 30)
    shot[150:190, :, :3] = (20, 40, 220)  # the label is far below the middle
    around = np.pi * COLUMNS  # in pixels of the packshot
    strip = np.full((40, round(around), 3), (20, 40, 220), np.uint8)
    texture = label_of(build_package(sku_of("bottle", 0.08, 0.08, 0.16), replace(art_of(shot), strip=strip)))
    blue = np.abs(texture - (20, 40, 220)).max(axis=2) < 40
    front, back = (np.flatnonzero(blue[:, column]) for column in (texture.shape[1] // 2, 3))
    assert front[0] == pytest.approx(back[0], abs=len(texture) * 0.02)
    assert front[-1] == pytest.approx(back[-1], abs=len(texture) * 0.02)


def test_an_image_from_above_is_on_the_lid() -> None:
    top = np.zeros((50, 50, 4), np.uint8)
    top[..., 3] = 255
    top[:25] = (255, 0, 0, 255)
    above = (np.array([1.0, 0, 0]), np.array([0.0, 1, 0]))
    mesh = build_package(sku_of("jar", 0.08, 0.08, 0.1), art_of(shot_of(np.ones_like, np.ones_like), top=top))
    _, colors = view(mesh, 9, 9, above)
    assert colors[2, 4] == pytest.approx((255, 0, 0), abs=3)
    assert colors[6, 4] == pytest.approx((0, 0, 0), abs=3)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 1 << 30))
def test_any_images_of_any_size_give_a_package(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = {}
    for side in SIDES:
        if rng.random() < 0.5:
            height, width = rng.choice([1, 2, 3, 7, 50], 2)
            sides[side] = rng.integers(0, 256, (height, width, 4)).astype(np.uint8)
            sides[side][..., 3] = 255 * (rng.random((height, width)) > 0.3)
            sides[side][0, 0, 3] = 255
    profiles = [next((profile_of(sides[s][..., 3] >= 128) for s in pair if s in sides), None) for pair in PAIRS]
    strip = rng.integers(0, 256, (*rng.choice([1, 3, 40], 2), 3)).astype(np.uint8) if rng.random() < 0.4 else None
    size = tuple(float(metres) for metres in rng.uniform(0.01, 0.5, 3))
    name = str(rng.choice(["A", "A b c d e f g h" * 9, "日本語 \U0001f600"]))
    sku = replace(sku_of(kind, *size), name=name, unit_package="bottle", pack_count=float(rng.integers(1, 30)))
    mesh = build_package(sku, PackageArt(sides, strip, *profiles), texture_px=int(rng.choice([16, 64, 200])))
    assert mesh.size == pytest.approx(size, abs=1e-6)
    assert np.isfinite(mesh.normals).all()


def test_a_can_seen_from_a_little_above_has_flat_ends() -> None:
    def bent(t: np.ndarray) -> np.ndarray:
        return np.where(t > 0.96, np.sqrt(np.maximum(1 - ((t - 0.96) / 0.04) ** 2, 0)), 1.0)

    seen, _ = view(build_package(sku_of("can", 0.07, 0.07, 0.11), art_of(shot_of(bent, bent)), texture_px=64), 60, 120)
    assert seen[1:-1, 1:-1].all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.5, 0), st.floats(0, 0.5)), min_size=2, max_size=128))
def test_an_outline_in_fewer_rows_is_as_near_as_it_says(borders: list[tuple[float, float]]) -> None:
    left, right = np.array(borders).T
    heights = np.linspace(0, 1, len(borders))
    rows = profile_rows(Profile(heights, left, right))
    assert rows[0] == 0 and rows[-1] == len(borders) - 1
    off = max(np.abs(np.interp(heights, heights[rows], side[rows]) - side).max() for side in (left, right))
    assert off <= TOLERANCE or len(rows) >= 44


@pytest.mark.parametrize(("aspect", "exponent"), [(1.0, 2.0), (0.5, 2.0), (0.6, 2.6), (3.0, 4.0), (1e-3, 2.0)])
def test_loops_go_around_in_equal_steps(aspect: float, exponent: float) -> None:
    loop = unit_loop(aspect, exponent)
    steps = np.linalg.norm(np.diff(loop * [1, aspect], axis=0), axis=1)
    assert steps == pytest.approx(steps.mean(), rel=0.06)
    count = len(loop) - 1
    assert loop[[0, count // 4, count // 2, 3 * count // 4]] == pytest.approx(
        np.array([[0, 1], [-1, 0], [0, -1], [1, 0]]), abs=1e-12
    )
    assert (loop[0] == loop[-1]).all()


def test_a_rounded_rectangle_has_its_sides() -> None:
    loop = rounded_loop(0.4, 0.2, 0.05)
    assert np.abs(loop).max(axis=0) == pytest.approx([0.4, 0.2])
    even = even_loop(loop, 64)
    assert np.linalg.norm(np.diff(even, axis=0), axis=1) == pytest.approx((4 * 0.5 + 2 * np.pi * 0.05) / 64, rel=0.04)


@pytest.mark.parametrize(
    ("name", "category", "depth", "family"),
    [
        ("Rebhang Red Wine", "", 0.08, "wine"),
        ("Ginger Ale", "drinks", 0.08, "longneck"),
        ("Ginger Syrup", "drinks", 0.04, "oval"),  # gin is no part of a word
        ("Quell", "water", 0.08, "water"),
        ("Zing Cola", "", 0.08, "soda"),
    ],
)
def test_words_and_sections_choose_a_bottle(name: str, category: str, depth: float, family: str) -> None:
    sku = replace(sku_of("bottle", 0.08, depth, 0.25), name=name, category=category)
    assert family_of(PackagePlan(sku, np.array([0.08, depth, 0.25]), PackageArt(), 64)) == family


def test_colours_of_an_image_come_by_how_much_there_is_of_them() -> None:
    shot = np.full((60, 100, 4), 255, np.uint8)
    shot[:, :60, :3] = (200, 30, 40)
    shot[:, 60:90, :3] = (20, 60, 200)
    shot[:, 90:, :3] = (250, 240, 20)
    assert image_colors(shot) == ((200, 30, 40), (20, 60, 200), (250, 240, 20))
    shot[:, :20, 3] = 0
    assert image_colors(shot)[0] == (200, 30, 40)
    assert border_color(np.dstack([np.full((9, 80, 3), 7, np.uint8), np.full((9, 80), 255, np.uint8)])) == (7, 7, 7)


@given(st.text("abcdefgh AVTo.", min_size=1, max_size=30), st.integers(6, 200))
def test_measured_words_are_about_as_long_as_drawn_ones(text: str, pixels: int) -> None:
    """Glyphs are drawn in whole pixels, at the size that was measured as well."""
    drawn = font_of(pixels).getlength(text)
    assert text_length(text, pixels) == pytest.approx(drawn, abs=1.6 * (pixels / 100 + 1) * len(text))


@pytest.mark.parametrize("size", [(300, 60), (60, 300), (90, 40), (70, 24)])
def test_words_fill_their_box_and_stay_in_it(size: tuple[int, int]) -> None:
    image = Image.new("RGB", (size[0] + 40, size[1] + 40), (255, 255, 255))
    write_fitted(image, "Honey Oat Flakes", (20, 20, 20 + size[0], 20 + size[1]), (0, 0, 0))
    dark = np.asarray(image)[..., 0] < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert rows[0] >= 19 and rows[-1] < 21 + size[1] and columns[0] >= 19 and columns[-1] < 21 + size[0]
    assert max(np.ptp(rows) / size[1], np.ptp(columns) / size[0]) > 0.65


@pytest.mark.parametrize("size", [(600, 400), (120, 700), (50, 60), (20, 20)])
def test_small_print_stays_in_its_box(size: tuple[int, int]) -> None:
    image = Image.new("RGB", (size[0] + 20, size[1] + 20), (255, 255, 255))
    render_text_block(image, (10, 10, 10 + size[0], 10 + size[1]), (255, 255, 255), 5)
    dark = np.asarray(image)[..., 0] < 128
    assert not dark[:9].any() and not dark[-9:].any() and not dark[:, :9].any() and not dark[:, -9:].any()
    assert size == (20, 20) or dark.mean() > 0.02
    render_table(image, (10, 10, 10 + size[0], 10 + size[1]))
    assert (np.asarray(image)[10, 10:-10] < 225).all()
    assert (np.asarray(image)[9] == 255).all()
