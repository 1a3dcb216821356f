"""Single units of a planogram with their poses, and where its shelves are in a bay.

Bay frame: X to the right, Y to the back, Z up, origin in the middle of the planogram's front bottom edge. Frame of a
shelf, as of a support in a scene: origin in the middle of its surface, X to the right along its front edge, Y to the
back, Z out of the surface. For what hangs the surface is the bottom of the board, and products are in front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.planogram.orientation import orientation_rotation, oriented_size
from assets.planogram.types import HANGING, MerchCap, Planogram, PlanogramPosition, PlanogramShelf, Size

# Sizes that differ by less than this are equal: room for one more unit is not lost to rounding.
TOLERANCE_M = 1e-6
# Units along each side of a cap at most.
MAX_ACROSS = 100
CapAxis = Literal["", "x", "y", "z"]
SizeOf = Callable[[str], Size | None]


@dataclass(frozen=True, eq=False)
class PlanogramUnit:
    """One unit of a product on a shelf. position: id of its position.

    column, layer, row: its place in the block, from the left, the bottom and the front, from 0; of a cap, in the cap.
    cap: the side of the block that its cap is at, "" for the block itself. shelf_from_object: (4, 4) float64 pose of
    the normalised mesh.
    """

    sku: str
    position: str
    column: int
    layer: int
    row: int
    cap: CapAxis
    shelf_from_object: NDArray[np.float64]


@dataclass(frozen=True)
class PlacedBlock:
    """A position with its place: the low corner and the size of the whole block, caps included, metres.

    x: from the left end of the shelf. y: above its surface. z: from its front edge backwards; what hangs ends at 0.
    """

    position: PlanogramPosition
    x: float
    y: float
    z: float
    size: Size


def bay_points(planogram: Planogram, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert points (N, 3) from the planogram's frame to the bay frame.

    The former is left-handed, so that this is a reflection and no pose.
    """
    x, y, z = np.asarray(points, dtype=np.float64).T
    return np.stack([x - planogram.width / 2, z, y], axis=1)


