"""Multipacks: n x m x k units of any kind in shrink film with a printed band, or in a carton sleeve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import Sku
from assets.errors import SynthError
from assets.mesh.types import Material, Mesh
from assets.packages.kinds import builder_of
from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import profile_of
from assets.packages.print.label_colors import hash_number
from assets.packages.shapes.panels import background_color
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FILM, PAPER, PackagePlan
from assets.packages.shapes.rings import add_wall, even_loop, lift, rounded_loop
from assets.packages.shapes.sheet import Sheet
from assets.packages.shapes.wrap import body_material, label_material

# Typical units: width and depth divided by height.
PROPORTIONS = {
    "can": (0.55, 0.55),
    "bottle": (0.3, 0.3),
    "jar": (0.75, 0.75),
    "tube": (0.3, 0.2),
    "carton": (0.7, 0.35),
    "gable_top": (0.4, 0.4),
    "pouch": (0.7, 0.3),
    "bag": (0.7, 0.2),
    "tray": (2.5, 2.0),
    "blister": (0.7, 0.2),
}
ROUND = ("can", "bottle", "jar", "tube")
DEFAULT_UNIT, DEFAULT_COUNT, MAX_UNITS = "carton", 6, 64
# Cost of an additional layer, as a misfit of proportions (natural logarithm): packs are flat rather than high.
LAYER = 0.35
# Gap between units, thickness of film and of the sleeve's board, radius of the sleeve's folds, in metres.
GAP_M, FILM_M, BOARD_M, FOLD_M = 0.0006, 0.0003, 0.0006, 0.004
# Texture size of units relative to a single product; they also have half of its steps around.
UNIT_TEXTURE = 0.6
# Lower and upper end of the film's band, in heights.
BANDS = {"bottle": (0.08, 0.56), "can": (0.14, 0.82), "jar": (0.1, 0.72), "tube": (0.2, 0.7)}
# From the frame of a sleeve built around the Z axis to the package's frame.
SLEEVE = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
CORNER, BAND_STEPS = 5, 64


def build(plan: PackagePlan) -> Mesh:
    """Build units side by side in film or a sleeve. Raises SynthError if their kind is unknown or a multipack."""
    unit = plan.sku.unit_package or DEFAULT_UNIT
    unit = DEFAULT_UNIT if unit == "auto" else unit
    if unit == "multipack":
        raise SynthError(
            "a multipack of multipacks",
            code="multipack-nested",
            where=f"SKU {plan.sku.sku!r}",
            expected="another unit_package",
        )
    builder_of(unit)
    count = int(plan.sku.pack_count or DEFAULT_COUNT)
    grid = grid_of(min(max(count, 1), MAX_UNITS), plan.size, unit)
    pieces = Pieces()
    if unit in ROUND and not (unit == "can" and hash_number(plan.sku.brand or plan.sku.name, 2)):
        _add_in_film(pieces, plan, unit, grid)
    else:
        _add_in_sleeve(pieces, plan, unit, grid)
    return pieces.mesh(plan.size)


def grid_of(count: int, size: NDArray, unit: str) -> tuple[int, int, int]:
    """Return the number of units along x, y and z that gives them the most typical proportions."""
    wide, deep = PROPORTIONS[unit]
    ways = [
        (n, m, count // n // m)
        for n in range(1, count + 1)
        if count % n == 0
        for m in range(1, count // n + 1)
        if count // n % m == 0
    ]

    def misfit(way: tuple[int, int, int]) -> float:
        width, depth, height = size / way
        return float(abs(np.log(width / height / wide)) + abs(np.log(depth / height / deep)) + LAYER * (way[2] - 1))

    return min(ways, key=misfit)


def _add_units(
    pieces: Pieces, plan: PackagePlan, unit: str, grid: tuple[int, int, int], room: NDArray, art: PackageArt
) -> None:
    """Add units that fill a space `room` (3,), metres, centred in the package."""
    gap = np.minimum(GAP_M, room / grid * 0.02)
    size = (room - gap * (np.array(grid) - 1)) / grid
    sku: Sku = replace(plan.sku, package=unit, width_m=float(size[0]), depth_m=float(size[1]), height_m=float(size[2]))
    texture_px = max(round(plan.texture_px * UNIT_TEXTURE), 32)
    mesh = builder_of(unit)(PackagePlan(sku, size, art, texture_px, plan.segments // 2))
    cells = np.stack(np.meshgrid(*(np.arange(number) for number in grid), indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = cells * (size + gap)
    offsets[:, :2] -= ((room - size) / 2)[:2]
    pieces.add_copies(mesh, offsets + [0, 0, (plan.size[2] - room[2]) / 2])


def _add_in_film(pieces: Pieces, plan: PackagePlan, unit: str, grid: tuple[int, int, int]) -> None:
    """Add units in shrink film, of which only the printed band around each layer is modelled."""
    width, depth, height = (float(side) for side in plan.size)
    thick = min(FILM_M, width * 0.01, depth * 0.01)
    room = plan.size - [2 * thick, 2 * thick, 0]
    _add_units(pieces, plan, unit, grid, room, _crop_unit(plan, grid))
    layer = height / grid[2]
    low, high = (share * layer for share in BANDS[unit])
    radius = min(width / grid[0], depth / grid[1]) / 2
    outer = even_loop(rounded_loop(width / 2, depth / 2, radius, 8), BAND_STEPS)
    inner = outer * [1 - 2 * thick / width, 1 - 2 * thick / depth]
    around = float(np.linalg.norm(np.diff(outer, axis=0), axis=1).sum())
    material = None
    for number in range(grid[2]):
        heights = (number * layer + low, number * layer + high)
        rings = np.stack([lift(outer, z) for z in heights])
        if "front" in plan.art.sides:
            material = body_material(_crop_plan(plan, heights), rings, around, FILM)
        elif material is None:
            material = label_material(plan, around, high - low, FILM)
        add_wall(pieces, rings, np.array([0.0, 1.0]), material)
        inside = np.stack([lift(inner, z) for z in heights])[::-1]
        add_wall(pieces, inside, np.array([1.0, 0.0]), material)
        for ends, v in ((np.stack([rings[1], inside[0]]), 1.0), (np.stack([inside[1], rings[0]]), 0.0)):
            add_wall(pieces, ends, np.array([v, v]), material)


def _crop_plan(plan: PackagePlan, heights: tuple[float, float]) -> PackagePlan:
    """Return the plan with its packshots cropped to the part between two heights, metres."""
    share = np.array(heights) / plan.size[2]

    def cut(shot: NDArray[np.uint8]) -> NDArray[np.uint8]:
        first, last = (round(float(1 - end) * len(shot)) for end in share[::-1])
        first = min(first, len(shot) - 1)
        return shot[first : max(last, first + 1)]

    sides = {side: cut(shot) for side, shot in plan.art.sides.items() if side in ("front", "back")}
    return replace(plan, art=PackageArt(sides, None, None, None))


def _crop_unit(plan: PackagePlan, grid: tuple[int, int, int]) -> PackageArt:
    """Return the part of the packshot with a unit in the middle of the front."""
    shot = plan.art.sides.get("front")
    if shot is None:
        return PackageArt()
    rows, columns = len(shot) / grid[2], shot.shape[1] / grid[0]
    row, column = (grid[2] - 1) // 2, (grid[0] - 1) // 2
    cut = shot[round(row * rows) : round((row + 1) * rows), round(column * columns) : round((column + 1) * columns)]
    solid = cut[..., 3] >= 128
    if not solid.any():
        return PackageArt()
    down, across = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    tight = cut[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    return PackageArt({"front": tight}, None, profile_of(tight[..., 3] >= 128), None)


def _add_in_sleeve(pieces: Pieces, plan: PackagePlan, unit: str, grid: tuple[int, int, int]) -> None:
    """Add units in a printed sleeve over front, top, back and bottom; they are visible at its open ends."""
    width, depth, height = (float(side) for side in plan.size)
    thick = min(BOARD_M, depth * 0.02, height * 0.02)
    room = plan.size - [0, 2 * thick, 2 * thick]
    _add_units(pieces, plan, unit, grid, room, PackageArt())
    sheet = Sheet(
        plan,
        {"front": (width, height), "back": (width, height), "top": (width, depth)},
        {"background": background_color(plan), "board": (176, 148, 112)},
    )
    for side in ("front", "back", "top"):
        sheet.render(side, side)
    material = sheet.material(PAPER)
    half = width / 2 * 0.985
    fold = min(FOLD_M, depth / 8, height / 8)
    outer = rounded_loop(height / 2, depth / 2, fold, CORNER)
    inner = rounded_loop(height / 2 - thick, depth / 2 - thick, max(fold - thick, fold / 2), CORNER)
    outside, inside = (
        np.stack([lift(loop, z) for z in (-half, half)]) @ SLEEVE.T + [0, 0, height / 2] for loop in (outer, inner)
    )
    _add_printed(pieces, outside, sheet, plan.size, material)
    board = sheet.spread("board", 2, outside.shape[1])
    pieces.add_patch(inside[::-1], board, material, around=True)
    for ends in (np.stack([outside[1], inside[1]]), np.stack([inside[0], outside[0]])):
        pieces.add_patch(ends, board, material, around=True)


def _add_printed(pieces: Pieces, outside: NDArray, sheet: Sheet, size: NDArray, material: Material) -> None:
    """Add the sleeve's outer wall (2, N + 1, 3): flat panels with their images, folds in the background colour."""
    c = CORNER
    spans = {"top": (c, c + 1), "front": (2 * c, 2 * c + 2), "back": (4 * c + 1, 4 * c + 2), "back ": (0, 1)}
    for name, (start, stop) in spans.items():
        patch = outside[:, start : stop + 1]
        x, y, z = (patch / size + [0.5, 0.5, 0]).transpose(2, 0, 1)
        share = {"front": (x, z), "top": (x, y)}.get(name, (1 - x, z))
        pieces.add_patch(patch, sheet.uv(name.strip(), np.stack(share, axis=2)), material)
    folds = ((1, c), (c + 1, 2 * c), (2 * c + 2, 3 * c + 1), (3 * c + 1, 3 * c + 2), (3 * c + 2, 4 * c + 1))
    for start, stop in folds:
        pieces.add_patch(outside[:, start : stop + 1], sheet.spread("background", 2, stop - start + 1), material)
