"""Smooth silhouettes for images of few samples: coverage from traced geometry, colour from beside the edge.

Four paths through a pixel give a random coverage of 0, 1/4, 1/2, 3/4 or 1. The denoiser smooths the colour but not the
coverage, so every outline is ragged against a background. Sixteen rays through each outline pixel take 0.02 s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from render.geometry import invert_pose, project, transform
from render.scene import Camera, Placement, SceneSpec, mesh_of
from render.trace import outline_points, trace_mesh

# Rays per pixel: this many columns and rows.
GRID = 4
NEAR = 1e-3


def smooth_silhouettes(image: NDArray[np.float32], scene: SceneSpec, library: Library) -> None:
    """Replace the coverage along outlines by the exact one. `image` (H, W, 4), premultiplied, is changed in place."""
    rows, columns = np.nonzero(_at_outline(image[..., 3]))
    if not len(rows):
        return
    color = _color_beside(image)[rows, columns]
    coverage = _coverage(scene, library, rows, columns)
    image[rows, columns, :3] = color * coverage[:, None]
    image[rows, columns, 3] = coverage


def _at_outline(alpha: NDArray[np.float32]) -> NDArray[np.bool_]:
    import cv2

    square = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(alpha, square) - cv2.erode(alpha, square) > 0)


def _color_beside(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colour of outline pixels as if they were fully covered: that of covered neighbours, if any."""
    import cv2

    whole = image * (image[..., 3:] == 1)
    inner, any_at_all = cv2.blur(whole, (3, 3)), cv2.blur(image, (5, 5))
    chosen = np.where(inner[..., 3:] > 1e-3, inner, any_at_all)
    return np.asarray(chosen[..., :3] / np.maximum(chosen[..., 3:], 1e-3))


def _coverage(scene: SceneSpec, library: Library, rows: NDArray, columns: NDArray) -> NDArray[np.float32]:
    """Return the share of each pixel's area that is covered, (N,) float32 in steps of 1 / GRID ** 2."""
    camera = scene.camera
    steps = (np.arange(GRID * GRID) + 0.5) / GRID
    rays = np.ones((len(rows), GRID * GRID, 3))
    rays[..., 0] = (columns[:, None] + steps % 1 - camera.K[0, 2]) / camera.K[0, 0]
    rays[..., 1] = (rows[:, None] + np.floor(steps) / GRID + 0.5 / GRID - camera.K[1, 2]) / camera.K[1, 1]
    covered = np.zeros(rays.shape[:2], bool)
    for placement in scene.placements:
        pixels = np.flatnonzero(_in_its_box(camera, placement, library, rows, columns) & ~covered.all(axis=1))
        covered[pixels] |= _hit(camera, placement, library, rays[pixels].reshape(-1, 3)).reshape(
            len(pixels), GRID * GRID
        )
    return covered.mean(axis=1).astype(np.float32)


def _in_its_box(
    camera: Camera, placement: Placement, library: Library, rows: NDArray, columns: NDArray
) -> NDArray[np.bool_]:
    """Return which of the pixels (N,) the placement's outline can touch."""
    points = outline_points(mesh_of(library, placement))
    outline, depth = project(camera, transform(placement.world_from_object, points))
    if (depth < NEAR).any():
        return np.ones(len(rows), bool)
    (left, top), (right, bottom) = outline.min(axis=0) - 1, outline.max(axis=0)
    return (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)


def _hit(camera: Camera, placement: Placement, library: Library, rays: NDArray) -> NDArray[np.bool_]:
    object_from_camera = invert_pose(placement.world_from_object) @ camera.world_from_camera
    directions = rays @ object_from_camera[:3, :3].T
    return np.isfinite(trace_mesh(mesh_of(library, placement), object_from_camera[:3, 3], directions).t)
