"""Camera positions at which an arrangement fills the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from render.geometry import look_at
from render.scene import Camera

FULL_FRAME_MM = 36.0  # width of the film that 35 mm equivalents refer to


def intrinsics_from_lens(lens_mm: float, width: int, height: int) -> NDArray[np.float64]:
    """Return K (3, 3), pixels, for a 35 mm equivalent focal length: 36 mm of film correspond to the longer side."""
    focal = lens_mm / FULL_FRAME_MM * max(width, height)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def lens_of(camera: Camera) -> float:
    """Return the 35 mm equivalent focal length of a camera, the inverse of `intrinsics_from_lens`."""
    return float(camera.K[0, 0]) / max(camera.width, camera.height) * FULL_FRAME_MM


def direction_of(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Return the unit vector (3,) from the scene to the camera.

    azimuth: radians, counter-clockwise from +X. elevation: radians above the table.
    """
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


@dataclass(frozen=True, eq=False)
class Framing:
    """A view to be framed: the camera stands in the direction `towards` from `aim`, far enough away to show the points.

    points: (N, 3), metres, world. aim: (3,), metres. towards: (3,), unit. lens_mm: 35 mm equivalent. distance: as a
    multiple of the one at which all points just fit. roll: radians.
    """

    points: NDArray[np.float64]
    aim: NDArray[np.float64]
    towards: NDArray[np.float64]
    lens_mm: float
    distance: float = 1.0
    roll: float = 0.0


def frame_camera(framing: Framing, width: int, height: int) -> Camera:
    """Return the camera of a framing, for an image of that size; it stays 5 cm in front of the nearest point."""
    K = intrinsics_from_lens(framing.lens_mm, width, height)
    rotation = look_at(framing.towards, np.zeros(3), roll=framing.roll)[:3, :3]
    local = (framing.points - framing.aim) @ rotation
    half = np.array([K[0, 2], K[1, 2]]) / np.diag(K)[:2]
    # |x| <= half * (z + d) for every point: solved for the distance d.
    fitting = float((np.abs(local[:, :2]) / half - local[:, 2:]).max())
    clear = float((-local[:, 2]).max()) + 0.05
    eye = framing.aim + framing.towards * max(fitting * framing.distance, clear)
    return Camera(width, height, K, look_at(eye, framing.aim, roll=framing.roll))
