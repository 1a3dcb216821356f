"""Directions that pixels look in, and where points appear: K, lens distortion and rolling shutter in one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from render.optics.distortion import MAX_ANGLE, Distortion
from render.optics.rolling_shutter import Turn, readout_share, turned

# Image heights that a camera may turn by during one readout; from 1 on, rows would be read twice or in reverse.
MAX_ROLL = 0.5
PASSES, CONVERGED_PX = 60, 1e-9
BORDER_STEPS = 33
# Directions further from the axis do not meet the plane z = 1 in front of the camera (far beyond the image only).
MIN_FORWARD = 1e-6


class Intrinsics(Protocol):
    """What of a camera decides the direction of a pixel. K: (3, 3), pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def K(self) -> NDArray[np.float64]: ...
    @property
    def distortion(self) -> Distortion | None: ...
    @property
    def rolling_shutter(self) -> Turn | None: ...


def directions_at(camera: Intrinsics, pixels: NDArray) -> NDArray[np.float64]:
    """Return the directions (N, 3) with z = 1, camera frame, in which image points (N, 2), pixels, look."""
    points = (np.asarray(pixels, dtype=np.float64) - camera.K[:2, 2]) / np.diag(camera.K)[:2]
    if camera.distortion is not None:
        points = camera.distortion.undistort(points)
    directions = np.column_stack([points, np.ones(len(points))])
    if camera.rolling_shutter is not None:
        share = readout_share(np.asarray(pixels)[:, 1], camera.height)
        directions = turned(directions, camera.rolling_shutter, share)
        directions /= np.maximum(directions[:, 2:], MIN_FORWARD)
    return directions


def pixels_at(camera: Intrinsics, points: NDArray, *, accurate_px: float = CONVERGED_PX) -> NDArray[np.float64]:
    """Return the pixels (N, 2) at which points (N, 3) of the camera's frame appear: the inverse of `directions_at`.

    Points that are behind the camera have no meaningful pixel; it may be NaN. accurate_px: of rolling shutters.
    """
    if camera.rolling_shutter is None:
        return _pixels_of(camera, points)
    # The row decides when a point is read, and where the camera looks then decides the row.
    share = np.zeros(len(points))
    pixels = np.full((len(points), 2), np.inf)
    for _ in range(PASSES):
        before, pixels = pixels, _pixels_of(camera, turned(points, camera.rolling_shutter, -share))
        share = readout_share(np.nan_to_num(pixels[:, 1]), camera.height)
        if not (np.abs(pixels - before) > accurate_px).any():
            break
    return pixels


def _pixels_of(camera: Intrinsics, points: NDArray) -> NDArray[np.float64]:
    """Project points (N, 3) of the camera's frame through the lens alone; NaN behind a camera that is no pinhole."""
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = points[:, :2] / points[:, 2:]
    if camera.distortion is not None or camera.rolling_shutter is not None:
        flat = np.where(points[:, 2:] > 0, flat, np.nan)
    if camera.distortion is not None:
        flat = camera.distortion.distort(flat)
    return flat * np.diag(camera.K)[:2] + camera.K[:2, 2]


def check_view(camera: Intrinsics) -> None:
    """Raise SynthError if the image folds over itself or reaches more than MAX_ANGLE from the optical axis."""
    problem = ""
    if camera.rolling_shutter is not None:
        roll = float(np.linalg.norm(camera.rolling_shutter)) * camera.K[1, 1] / camera.height
        if not roll < MAX_ROLL:
            problem = f"the camera turns by {roll:.2f} image heights while one image is read, at most {MAX_ROLL}"
    if camera.distortion is not None and not problem:
        problem = _lens_problem(camera)
    if problem:
        hint = "use smaller coefficients, a longer focal length, or less rotation"
        raise SynthError("the camera sees no proper image", code="camera-invalid", found=problem, hint=hint)


def _lens_problem(camera: Intrinsics) -> str:
    """Return what is wrong with the lens over the border of the image, "" if nothing is."""
    assert camera.distortion is not None
    steps, zeros, ones = np.linspace(0, 1, BORDER_STEPS), np.zeros(BORDER_STEPS), np.ones(BORDER_STEPS)
    border = np.concatenate(
        [np.column_stack(side) for side in ((steps, zeros), (steps, ones), (zeros, steps), (ones, steps))]
    )
    points = (border * [camera.width, camera.height] - camera.K[:2, 2]) / np.diag(camera.K)[:2]
    radius = float(np.linalg.norm(camera.distortion.undistort(points), axis=1).max())
    if radius <= camera.distortion.reach:
        return ""
    if camera.distortion.reach > np.tan(MAX_ANGLE) * 0.999:
        return f"the lens sees further than {np.degrees(MAX_ANGLE):.0f} degrees from its axis"
    return f"{camera.distortion} folds over within the image"
