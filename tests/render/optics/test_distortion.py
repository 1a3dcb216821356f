"""Lens distortion: against OpenCV, and undone exactly by its inverse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.optics.distortion import Distortion
from support.errors import raises

BARREL = Distortion(k1=-0.12, k2=0.01, p1=0.002, p2=-0.003, k3=0.001)
FISHEYE = Distortion("fisheye", k1=-0.03, k2=0.008, k3=-0.002, k4=0.0003)
GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-0.8, 0.8, 7)), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("lens", [BARREL, Distortion(k1=0.2, p1=-0.01, p2=0.01, k3=0.05)])
def test_brown_conrady_is_that_of_opencv(lens: Distortion) -> None:
    coefficients = np.array(list(lens.coefficients.values()))
    points = np.column_stack([GRID, np.ones(len(GRID))])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), coefficients)
    assert lens.distort(GRID) == pytest.approx(expected[:, 0], abs=1e-12)


def test_fisheye_is_that_of_opencv() -> None:
    coefficients = np.array(list(FISHEYE.coefficients.values()))
    points = np.column_stack([GRID * 2, np.ones(len(GRID))])[None]
    expected, _ = cv2.fisheye.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), coefficients)
    assert FISHEYE.distort(GRID * 2) == pytest.approx(expected[0], abs=1e-12)


small = st.floats(-0.3, 0.3)


@settings(max_examples=30)
@given(small, small, st.floats(-0.01, 0.01), st.floats(-0.01, 0.01), st.floats(-0.1, 0.1))
def test_the_inverse_undoes_brown_conrady(k1: float, k2: float, p1: float, p2: float, k3: float) -> None:
    lens = Distortion(k1=k1, k2=k2, p1=p1, p2=p2, k3=k3)
    points = GRID * min(0.9 * lens.reach, 1.0)
    assert lens.undistort(lens.distort(points)) == pytest.approx(points, abs=1e-9)


@settings(max_examples=30)
@given(small, small, st.floats(-0.1, 0.1), st.floats(-0.05, 0.05))
def test_the_inverse_undoes_a_fisheye(k1: float, k2: float, k3: float, k4: float) -> None:
    lens = Distortion("fisheye", k1=k1, k2=k2, k3=k3, k4=k4)
    points = GRID * min(lens.reach, 4.0)  # also beyond the reach, where the radius continues along its tangent
    assert lens.undistort(lens.distort(points)) == pytest.approx(points, abs=1e-8)


@pytest.mark.parametrize(
    "lens", [Distortion(k1=-0.12, p1=0.002, p2=-0.003), Distortion(k1=-0.3), Distortion("fisheye")]
)
def test_beyond_its_reach_a_lens_goes_on_without_folds(lens: Distortion) -> None:
    radii = np.linspace(0, 3 * lens.reach, 400)[:, None]
    for angle in (0.3, 2.0, 4.4):
        along = np.array([[np.cos(angle), np.sin(angle)]])
        distorted = lens.distort(radii * along) @ along[0]
        assert (np.diff(distorted) > 0).all()
        assert np.abs(np.diff(distorted, 2)).max() < 0.01  # no jump, and no kink
        assert lens.undistort(lens.distort(radii * along)) == pytest.approx(radii * along, abs=1e-7)


def test_the_axis_stays_and_no_coefficients_change_nothing() -> None:
    assert not BARREL.distort(np.zeros((1, 2))).any() and not BARREL.undistort(np.zeros((1, 2))).any()
    assert Distortion().is_identity and not BARREL.is_identity and not Distortion("fisheye").is_identity
    assert Distortion(k1=1e-9).distort(GRID) == pytest.approx(GRID, abs=1e-8)


def test_coefficients_of_the_other_model_and_unknown_models_are_refused() -> None:
    with pytest.raises(ValueError, match="fisheye alone"):
        Distortion("fisheye", p1=0.1)
    with pytest.raises(ValueError, match="finite"):
        Distortion(k1=np.nan)
    with raises("unknown-name", hint="brown_conrady"):
        Distortion("brown")  # type: ignore[arg-type]
