"""Arithmetic of cameras, boxes and rigid poses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.optics.rays import directions_at, pixels_at
from render.scene import Camera

Box = tuple[float, float, float, float]
# Rays that are computed at a time: more of them exceed the CPU's cache, which took half as long again.
CACHED_RAYS = 1 << 14


def invert_pose(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a rigid pose (4, 4): b_from_a of a_from_b, exact because it transposes the rotation."""
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse


def camera_from_world(camera: Camera) -> NDArray[np.float64]:
    """Return the pose (4, 4) float64 that maps world points into the camera's frame (OpenCV axes)."""
    return invert_pose(camera.world_from_camera)


def look_at(eye: NDArray, target: NDArray, *, roll: float = 0.0) -> NDArray[np.float64]:
    """Return world_from_camera (4, 4) of a camera at `eye` whose optical axis meets `target`, both (3,) metres.

    World Z is up in the image; looking straight up or down, world Y is. roll: radians, turns the camera clockwise about
    its axis, so the image turns counter-clockwise. Raises ValueError if eye and target coincide.
    """
    forward = np.asarray(target, float) - np.asarray(eye, float)
    length = np.linalg.norm(forward)
    if length == 0:
        raise ValueError(f"a camera at {np.asarray(eye).tolist()} looks at its own place")
    forward /= length
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 1 - 1e-9 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, 0] = cosine * right + sine * down
    pose[:3, 1] = cosine * down - sine * right
    pose[:3, 2] = forward
    pose[:3, 3] = eye
    return pose


def rotation_about_z(angle: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) by `angle` radians, counter-clockwise seen from above."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def transform(pose: NDArray[np.float64], points: NDArray) -> NDArray[np.float64]:
    """Transform `points` (N, 3) by the pose (4, 4); returns (N, 3) float64."""
    return points @ pose[:3, :3].T + pose[:3, 3]


def project(camera: Camera, points_world: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project world points (N, 3), metres, to pixels (N, 2) and depth along the optical axis (N,), metres.

    Points with depth <= 0 lie behind the camera: their pixels are meaningless.
    """
    points = transform(camera_from_world(camera), np.asarray(points_world, dtype=np.float64))
    return pixels_at(camera, points), points[:, 2]


def unproject(camera: Camera, pixels: NDArray, depth: NDArray) -> NDArray[np.float64]:
    """Map pixels (N, 2) and depth (N,) to world points (N, 3), metres: the inverse of `project`."""
    return transform(camera.world_from_camera, directions_at(camera, pixels) * np.asarray(depth)[:, None])


def pixel_rays(camera: Camera, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.float64]:
    """Return rays (y1 - y0, x1 - x0, 3) through the centres of the pixels [x0, x1) x [y0, y1), camera frame, z = 1.

    The window may extend beyond the image borders.
    """
    if not camera.is_pinhole:
        return _bent_rays(camera, x0, y0, x1, y1)
    x = (np.arange(x0, x1) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(y0, y1) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    rays = np.ones((y1 - y0, x1 - x0, 3))
    rays[..., 0] = x[None, :]
    rays[..., 1] = y[:, None]
    return rays


def _bent_rays(camera: Camera, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.float64]:
    if x0 < 0 or y0 < 0 or x1 > camera.width or y1 > camera.height:
        return _directions(camera, x0, y0, x1, y1)
    return image_rays(camera)[y0:y1, x0:x1]


# Labels, background and warp of one image need the same rays; they are 8 MB at 640x480, of one camera at a time.
@lru_cache(maxsize=1)
def image_rays(camera: Camera) -> NDArray[np.float64]:
    """Return the rays (H, W, 3) through all pixel centres, camera frame, z = 1, read-only."""
    rays = np.empty((camera.height, camera.width, 3))
    rows = max(CACHED_RAYS // camera.width, 1)
    for top in range(0, camera.height, rows):
        bottom = min(top + rows, camera.height)
        rays[top:bottom] = _directions(camera, 0, top, camera.width, bottom)
    rays.flags.writeable = False
    return rays


def _directions(camera: Camera, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.float64]:
    columns, rows = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    return directions_at(camera, np.column_stack([columns.ravel(), rows.ravel()])).reshape(y1 - y0, x1 - x0, 3)


def box_of_mask(mask: NDArray[np.bool_]) -> Box:
    """Return the tight xyxy box of a mask, far edge exclusive: one pixel has a box of width 1.

    Raises ValueError for a mask without pixels.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("an empty mask has no box")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def xywh_from_xyxy(box: Box) -> Box:
    """Convert an xyxy box to COCO's x, y, width, height."""
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def xyxy_from_xywh(box: Box) -> Box:
    """Convert COCO's x, y, width, height to an xyxy box."""
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def convex_outline(points: NDArray) -> NDArray[np.float64]:
    """Return the corners (N, 2) of the convex hull of points (M, 2), counter-clockwise where y points up."""
    import cv2

    outline = cv2.convexHull(points.astype(np.float32), clockwise=False).reshape(-1, 2).astype(np.float64)
    return outline if signed_area(outline) >= 0 else outline[::-1]


def signed_area(outline: NDArray[np.float64]) -> float:
    """Return the area of a polygon (N, 2), positive if it is counter-clockwise (y up)."""
    x, y = outline.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def clip_convex(outline: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersect two convex outlines (N, 2), both counter-clockwise; (0, 2) if they do not overlap.

    Sutherland and Hodgman, "Reentrant polygon clipping", 1974. OpenCV's function finds no overlap of equal circles.
    """
    for start, end in zip(window, np.roll(window, -1, axis=0), strict=True):
        if not len(outline):
            break
        inward = np.array([start[1] - end[1], end[0] - start[0]])
        height = (outline - start) @ inward
        after, following = np.roll(outline, -1, axis=0), np.roll(height, -1)
        kept = []
        for corner, other, above, beyond in zip(outline, after, height, following, strict=True):
            kept += [corner] if above >= 0 else []
            if (above >= 0) != (beyond >= 0):
                kept.append(corner + (other - corner) * (above / (above - beyond)))
        outline = np.array(kept).reshape(-1, 2)
    return outline
