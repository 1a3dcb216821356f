"""Silhouettes: the outline of a product, and what kind of package has such a one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh import frozen_array


@dataclass(frozen=True, eq=False)
class Profile:
    """Outline of a product seen from the front, within its bounding box.

    heights: (N,) float64, rising from 0 (bottom) to 1 (top). left, right: (N,) float64, x of the outline in widths,
    -0.5 ... 0.5.
    """

    heights: NDArray[np.float64]
    left: NDArray[np.float64]
    right: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.heights)
        for name in ("heights", "left", "right"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64, (count,), name))

    @property
    def widths(self) -> NDArray[np.float64]:
        """(N,) float64: from outline to outline, 0 ... 1."""
        return self.right - self.left


def profile_of(mask: NDArray[np.bool_], rows: int = 128) -> Profile:
    """The outline of a mask (H, W), at `rows` heights from its lowest row to its highest.

    Raises ValueError where the mask is empty.
    """
    filled = np.flatnonzero(mask.any(axis=1))
    if not len(filled):
        raise ValueError("mask: nothing in it")
    top, bottom = int(filled[0]), int(filled[-1]) + 1
    first, last = _spans(mask[top:bottom])
    low, high = first.min(), last.max()
    heights = np.linspace(0, 1, rows)
    # Rows of pixels as heights of their middles, the lowest first.
    middles = (np.arange(bottom - top) + 0.5)[::-1] / (bottom - top)
    left = np.interp(heights, middles[::-1], ((first - low) / (high - low) - 0.5)[::-1])
    right = np.interp(heights, middles[::-1], ((last - low) / (high - low) - 0.5)[::-1])
    return Profile(heights, left, right)


def _spans(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First column and one past the last column of each row; empty rows, between parts, from their neighbours."""
    known = np.flatnonzero(mask.any(axis=1))
    first = mask[known].argmax(axis=1)
    last = mask.shape[1] - mask[known][:, ::-1].argmax(axis=1)
    rows = np.arange(len(mask))
    return np.interp(rows, known, first), np.interp(rows, known, last)
