"""Rolling shutter: the rows of an image are read one after the other while the camera turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A rotation vector: axis in the camera's frame times angle in radians, from the first to the last row.
Turn = tuple[float, float, float]


def turned(directions: NDArray, turn: Turn, share: NDArray) -> NDArray[np.float64]:
    """Rotate directions (N, 3) by `turn` times `share` (N,): Rodrigues' formula."""
    angle = float(np.linalg.norm(turn))
    axis = np.asarray(turn) / angle
    cosine, sine = np.cos(angle * share)[:, None], np.sin(angle * share)[:, None]
    along = (directions @ axis)[:, None] * axis
    return along + (directions - along) * cosine + _cross(axis, directions) * sine


def _cross(axis: NDArray, directions: NDArray) -> NDArray[np.float64]:
    """Return axis (3,) x directions (N, 3): np.cross takes four times as long for the few points of an outline."""
    x, y, z = directions.T
    return np.column_stack([axis[1] * z - axis[2] * y, axis[2] * x - axis[0] * z, axis[0] * y - axis[1] * x])


def readout_share(rows: NDArray, height: int) -> NDArray[np.float64]:
    """Return how far the readout is at row coordinates (N,): -1/2 at the top border, 1/2 at the bottom.

    Rows beyond the image, which amodal masks may reach, are read with the border.
    """
    return np.clip(rows / height, 0, 1) - 0.5
