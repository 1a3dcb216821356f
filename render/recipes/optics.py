"""Sampling of lens, shutter and colour filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from render.geometry import camera_from_world, transform
from render.optics.distortion import Distortion
from render.recipes.parts import Optics
from render.scene import Camera, Placement, Sensor


def sample_optics(
    optics: Optics, camera: Camera, sensor: Sensor, placements: Sequence[Placement], *, rng: np.random.Generator
) -> tuple[Camera, Sensor]:
    """Sample the optics of one image; returns its camera and sensor with them.

    Each quantity is drawn whether or not it is used, so that turning one on changes no other. Raises SynthError for a
    fisheye that sees too wide an angle at the camera's focal length.
    """
    fisheye, mosaic = rng.random() < optics.fisheye, rng.random() < optics.mosaic
    fisheye_k1, shift = rng.uniform(*optics.fisheye_k1), rng.uniform(*optics.distortion)
    p1, p2 = (float(value) for value in rng.uniform(-optics.tangential, optics.tangential, size=2))
    axis, angle = rng.normal(size=3), np.radians(rng.uniform(*optics.rolling_deg))
    red, blue = (float(value) for value in rng.uniform(-optics.chromatic, optics.chromatic, size=2))
    aperture, focus = float(rng.uniform(*optics.aperture_mm)), rng.uniform(*optics.focus)
    ordinary = Distortion(k1=k1_of_shift(float(shift), camera), p1=p1, p2=p2)
    lens = Distortion("fisheye", k1=float(fisheye_k1)) if fisheye else ordinary
    if not lens.is_identity:  # else the recipe's own
        camera = replace(camera, distortion=lens)
    if angle > 0:
        x, y, z = (float(part) for part in axis * (angle / np.linalg.norm(axis)))
        camera = replace(camera, rolling_shutter=(x, y, z))
    sensor = replace(sensor, red_scale=red, blue_scale=blue, mosaic=bool(mosaic))
    if aperture > 0:
        sensor = replace(sensor, aperture_mm=aperture, focus_m=float(focus) * _median_distance(camera, placements))
    return camera, sensor


def k1_of_shift(shift: float, camera: Camera) -> float:
    """Return k1 of the lens that shifts the farthest corner of the image by that share of where a pinhole shows it.

    A shift is what lens makers state as distortion; unlike k1, it means the same at every focal length.
    """
    corners = np.array([[x, y] for x in (0, camera.width) for y in (0, camera.height)])
    radius = float(np.linalg.norm((corners - camera.K[:2, 2]) / np.diag(camera.K)[:2], axis=1).max())
    return shift * (1 + shift) ** 2 / radius**2


def _median_distance(camera: Camera, placements: Sequence[Placement]) -> float:
    """Return the median distance of the products along the optical axis, metres; 1 if none lies in front."""
    positions = np.array([item.world_from_object[:3, 3] for item in placements if item.kind == "product"])
    depths = transform(camera_from_world(camera), positions.reshape(-1, 3))[:, 2]
    return float(np.median(depths[depths > 0])) if (depths > 0).any() else 1.0
