"""Masks as one polygon each, for formats that know a single outline per product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Masks are enlarged by this before their outline is followed: between corners of half pixels it holds the centres of
# exactly its own pixels, so that it fills the same ones again, by COCO's rule and by OpenCV's.
SCALE = 2


def outline_of(mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return one closed polygon (N, 2) of x, y in pixels that fills a mask; (0, 2) for an empty one.

    mask: (H, W) uint8 0/1. Parts and holes are joined by bridges without width, as many tools do: a polygon filled by
    the even-odd rule, which passes the bridge once each way, is the mask again.
    """
    import cv2

    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if not len(rows):
        return np.zeros((0, 2))
    top, left = rows[0], columns[0]
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    large = np.repeat(np.repeat(crop, SCALE, axis=0), SCALE, axis=1)
    found, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [ring[:, 0].astype(np.float64) for ring in found if len(ring) > 2]
    polygon = _join(sorted(rings, key=len, reverse=True))
    return (polygon + 0.5) / SCALE + [left, top]


def _join(rings: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return one ring: each is spliced in where it comes nearest to what is there already."""
    joined, rest = rings[0], list(rings[1:])
    gaps = [_gap(joined, ring) for ring in rest]
    while rest:
        best = min(range(len(gaps)), key=lambda place: gaps[place].squared)
        ring, gap = rest.pop(best), gaps.pop(best)
        here = int(np.flatnonzero((joined == gap.corner).all(1))[0])
        way = np.concatenate([ring[gap.there :], ring[: gap.there + 1]])
        joined = np.concatenate([joined[: here + 1], way, joined[here:]])
        gaps = [min(gap, _gap(ring, other), key=lambda one: one.squared) for gap, other in zip(gaps, rest, strict=True)]
    return joined


class _Gap(NamedTuple):
    """Where a ring comes nearest to another: a corner of that one, and the number of its own."""

    squared: float
    corner: NDArray[np.float64]
    there: int


def _gap(joined: NDArray[np.float64], ring: NDArray[np.float64]) -> _Gap:
    apart = ((joined[:, None] - ring[None]) ** 2).sum(2)
    here, there = np.unravel_index(int(apart.argmin()), apart.shape)
    return _Gap(float(apart[here, there]), joined[here], int(there))
