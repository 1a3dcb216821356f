"""Cameras, boxes and rigid poses: the arithmetic that every other file takes for granted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.scene import Camera

Box = tuple[float, float, float, float]


def invert_pose(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """b_from_a of a rigid a_from_b, (4, 4), without a general inverse (exact transpose of the rotation)."""
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse


def camera_from_world(camera: Camera) -> NDArray[np.float64]:
    """(4, 4) float64: world points into the camera's frame (OpenCV axes)."""
    return invert_pose(camera.world_from_camera)


def look_at(eye: NDArray, target: NDArray, *, roll: float = 0.0) -> NDArray[np.float64]:
    """world_from_camera (4, 4) of a camera at `eye` whose optical axis meets `target`, both (3,) metres.

    World Z is up in the picture; roll: radians, the camera turned clockwise about its axis (the picture turns the other
    way). Looking straight up or down, world Y is up in the picture. Raises ValueError where eye and target are one.
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


def transform(pose: NDArray[np.float64], points: NDArray) -> NDArray[np.float64]:
    """`points` (N, 3) moved by the (4, 4) pose; (N, 3) float64."""
    return points @ pose[:3, :3].T + pose[:3, 3]


def project(camera: Camera, points_world: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """World points (N, 3), metres, onto the picture: pixels (N, 2) and depth along the optical axis (N,), metres.

    Points with depth <= 0 lie behind the camera: their pixels mean nothing.
    """
    points = transform(camera_from_world(camera), np.asarray(points_world, dtype=np.float64))
    depth = points[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = points[:, :2] / depth[:, None] * np.diag(camera.K)[:2] + camera.K[:2, 2]
    return pixels, depth


def unproject(camera: Camera, pixels: NDArray, depth: NDArray) -> NDArray[np.float64]:
    """The inverse of `project`: pixels (N, 2) and depth (N,) to world points (N, 3), metres."""
    rays = (np.asarray(pixels, dtype=np.float64) - camera.K[:2, 2]) / np.diag(camera.K)[:2]
    points = np.column_stack([rays, np.ones(len(rays))]) * np.asarray(depth)[:, None]
    return transform(camera.world_from_camera, points)


def pixel_rays(camera: Camera, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.float64]:
    """Rays through the centres of the pixels [x0, x1) x [y0, y1), (y1 - y0, x1 - x0, 3), camera frame, z = 1.

    The window may leave the picture: the image plane goes on beyond its borders.
    """
    x = (np.arange(x0, x1) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(y0, y1) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    rays = np.ones((y1 - y0, x1 - x0, 3))
    rays[..., 0] = x[None, :]
    rays[..., 1] = y[:, None]
    return rays


def box_of_mask(mask: NDArray[np.bool_]) -> Box:
    """The tight xyxy box of a mask's pixels, far edge exclusive: one pixel makes a box of width 1.

    Raises ValueError for a mask without a pixel.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("an empty mask has no box")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def xywh_from_xyxy(box: Box) -> Box:
    """COCO's x, y, width, height of an xyxy box."""
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def xyxy_from_xywh(box: Box) -> Box:
    """The xyxy box of COCO's x, y, width, height."""
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def convex_outline(points: NDArray) -> NDArray[np.float64]:
    """Corners (N, 2) of the convex outline of points (M, 2), counter-clockwise where y points up."""
    import cv2

    outline = cv2.convexHull(points.astype(np.float32), clockwise=False).reshape(-1, 2).astype(np.float64)
    return outline if signed_area(outline) >= 0 else outline[::-1]


def signed_area(outline: NDArray[np.float64]) -> float:
    """Area of a polygon (N, 2), over 0 where it runs counter-clockwise (y up)."""
    x, y = outline.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def clip_convex(outline: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """What two convex outlines (N, 2), both counter-clockwise, have in common; (0, 2) where that is nothing.

    Sutherland and Hodgman, "Reentrant polygon clipping", 1974. OpenCV's own finds nothing between equal circles.
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