def bay_from_shelf(planogram: Planogram, shelf: PlanogramShelf) -> NDArray[np.float64]:
    """Return the pose (4, 4) of a shelf's frame in the bay frame; a sloping shelf turns about its front edge."""
    front = bay_points(planogram, np.array([[shelf.x + shelf.width / 2, shelf.surface, shelf.z]]))[0]
    cosine, sine = np.cos(shelf.slope), np.sin(shelf.slope)
    pose = np.eye(4)
    pose[:3, :3] = [[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]
    pose[:3, 3] = front + pose[:3, 1] * shelf.depth / 2
    return pose


def block_size(position: PlanogramPosition, size: Size) -> Size:
    """Return width, height and depth of a block with its caps. size: of one unit in front orientation."""
    width, height, depth = body_size(position, size)
    for axis, cap in _caps(position):
        if cap is not None:
            added = _steps(axis, cap, size)
            width += added[0] * cap.layers * (axis == "x")
            height += added[1] * cap.layers * (axis == "y")
            depth += added[2] * cap.layers * (axis == "z")
    return width, height, depth


def facing_size(position: PlanogramPosition, size: Size) -> Size:
    """Return width, height and depth of one facing on the shelf: a unit, or the tray or case that it stands in."""
    return oriented_size(position.tray.size if position.tray else size, position.orientation)


def placed_blocks(shelf: PlanogramShelf, size_of: SizeOf) -> list[PlacedBlock]:
    """Place the positions of a shelf: where they say, else from left to right. size_of: front size of a SKU, metres.

    A position without a size has none here either; it takes no room.
    """
    blocks, reached = [], 0.0
    for position in shelf.positions:
        size = size_of(position.sku)
        if size is None:
            continue
        block = block_size(position, size)
        x = reached if position.x is None else position.x
        z = position.z if position.z is not None else -block[2] if shelf.kind in HANGING else 0.0
        blocks.append(PlacedBlock(position, x, position.y, z, block))
        reached = x + block[0]
    return blocks


def shelf_units(shelf: PlanogramShelf, size_of: SizeOf) -> Iterator[PlanogramUnit]:
    """Iterate over the units of a shelf: position by position, each from the left, the bottom and the front."""
    for block in placed_blocks(shelf, size_of):
        size = size_of(block.position.sku)
        assert size is not None
        yield from block_units(shelf, block, size)


def block_units(shelf: PlanogramShelf, block: PlacedBlock, size: Size) -> Iterator[PlanogramUnit]:
    """Iterate over the units of one block, caps last. size: of one unit in front orientation, metres."""
    position = block.position
    corner = np.array([block.x - shelf.width / 2, block.z - shelf.depth / 2, block.y])
    yield from _body_units(position, corner, size)
    width, height, depth = body_size(position, size)
    for axis, cap in _caps(position):
        if cap is not None:
            counts, steps = _cap_counts(axis, cap, (width, height, depth), size), _steps(axis, cap, size)
            # The first layer of a nested cap is inside the block but for one step.
            inside = [step - unit for step, unit in zip(steps, oriented_size(size, cap.orientation), strict=True)]
            starts = {"x": (width + inside[0], 0, 0), "y": (0, 0, height + inside[1]), "z": (0, depth + inside[2], 0)}
            yield from _grid_units(position, corner + starts[axis], cap.orientation, counts, size, axis, steps)


def _caps(position: PlanogramPosition) -> tuple[tuple[CapAxis, MerchCap | None], ...]:
    return ("x", position.x_cap), ("y", position.y_cap), ("z", position.z_cap)


def body_size(position: PlanogramPosition, size: Size) -> Size:
    """Return width, height and depth of a block without its caps. size: of one unit in front orientation."""
    width, height, depth = facing_size(position, size)
    return width * position.wide, height * position.high, depth * position.deep


def _body_units(position: PlanogramPosition, corner: NDArray, size: Size) -> Iterator[PlanogramUnit]:
    counts = (position.wide, position.high, position.deep)
    if position.tray is None:
        yield from _grid_units(position, corner, position.orientation, counts, size, "")
        return
    # Units stand in the middle of their tray, which is turned with them.
    tray, rotation = position.tray, orientation_rotation(position.orientation)
    inner = (tray.wide, tray.high, tray.deep)
    turned = tuple(round(count) for count in oriented_size(inner, position.orientation))
    pitch, step = oriented_size(size, position.orientation), facing_size(position, size)
    slack = [outer - unit * count for outer, unit, count in zip(step, pitch, turned, strict=True)]
    down = abs(float(rotation[2, 2])) == 1
    for column, layer, row in product(*map(range, counts)):
        offset = np.array([column * step[0] + slack[0] / 2, row * step[2] + slack[2] / 2, layer * step[1]])
        offset[2] += 0 if down else slack[1] / 2
        for unit in _grid_units(position, corner + offset, position.orientation, turned, size, ""):
            inside = (column * turned[0], layer * turned[1], row * turned[2])
            place = (unit.column + inside[0], unit.layer + inside[1], unit.row + inside[2])
            yield PlanogramUnit(unit.sku, unit.position, *place, "", unit.shelf_from_object)


def _grid_units(
    position: PlanogramPosition,
    corner: NDArray,
    orientation: str,
    counts: Sequence[int],
    size: Size,
    cap: CapAxis,
    steps: Size | None = None,
) -> Iterator[PlanogramUnit]:
    """Iterate over units packed side by side. corner: (3,) left, front, bottom in the shelf's frame. counts: along
    width, height and depth. steps: from one to the next along them, metres; None = their size."""
    rotation = orientation_rotation(orientation)
    width, height, depth = oriented_size(size, orientation)
    across, up, along = steps or (width, height, depth)
    # The origin of a normalised mesh is in the middle of its underside.
    middle = rotation @ (0.0, 0.0, size[1] / 2)
    for column, layer, row in product(*map(range, counts)):
        pose = np.eye(4)
        pose[:3, :3] = rotation
        center = corner + (column * across + width / 2, row * along + depth / 2, layer * up + height / 2)
        pose[:3, 3] = center - middle
        yield PlanogramUnit(position.sku, position.id, column, layer, row, cap, pose)


def _steps(axis: CapAxis, cap: MerchCap, size: Size) -> Size:
    """Return the distances between the units of a cap along width, height and depth: their size, or their nesting."""
    steps = list(oriented_size(size, cap.orientation))
    place = ("x", "y", "z").index(axis)
    steps[place] = min(cap.nesting or steps[place], steps[place])
    return steps[0], steps[1], steps[2]


def _cap_counts(axis: CapAxis, cap: MerchCap, body: Size, size: Size) -> tuple[int, int, int]:
    unit = oriented_size(size, cap.orientation)
    fit = [min(max(int((room + TOLERANCE_M) // side), 1), MAX_ACROSS) for room, side in zip(body, unit, strict=True)]
    fit[("x", "y", "z").index(axis)] = cap.layers
    return fit[0], fit[1], fit[2]
