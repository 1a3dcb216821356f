"""Facings on a shelf: copies of one product side by side along the front edge, several rows deep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.geometry import rotation_about_z
from render.layout import Support
from render.placement.arrange import resting_pose


@dataclass(frozen=True, eq=False)
class FacingBlock:
    """The facings of one product on a shelf. columns: facings side by side. rows: items behind each other.

    turn: about the vertical, radians; 0 shows its front (-Y).
    """

    shape: Rest
    columns: int
    rows: int = 1
    turn: float = 0.0

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 1:
            raise ValueError(f"a block of {self.columns} x {self.rows} facings: at least 1 x 1 is expected")


@dataclass(frozen=True)
class FacingParams:
    """Tidiness of a shelf. gap: lowest and highest gap between neighbours, metres. setback: from the front edge.

    turn: standard deviation of each item's turn, radians. missing: chance that an item of a row has been taken, after
    the ones in front of it.
    """

    gap: tuple[float, float] = (0.002, 0.01)
    setback: tuple[float, float] = (0.005, 0.03)
    turn: float = 0.03
    missing: float = 0.0


def set_in_facings(
    blocks: Sequence[FacingBlock], support: Support, params: FacingParams, *, rng: np.random.Generator
) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """Set blocks of facings on a support, from its left end to the right.

    Returns world_from_object (4, 4) of the items of each block. Items never intersect and never leave the support:
    columns and rows for which there is no room are left out, and so are products higher than the support's free height.
    Rows fill up from the front.
    """
    reached = -support.width / 2
    placed = []
    for block in blocks:
        poses: list[NDArray[np.float64]] = []
        for _ in range(block.columns):
            column, right = _column(block, support, params, reached + rng.uniform(*params.gap), rng)
            if right <= support.width / 2:
                poses += column
                reached = right
        placed.append(tuple(support.place(pose) for pose in poses))
    return tuple(placed)


def _column(
    block: FacingBlock, support: Support, params: FacingParams, left: float, rng: np.random.Generator
) -> tuple[list[NDArray[np.float64]], float]:
    """Return the poses of one facing and the items behind it, from the front, and the x of the column's right side."""
    items = []
    for _ in range(block.rows):
        pose = resting_pose(block.shape, rotation_about_z(block.turn + rng.normal(0, params.turn)))
        items.append((pose, np.ptp(block.shape.hull_vertices @ pose[:3, :3].T, axis=0)))
    width = max(float(size[0]) for _, size in items)
    front = -support.depth / 2 + rng.uniform(*params.setback)
    taken = 0
    while taken < block.rows - 1 and rng.random() < params.missing:
        taken += 1
    poses = []
    for number, (pose, size) in enumerate(items):
        pose[0, 3] += left + width / 2 + rng.uniform(-0.5, 0.5) * (width - size[0])
        pose[1, 3] += front + size[1] / 2
        front += size[1] + rng.uniform(*params.gap)
        fits = pose[1, 3] + size[1] / 2 <= support.depth / 2 and size[2] <= support.height
        if fits and number >= taken:
            poses.append(pose)
    return poses, left + width
