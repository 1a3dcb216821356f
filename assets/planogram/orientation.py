"""The 24 orientations of a box on a shelf: one of six faces towards the shopper, turned in steps of 90 degrees.

Frame: X to the right and Y away from the shopper, Z up, as of a support and of a normalised mesh, whose front is at -Y.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from assets.errors import unknown_name

# The order is that of the codes 0 to 23 of PSA files. "side" is the left side; 90, 180 and 270 turn clockwise as the
# shopper sees it.
ORIENTATIONS: tuple[str, ...] = (
    *(
        "front",
        "front_90",
        "side",
        "side_90",
        "top",
        "top_90",
        "back",
        "back_90",
        "right",
        "right_90",
        "base",
        "base_90",
    ),
    *("front_180", "front_270", "side_180", "side_270", "top_180", "top_270"),
    *("back_180", "back_270", "right_180", "right_270", "base_180", "base_270"),
)
# Rows: X, Y and Z of the shelf in axes of the object, by face; the product stands, or was tipped forward or back.
_FACES = {
    "front": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "back": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "side": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "right": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "top": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "base": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
}
_QUARTER_CLOCKWISE = np.array(((0, 0, 1), (0, 1, 0), (-1, 0, 0)))


@cache
def orientation_rotation(name: str) -> NDArray[np.float64]:
    """Return the rotation (3, 3) float64 shelf_from_object of an orientation; its numbers are -1, 0 and 1.

    Raises SynthError for an unknown name.
    """
    if name not in ORIENTATIONS:
        raise unknown_name("orientation", name, ORIENTATIONS)
    face, _, degrees = name.partition("_")
    turns = int(degrees or 0) // 90
    rotation = np.linalg.matrix_power(_QUARTER_CLOCKWISE, turns) @ np.array(_FACES[face])
    result: NDArray[np.float64] = rotation.astype(np.float64) + 0.0  # no -0.0
    result.flags.writeable = False
    return result


def oriented_size(size: tuple[float, float, float], orientation: str) -> tuple[float, float, float]:
    """Return width, height and depth on the shelf of a box with this width, height and depth."""
    width, height, depth = _sides(orientation)
    return size[width], size[height], size[depth]


@cache
def _sides(orientation: str) -> tuple[int, int, int]:
    """Return which side of a box is its width, its height and its depth on the shelf."""
    x, y, z = np.abs(orientation_rotation(orientation)).argmax(axis=1).tolist()
    names = (0, 2, 1)  # x, y and z of the object are its width, depth and height
    return names[x], names[z], names[y]
