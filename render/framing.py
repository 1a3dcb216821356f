"""Where the camera stands so that an arrangement fills its frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.geometry import look_at
from render.scene import Camera

FULL_FRAME_MM = 36.0  # width of the film that 35 mm equivalents refer to


def intrinsics_from_lens(lens_mm: float, width: int, height: int) -> NDArray[np.float64]:
    """K (3, 3), pixels, of a lens by its 35 mm equivalent focal length: the longer side sees what 36 mm of film see."""
    focal = lens_mm / FULL_FRAME_MM * max(width, height)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def lens_of(camera: Camera) -> float:
    """The 35 mm equivalent focal length of a camera: the inverse of `intrinsics_from_lens`."""
    return float(camera.K[0, 0]) / max(camera.width, camera.height) * FULL_FRAME_MM


def direction_of(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Unit (3,) from the scene to the camera; radians: azimuth counter-clockwise from +X, elevation above the table."""
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def camera_framing(
    points: NDArray,
    aim: NDArray,
    towards: NDArray,
    *,
    lens_mm: float,
    distance: float,
    roll: float,
    size: tuple[int, int],
) -> Camera:
    """A camera in the direction `towards` from `aim`, `distance` times as far as where all `points` just fit.

    points: (N, 3), metres, world. size: width, height in pixels. Never nearer than the nearest point in that direction.
    """
    width, height = size
    K = intrinsics_from_lens(lens_mm, width, height)
    rotation = look_at(towards, np.zeros(3), roll=roll)[:3, :3]
    local = (points - aim) @ rotation
    half = np.array([K[0, 2], K[1, 2]]) / np.diag(K)[:2]
    # |x| <= half * (z + d) for every point: solved for the distance d.
    fitting = float((np.abs(local[:, :2]) / half - local[:, 2:]).max())
    clear = float((-local[:, 2]).max()) + 0.05
    pose = look_at(aim + towards * max(fitting * distance, clear), aim, roll=roll)
    return Camera(width, height, K, pose)
