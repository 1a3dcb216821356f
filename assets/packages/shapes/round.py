"""Bodies with oval horizontal sections: the outline of the packshot, or those of a kind."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material
from assets.packages.print.lettering import Rgb
from assets.packages.shapes.panels import background_color, opaque_texture, scale_packshot
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import FILM, PackagePlan, solid_material
from assets.packages.shapes.rings import add_lid, add_wall, flat_uv, oval_rings, unit_loop
from assets.packages.shapes.wrap import body_material

if TYPE_CHECKING:
    from assets.packages.packshots.silhouette import Profile

Outline = list[tuple[float, float]]
# Tolerance of a simplified packshot outline, in widths; its largest number of rings.
TOLERANCE, MAX_RINGS = 0.003, 44
# Least half width, in widths: a silhouette may end in a point, a lid needs a size.
MIN_HALF_WIDTH = 0.004
LID_PX = 96


def has_packshot(plan: PackagePlan) -> bool:
    """Return whether there is a packshot of front or back, which then determines outline and appearance."""
    return plan.art.profile is not None and ("front" in plan.art.sides or "back" in plan.art.sides)


def add_outlines(
    pieces: Pieces, plan: PackagePlan, outlines: list[tuple[Material, Outline]], exponent: float = 2.0
) -> None:
    """Add walls of (half width, height) in metres from bottom to top, and flat lids on both ends.

    The depth follows the package's proportions. A material's texture goes once around each of its outlines.
    """
    squeeze = float(plan.size[1] / plan.size[0])
    unit = unit_loop(squeeze, exponent, plan.segments)
    walls = []
    for material, outline in outlines:
        r, z = np.array(outline, dtype=np.float64).T
        rings = oval_rings(unit, r, r * squeeze, z)
        along = np.concatenate([[0], np.cumsum(np.hypot(np.diff(r), np.diff(z)))])
        add_wall(pieces, rings, along / max(float(along[-1]), 1e-300), material)
        walls.append(rings)
    add_lid(pieces, walls[0][0], np.zeros(2), outlines[0][0], up=False)
    add_lid(pieces, walls[-1][-1], np.zeros(2), outlines[-1][0], up=True)


def add_profiled(pieces: Pieces, plan: PackagePlan, roughness: float = FILM, *, top: Material | None = None) -> NDArray:
    """Add a body with the outline and images of its packshots; return its rings. top: the lid's material, if any."""
    rings = profiled_rings(plan)
    material = body_material(plan, rings, girth_of(rings), roughness)
    share = (rings[:, 0, 2] - rings[0, 0, 2]) / (rings[-1, 0, 2] - rings[0, 0, 2])
    add_wall(pieces, rings, share, material)
    background = background_color(plan)
    for side, ring, up in (("bottom", rings[0], False), ("top", rings[-1], True)):
        if up and top is not None:
            continue
        lid = _lid_material(plan, side, _border_color(plan, up) or background)
        add_lid(pieces, ring, flat_uv(ring, (0, 0, 1, 1), up=up), lid, up=up)
    return rings


def girth_of(rings: NDArray) -> float:
    """Return the circumference of the largest of rings (R, N + 1, 3), metres."""
    return float(np.linalg.norm(np.diff(rings, axis=1), axis=2).sum(axis=1).max())


def profiled_rings(plan: PackagePlan) -> NDArray[np.float64]:
    """Return rings (R, N + 1, 3) with the outline of the front and, if there is one, of the side."""
    profile = plan.art.profile
    assert profile is not None  # has_packshot was asked
    width, depth, height = plan.size
    side = plan.art.side_profile
    if side is None:
        heights = profile.heights[profile_rows(profile)]
    else:
        limit = MAX_RINGS * 2 // 3
        heights = np.union1d(profile.heights[profile_rows(profile, limit)], side.heights[profile_rows(side, limit)])
    left, right = (np.interp(heights, profile.heights, border) for border in (profile.left, profile.right))
    half = np.maximum((right - left) / 2, MIN_HALF_WIDTH)
    half_depth, y = half / half.max() / 2, np.zeros(len(half))
    if side is not None:
        # Seen from the left, +Y is on the left.
        far, near = (-np.interp(heights, side.heights, border) for border in (side.left, side.right))
        half_depth, y = np.maximum((far - near) / 2, MIN_HALF_WIDTH), (near + far) / 2
    exponent = 2.0 if 0.8 < depth / width < 1.25 else 2.5
    unit = unit_loop(float(depth / width), exponent, plan.segments)
    rings = oval_rings(unit, half * width, half_depth * depth, heights * height, (left + right) / 2 * width)
    rings[:, :, 1] += y[:, None] * depth
    return rings


def profile_rows(profile: Profile, limit: int = MAX_RINGS) -> NDArray[np.int64]:
    """Return the rows of a profile whose polyline stays within TOLERANCE of it (Douglas and Peucker 1973).

    At limit the `limit` limit significant ones.
    """
    borders = np.stack([profile.left, profile.right])
    heights = profile.heights
    kept = {0, len(heights) - 1, int(profile.left.argmin()), int(profile.right.argmax())}
    while len(kept) < limit:
        rows = np.array(sorted(kept))
        straight = np.stack([np.interp(heights, heights[rows], border[rows]) for border in borders])
        off = np.abs(straight - borders).max(axis=0)
        # The worst row of each span between kept ones.
        worst = {a + int(off[a:b].argmax()) for a, b in pairwise(rows)}
        new = sorted((row for row in worst if off[row] > TOLERANCE), key=lambda row: -off[row])
        if not new:
            break
        kept.update(new[: limit - len(kept)])
    return np.array(sorted(kept))


def _lid_material(plan: PackagePlan, side: str, color: Rgb) -> Material:
    if side not in plan.art.sides:
        return solid_material(color, FILM)
    image = scale_packshot(plan.art.sides[side], (LID_PX, LID_PX))
    return Material(np.ones(4), opaque_texture(image), FILM)


def _border_color(plan: PackagePlan, up: bool) -> Rgb | None:
    """Return the colour at the upper or lower end of the packshot, or None."""
    shot = plan.art.sides.get("front", plan.art.sides.get("back"))
    if shot is None:
        return None
    rows = max(len(shot) // 40, 1)
    end = (shot[:rows] if up else shot[-rows:]).reshape(-1, 4)
    solid = end[end[:, 3] >= 128]
    if not len(solid):
        return None
    red, green, blue = (int(value) for value in np.median(solid[:, :3], axis=0))
    return red, green, blue
