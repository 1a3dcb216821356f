"""Stacking: a product goes on another whose top is flat, level and large enough, so that it cannot topple."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.rest import Rest
from render.geometry import clip_convex, convex_outline, signed_area, transform

# Gap between stacked items, metres: too small to be seen.
AIR = 1e-4
# Hull corners within this height of the highest or lowest one belong to the same level face, metres.
LEVEL = 1e-3
# Faces smaller than this carry nothing, square metres.
SMALLEST = 1e-4
# Share of the upper item's foot that must lie on the top below.
CARRIED = 0.7
# The centre of the upper item lies at least this far inside the contact area, as a multiple of the root of that area.
MARGIN = 0.2
# Limits of a stack, beyond which it would topple at a touch: number of items, and height over the width of its foot.
MAX_LAYERS, MAX_SLENDERNESS = 3, 4.5
# Standard deviation of the upper item's offset from the middle of the lower one, over the root of the lower one's area.
SLOPPY = 0.04


@dataclass(frozen=True, eq=False)
class Face:
    """A level face: its convex outline (N, 2) in world X and Y, and its height, metres."""

    outline: NDArray[np.float64]
    height: float

    @property
    def area(self) -> float:
        """Area, square metres."""
        return signed_area(self.outline)

    @property
    def middle(self) -> NDArray[np.float64]:
        """Centre (2,) of its outline's bounding box."""
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        return (low + high) / 2

    @property
    def width(self) -> float:
        """Shorter side, metres."""
        import cv2

        return float(min(cv2.minAreaRect(self.outline.astype(np.float32))[1]))


def top_face(shape: Rest, pose: NDArray[np.float64]) -> Face | None:
    """Return the level face on top of an item at world_from_object `pose`; None if it ends in an edge or a tip."""
    return _face(shape, pose, 1.0)


def foot_face(shape: Rest, pose: NDArray[np.float64]) -> Face | None:
    """Return the level face on which an item at world_from_object `pose` stands; None for an edge or a tip."""
    return _face(shape, pose, -1.0)


def _face(shape: Rest, pose: NDArray[np.float64], sign: float) -> Face | None:
    points = transform(pose, shape.hull_vertices)
    end = float((sign * points[:, 2]).max())
    flat = points[sign * points[:, 2] > end - LEVEL, :2]
    if len(flat) < 3:
        return None
    outline = convex_outline(flat)
    return Face(outline, sign * end) if signed_area(outline) > SMALLEST else None


def pose_upon(
    shape: Rest, pose: NDArray[np.float64], below: Face, room: float, *, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Move `pose`, at rest on the table, onto the face `below`; None if that cannot carry it.

    room: the highest allowed top of the stack above the table, metres.
    """
    foot = foot_face(shape, pose)
    if foot is None:
        return None
    moved = pose.copy()
    moved[:2, 3] += below.middle + rng.normal(0, SLOPPY, size=2) * np.sqrt(below.area) - foot.middle
    moved[2, 3] += below.height - foot.height + AIR
    points = transform(moved, shape.hull_vertices)
    middle = (points.min(axis=0) + points.max(axis=0))[:2] / 2
    placed = foot_face(shape, moved)
    fits = placed is not None and points[:, 2].max() <= room and is_carried(placed, below, middle)
    return moved if fits else None


def is_carried(foot: Face, below: Face, middle: NDArray[np.float64]) -> bool:
    """Return whether an item with that foot and its weight above `middle` (2,) stays on the face below."""
    import cv2

    shared = clip_convex(foot.outline, below.outline)
    area = signed_area(shared) if len(shared) > 2 else 0.0
    if area < CARRIED * foot.area:
        return False
    inside = cv2.pointPolygonTest(shared.astype(np.float32), (float(middle[0]), float(middle[1])), True)
    return bool(inside > MARGIN * np.sqrt(area))
