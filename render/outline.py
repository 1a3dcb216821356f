"""Outlines of convex hulls as a distorting camera sees them: their straight edges bend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.geometry import camera_from_world, convex_outline, transform
from render.optics.rays import pixels_at
from render.scene import Camera

# Pieces of an edge, in pixels of the undistorted image: the arc of a lens of 150 degrees rises 0.1 px above them.
PIECE_PX = 16.0
# Far below the pixel to which outlines are rounded.
ACCURATE_PX = 1e-3
# Outlines that reach further than this many image sizes are not followed.
FARTHEST_SIZES = 8.0


def bent_outline(camera: Camera, points_world: NDArray) -> NDArray[np.float64] | None:
    """Return the outline (N, 2), pixels, in order, of the convex hull of world points (M, 3), all before the camera.

    None if it reaches very far beyond the image. A lens maps the view without folds, so that what lies inside an
    outline in front of it lies inside on the image too.
    """
    points = transform(camera_from_world(camera), points_world)
    focal = np.diag(camera.K)[:2]
    flat = points[:, :2] / points[:, 2:]
    if np.abs(flat * focal).max() > FARTHEST_SIZES * max(camera.width, camera.height):
        return None
    corners = convex_outline(flat)
    following = np.roll(corners, -1, axis=0)
    counts = np.ceil(np.linalg.norm((following - corners) * focal, axis=1) / PIECE_PX).astype(int) + 1
    first = np.repeat(np.cumsum(counts) - counts, counts)
    steps = ((np.arange(len(first)) - first) / np.repeat(counts, counts))[:, None]
    edges = np.repeat(corners, counts, axis=0) * (1 - steps) + np.repeat(following, counts, axis=0) * steps
    pixels = pixels_at(camera, np.column_stack([edges, np.ones(len(edges))]), accurate_px=ACCURATE_PX)
    return pixels if np.isfinite(pixels).all() else None
