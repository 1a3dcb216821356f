"""Smooth silhouettes for images of few samples: coverage from traced geometry, colour from beside the edge.

Four paths through a pixel give a random coverage of 0, 1/4, 1/2, 3/4 or 1. The denoiser smooths the colour but not the
coverage, so every outline is ragged against a background. Sixteen rays through each outline pixel take 0.02 s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.mesh.types import Mesh
from render.geometry import invert_pose, project, transform
from render.scene import Camera, Placement, SceneSpec, mesh_of
from render.trace import meets_glass, outline_points, trace_mesh

# Rays per pixel: this many columns and rows.
GRID = 4
NEAR = 1e-3


def smooth_silhouettes(image: NDArray[np.float32], scene: SceneSpec, library: Library) -> None:
    """Replace the coverage along outlines by the exact one. `image` (H, W, 4), premultiplied, is changed in place.

    That of glass, the share of light that it does not let through, is averaged over its neighbours instead.
    """
    rows, columns = np.nonzero(_at_outline(image[..., 3]))
    if not len(rows):
        return
    coverage, clear = _coverage(scene, library, rows, columns)
    _average_glass(image, rows[clear], columns[clear])
    rows, columns, coverage = rows[~clear], columns[~clear], coverage[~clear]
    color = _color_beside(image)[rows, columns]
    image[rows, columns, :3] = color * coverage[:, None]
    image[rows, columns, 3] = coverage


def _average_glass(image: NDArray[np.float32], rows: NDArray, columns: NDArray) -> None:
    import cv2

    glass = np.zeros(image.shape[:2], np.float32)
    glass[rows, columns] = 1
    mean = cv2.blur(image[..., 3] * glass, (5, 5)) / np.maximum(cv2.blur(glass, (5, 5)), 1e-6)
    image[rows, columns, 3] = mean[rows, columns]


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


def _coverage(
    scene: SceneSpec, library: Library, rows: NDArray, columns: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the covered share of each pixel's area, (N,) float32 in steps of 1 / GRID ** 2, and where it has glass."""
    camera = scene.camera
    steps = (np.arange(GRID * GRID) + 0.5) / GRID
    rays = np.ones((len(rows), GRID * GRID, 3))
    rays[..., 0] = (columns[:, None] + steps % 1 - camera.K[0, 2]) / camera.K[0, 0]
    rays[..., 1] = (rows[:, None] + np.floor(steps) / GRID + 0.5 / GRID - camera.K[1, 2]) / camera.K[1, 1]
    covered, clear = np.zeros(rays.shape[:2], bool), np.zeros(len(rows), bool)
    for placement in scene.placements:
        near = _in_its_box(camera, placement, library, rows, columns)
        pixels = np.flatnonzero(near & ~covered.all(axis=1))
        mesh, origin, turn = _in_its_frame(camera, placement, library)
        hits = trace_mesh(mesh, origin, rays[pixels].reshape(-1, 3) @ turn.T)
        covered[pixels] |= np.isfinite(hits.t).reshape(len(pixels), GRID * GRID)
        clear[near] |= meets_glass(mesh, origin, rays[near].mean(axis=1) @ turn.T)
    return covered.mean(axis=1).astype(np.float32), clear


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


def _in_its_frame(camera: Camera, placement: Placement, library: Library) -> tuple[Mesh, NDArray, NDArray]:
    """Return the placement's mesh, and the camera's position (3,) and rotation (3, 3) in its frame."""
    object_from_camera = invert_pose(placement.world_from_object) @ camera.world_from_camera
    return mesh_of(library, placement), object_from_camera[:3, 3], object_from_camera[:3, :3]
