"""Lens distortion: OpenCV's two models, forward and exactly inverted.

Points are on the plane z = 1 of the camera's frame: ideal ones where a pinhole would see them, distorted ones where the
lens does; K turns the latter into pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from assets.errors import unknown_name

DistortionModel = Literal["brown_conrady", "fisheye"]
# Largest angle from the optical axis, radians: beyond it no pinhole image covers the view at a reasonable size.
MAX_ANGLE = np.radians(75.0)
# The formula is used up to where its slope over the radius (or angle) falls below this: a little before it folds over.
MIN_SLOPE = 0.05
STEPS = 4096
NEWTON_STEPS, MAX_PASSES, CONVERGED = 2, 20, 1e-10


@dataclass(frozen=True)
class Distortion:
    """Lens distortion with the coefficients of OpenCV.

    model: "brown_conrady" (k1, k2, p1, p2, k3 of cv2.projectPoints) or "fisheye" (k1 to k4 of cv2.fisheye).

    Both formulas are polynomials, which fold over far enough from the axis. From a little before that on, the radius
    continues along its tangent, so that every point in front of the camera has exactly one position on the image plane
    (masks of products that the border cuts extend beyond it).
    """

    model: DistortionModel = "brown_conrady"
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    def __post_init__(self) -> None:
        if self.model not in get_args(DistortionModel):
            raise unknown_name("distortion model", self.model, get_args(DistortionModel))
        unused = (self.k4,) if self.model == "brown_conrady" else (self.p1, self.p2)
        if any(unused) or not np.isfinite(list(self.coefficients.values())).all():
            raise ValueError(f"distortion: expected finite coefficients of {self.model} alone, found {self}")

    @property
    def coefficients(self) -> dict[str, float]:
        """Return the coefficients that the model has, in OpenCV's order."""
        return {name: float(getattr(self, name)) for name in names_of(self.model)}

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing, as a pinhole."""
        return self.model == "brown_conrady" and not any(self.coefficients.values())

    @cached_property
    def reach(self) -> float:
        """Ideal radius up to which the formula holds exactly."""
        return float(self._radius(self._curve[0][-1]))

    def distort(self, points: NDArray) -> NDArray[np.float64]:
        """Map ideal points (N, 2) on the plane z = 1 to distorted ones (N, 2)."""
        radius = np.hypot(*points.T)
        bent = points * _ratio(self._bent_radius(radius), radius)
        return bent + self._shift(points) if self.p1 or self.p2 else bent

    def undistort(self, points: NDArray) -> NDArray[np.float64]:
        """Map distorted points (N, 2) to ideal ones (N, 2): the inverse of `distort`, by Newton's method."""
        ideal = self._undistort_radius(points)
        if not (self.p1 or self.p2):
            return ideal
        ideal = self._undistort_radius(points - self._shift(ideal))
        for _ in range(MAX_PASSES):
            off = self.distort(ideal) - points
            if np.abs(off).max(initial=0) < CONVERGED:
                break
            ideal = ideal - self._step(ideal, off)
        return ideal

    def _undistort_radius(self, points: NDArray) -> NDArray[np.float64]:
        """Return the ideal points of distorted ones, as if there were no tangential part."""
        radius = np.hypot(*points.T)
        return points * _ratio(self._ideal_radius(radius), radius)

    def _step(self, ideal: NDArray, off: NDArray) -> NDArray[np.float64]:
        """Return the Newton step (N, 2) at ideal points that misses by `off` (N, 2): J^-1 off, J symmetric."""
        radius = np.hypot(*ideal.T)
        inner = np.minimum(radius, self.reach)
        across = _ratio(self._bent_radius(radius), radius)[:, 0]
        chain = 1 / (1 + inner**2) if self.model == "fisheye" else 1.0
        rest = self._slope(self._position(inner)) * chain - across
        # Beyond the reach the tangential part grows no faster than there.
        x, y = (ideal * _ratio(inner, radius)).T
        along = rest / np.maximum(inner * inner, 1e-30)
        xx = across + along * x * x + 2 * self.p1 * y + 6 * self.p2 * x
        yy = across + along * y * y + 6 * self.p1 * y + 2 * self.p2 * x
        xy = along * x * y + 2 * self.p1 * x + 2 * self.p2 * y
        u, v = off.T
        return np.column_stack([yy * u - xy * v, xx * v - xy * u]) / (xx * yy - xy * xy)[:, None]

    @cached_property
    def _curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points of the curve that is inverted: radius (or angle) and distorted radius, both increasing."""
        position = np.linspace(0, MAX_ANGLE if self.model == "fisheye" else np.tan(MAX_ANGLE), STEPS)
        # The tangential part changes the slope by at most 8 |p| r: below that the map is the gradient of a convex
        # function, and so has no folds.
        rising = self._slope(position) - 8 * np.hypot(self.p1, self.p2) * self._radius(position) >= MIN_SLOPE
        count = len(position) if rising.all() else max(int(np.argmin(rising)), 2)
        return position[:count], self._polynomial(position[:count])

    def _position(self, radius: NDArray) -> NDArray[np.float64]:
        """Return the variable of the polynomial: the ideal radius, or the angle from the axis."""
        return np.arctan(radius) if self.model == "fisheye" else radius

    def _radius(self, position: NDArray) -> NDArray[np.float64]:
        return np.tan(position) if self.model == "fisheye" else position

    def _polynomial(self, position: NDArray) -> NDArray[np.float64]:
        square = position * position
        return position * (1 + square * (self.k1 + square * (self.k2 + square * (self.k3 + square * self.k4))))

    def _slope(self, position: NDArray) -> NDArray[np.float64]:
        square = position * position
        inner = 5 * self.k2 + square * (7 * self.k3 + square * 9 * self.k4)
        return 1 + square * (3 * self.k1 + square * inner)

    @cached_property
    def _tangent(self) -> tuple[float, float]:
        """Distorted radius where the formula ends, and its slope over the ideal radius there."""
        position, distorted = self._curve[0][-1], self._curve[1][-1]
        chain = 1 / (1 + self.reach**2) if self.model == "fisheye" else 1.0
        return float(distorted), float(self._slope(position) * chain)

    def _bent_radius(self, radius: NDArray) -> NDArray[np.float64]:
        """Return the distorted radius of an ideal one, without the tangential part."""
        _, slope = self._tangent
        inner = np.minimum(radius, self.reach)
        return self._polynomial(self._position(inner)) + slope * (radius - inner)

    def _ideal_radius(self, distorted: NDArray) -> NDArray[np.float64]:
        """Return the ideal radius of a distorted one: the inverse of `_bent_radius`."""
        end, slope = self._tangent
        inner = np.minimum(distorted, end)
        position = np.interp(inner, self._curve[1], self._curve[0])
        for _ in range(NEWTON_STEPS):
            position = position - (self._polynomial(position) - inner) / self._slope(position)
        return self._radius(position) + (distorted - inner) / slope

    def _shift(self, points: NDArray) -> NDArray[np.float64]:
        """Return the tangential part of the distortion at ideal points (N, 2)."""
        x, y = points.T
        square = x * x + y * y
        shift = np.column_stack(
            [
                2 * self.p1 * x * y + self.p2 * (square + 2 * x * x),
                self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y,
            ]
        )
        # It grows with the square of the radius, and along its tangent beyond the reach.
        beyond = np.maximum(np.sqrt(square) - self.reach, 0)
        factor = self.reach * (self.reach + 2 * beyond) / np.maximum(square, self.reach**2)
        return shift * np.where(beyond > 0, factor, 1.0)[:, None]


def names_of(model: DistortionModel) -> tuple[str, ...]:
    """Return the names of the coefficients of a model, in OpenCV's order."""
    return ("k1", "k2", "p1", "p2", "k3") if model == "brown_conrady" else ("k1", "k2", "k3", "k4")


def _ratio(above: NDArray, below: NDArray) -> NDArray[np.float64]:
    """Return the ratios (N, 1), 1 where both are 0."""
    return np.divide(above, below, out=np.ones_like(below), where=below > 0)[:, None]
