"""Products on hooks: rows of hooks are planned like boards, products hang one behind another from the tips inwards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.catalog.package_kinds import AUTO, package_kind
from assets.catalog.types import Sku
from assets.fixtures.hooks import PLATE_WIDTH
from render.geometry import rotation_about_z, transform
from render.layout import Support
from render.placement.arrange import resting_pose
from render.placement.facings import FacingBlock, StockedBlock, StockedItem

# Packages with a hole in their upper edge, and the largest that hooks carry: width, depth, height in metres, and mass.
HANGING_KINDS, LARGEST_M, HEAVIEST_KG = ("bag", "blister", "pouch"), (0.2, 0.06, 0.26), 0.35
# Boxes and meshes of unknown kind hang if they are thin, as boxes with a euro hole are: metres, share of their front.
MAYBE_KINDS, THIN_M, THIN = ("carton", AUTO, None), 0.035, 0.35
# From the upper edge of a product to its hole, and free room under it and beside it, metres.
HOLE, BELOW, BESIDE = 0.006, 0.012, 0.014
# Holes of a pegboard are an inch apart.
PEG_M = 0.0254
# Most products on a hook for each wanted row; how they swing, standard deviations in radians; gap behind, metres.
DEEP, YAW, ROLL, BEHIND = 4, 0.06, 0.012, (0.0005, 0.004)


def can_hang(sku: Sku, size: NDArray[np.float64]) -> bool:
    """Return whether a product of that width, depth and height (3,), metres, hangs from hooks."""
    kind, (width, depth, height) = package_kind(sku.package), size.tolist()
    thin = depth <= min(THIN_M, THIN * width, THIN * height)
    light = sku.mass_kg is None or sku.mass_kg <= HEAVIEST_KG
    return (kind in HANGING_KINDS or (kind in MAYBE_KINDS and thin)) and light and bool((size <= LARGEST_M).all())


def pitch_of(block: FacingBlock) -> float:
    """Return the distance between hooks of a product, metres: whole holes of the board, and room for their plates."""
    return float(np.ceil((max(float(block.size[0]), PLATE_WIDTH) + BESIDE) / PEG_M) * PEG_M)


def hook_places(blocks: Sequence[FacingBlock], width: float) -> tuple[tuple[float, ...], ...]:
    """Return x of the hooks of each block, from the left end of a row of that width, about its middle, metres."""
    reached, found = -width / 2, []
    for block in blocks:
        pitch = pitch_of(block)
        found.append(tuple(reached + pitch * (number + 0.5) for number in range(block.columns)))
        reached += pitch * block.columns
    return tuple(found)


def wire_height(blocks: Sequence[FacingBlock]) -> float:
    """Return the height of the wires over the lower end of their row, metres."""
    return max(float(block.size[2]) for block in blocks) - HOLE + BELOW


def hang_blocks(
    blocks: Sequence[FacingBlock], support: Support, missing: float, sold_out: float, *, rng: np.random.Generator
) -> tuple[StockedBlock, ...]:
    """Hang blocks of facings on the hooks of a row (`hook_places`), whose wires are at the upper end of the support.

    missing, sold_out: chances that half of a hook's products are taken, and that it is empty, other than the first.
    """
    hung = []
    for block, places in zip(blocks, hook_places(blocks, support.width), strict=True):
        items: list[StockedItem] = []
        for column, x in enumerate(places):
            empty = not block.stocked or (column > 0 and rng.random() < sold_out)
            if not empty:
                poses = _hang(block, support, x, missing, rng)
                items += [StockedItem(support.place(pose), column, 0, row) for row, pose in enumerate(poses)]
        half = pitch_of(block) / 2
        edges = tuple((x - half, x + half) for x in places)
        low = support.height + HOLE - float(block.size[2])
        # Capped: what hangs cannot be exchanged for what stands.
        hung.append(StockedBlock(tuple(items), edges, support.height + HOLE, 0.0, low, capped=True))
    return tuple(hung)


def _hang(
    block: FacingBlock, support: Support, x: float, missing: float, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Return the poses on one hook on the support, from its tip inwards."""
    wanted = int(rng.integers(1, block.rows * DEEP + 1))
    wanted = max(wanted // 2, 1) if rng.random() < missing else wanted
    # Half of the hooks are pulled forward; on the others there is room before the first product.
    front = -support.depth / 2 + 0.012 + max(float(rng.uniform(-0.5, 0.5)), 0.0) * support.depth / 2
    found: list[NDArray[np.float64]] = []
    for _ in range(wanted):
        pose = _swing(block, rng)
        points = transform(pose, block.shape.hull_vertices)
        if front + np.ptp(points[:, 1]) > support.depth / 2 and found:
            break
        pose[:3, 3] += x, front - points[:, 1].min(), support.height
        front += float(np.ptp(points[:, 1])) + float(rng.uniform(*BEHIND))
        found.append(pose)
    return found


def _swing(block: FacingBlock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a pose whose hole is at the origin: turned about the vertical and the wire, within its room."""
    upright = resting_pose(block.shape, rotation_about_z(block.turn) @ block.rotation)
    upright[2, 3] += HOLE - block.size[2]
    yaw, roll = np.clip(rng.normal(0, (YAW, ROLL)), (-2 * YAW, -2 * ROLL), (2 * YAW, 2 * ROLL))
    cosine, sine = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = rotation_about_z(yaw) @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    swung: NDArray[np.float64] = pose @ upright
    across = np.abs(transform(swung, block.shape.hull_vertices)[:, 0]).max()
    return swung if across < pitch_of(block) / 2 else upright
