"""The light of a photograph, found as non-negative shares of a few known lights.

Light adds up: an image under several lights is the sum of the images under each. So a scene is rendered once per
light of a basis, and a photograph in linear light is explained by non-negative least squares over pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb, srgb_from_linear
from benchmarks.twin.stage import area_light
from render.backends.raster.environment import directions_of
from render.scene import AreaLight, Environment, SceneSpec
from render.sensor import bend

# Lamps of the basis: elevation in degrees, how many around, distance and side in metres.
RINGS = ((12, 6, 1.5, 0.4), (35, 6, 1.5, 0.4), (65, 4, 1.5, 0.4))
# Soft light of walls and windows: azimuths in quarters, and how narrow the lobe is.
WALLS, LOBE = 4, 3.0
# Photographs tell little where a channel is nearly black or cut off (codes 0..1).
DARKEST, BRIGHTEST = 0.03, 0.97
# Errors count relative to the light there is, down to this share of full scale: about as the eye and sRGB see them.
FLOOR = 0.04
ROUNDS = 5
# Lamps weaker than this share of a lamp as bright as the environment are left out.
MIN_WEIGHT = 1e-3


@dataclass(frozen=True)
class BasisLight:
    """One light of the basis: an environment (of strength 0 beside a lamp) and at most one lamp of radiance `gain`."""

    environment: Environment
    lamp: AreaLight | None = None


def write_soft_lights(folder: Path) -> tuple[str, ...]:
    """Writes the soft lights as HDRIs into `folder`: even light, light from above, light from each wall. Their keys."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    towards = directions_of(32, 64)
    lights = {"even": np.ones(towards.shape[:2]), "above": np.maximum(towards[..., 2], 0)}
    for wall in range(WALLS):
        azimuth, rise = 2 * np.pi * wall / WALLS, np.radians(15)
        axis = np.array([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)])
        lights[f"wall{wall}"] = np.exp(LOBE * (towards @ axis - 1))
    for name, light in lights.items():
        cv2.imwrite(str(folder / f"{name}.hdr"), np.repeat(light[..., None], 3, axis=2).astype(np.float32))
    return tuple(f"{name}.hdr" for name in lights)


def make_basis(soft: Sequence[str]) -> list[BasisLight]:
    """The soft lights, then lamps in rings about the products, each as bright there as an environment of strength 1."""
    lights = [BasisLight(Environment(key)) for key in soft]
    for elevation, count, distance, side in RINGS:
        for step in range(count):
            azimuth, rise = 2 * np.pi * (step + 0.5) / count, np.radians(elevation)
            towards = np.array([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)])
            radiance = np.pi * distance**2 / side**2
            lamp = area_light(towards, distance, side, (radiance, radiance, radiance))
            lights.append(BasisLight(Environment(soft[0], strength=0.0), lamp))
    return lights


def lit_by(scene: SceneSpec, light: BasisLight) -> SceneSpec:
    """The scene under one light of the basis alone."""
    return replace(scene, environment=light.environment, lights=() if light.lamp is None else (light.lamp,))


@dataclass(frozen=True, eq=False)
class CameraModel:
    """How a camera turns linear light into codes. tone: the S of its curve (render/sensor.py), 1 = plain sRGB.

    matrix: (3, 3), its colours in those of the scans, rows sum to 1 (white stays white).
    """

    tone: float = 1.0
    matrix: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def light_of(self, coded: NDArray) -> NDArray[np.float64]:
        """Linear light (..., 3), camera's colours, of codes 0..1."""
        return linear_from_srgb(bend(coded, 1 / self.tone))

    def image_of(self, light: NDArray) -> NDArray[np.float64]:
        """What the camera makes of light (..., 3), gains and matrix already in it: linear sRGB 0..1."""
        return linear_from_srgb(bend(np.clip(srgb_from_linear(light), 0, 1), self.tone))


@dataclass(frozen=True, eq=False)
class LightFit:
    """Lights that explain a photograph. weights: (K,) of the basis, shared by all channels. gains: (3,)."""

    weights: NDArray[np.float64]
    gains: NDArray[np.float64]


def usable_channels(coded: NDArray) -> NDArray[np.bool_]:
    """Where codes 0..1 are neither nearly black nor cut off."""
    return (coded > DARKEST) & (coded < BRIGHTEST)


def fit_lights(basis: NDArray, light: NDArray, usable: NDArray[np.bool_]) -> LightFit:
    """Non-negative weights and one gain per channel by which images (K, N, 3) explain linear light (N, 3).

    usable: (N, 3), what counts. Errors are relative to the light, with FLOOR below; weights and gains take turns.
    """
    from scipy.optimize import nnls

    gains, trust = np.ones(3), 1 / (light + FLOOR)
    for _ in range(ROUNDS):
        scaled = basis * (gains * trust * usable)
        weights, _ = nnls(scaled.reshape(len(basis), -1).T, (light * trust * usable).ravel())
        found = combine(basis, weights)
        gains = fit_gains(found, light, usable, trust)
        # Relative to the photograph alone, all that the lights cannot reach would pull them down.
        trust = 2 / (found * gains + light + 2 * FLOOR)
    scale = float(gains.mean())
    return LightFit(weights * scale, gains / scale)


def fit_gains(
    render: NDArray, light: NDArray, usable: NDArray[np.bool_], trust: NDArray | None = None
) -> NDArray[np.float64]:
    """Three gains, exposure and white balance, by which a render (N, 3) comes nearest to linear light (N, 3)."""
    if trust is None:
        trust = 1 / (light + FLOOR)
        for _ in range(ROUNDS):
            gains = fit_gains(render, light, usable, trust)
            trust = 2 / (render * gains + light + 2 * FLOOR)
    a, b = render * trust * usable, light * trust * usable
    return np.asarray((a * b).sum(axis=0) / np.maximum((a * a).sum(axis=0), 1e-12))


def combine(basis: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """The image (..., 3) under all lights: basis (K, ..., 3) weighted by (K,)."""
    return np.tensordot(weights, basis, axes=1)


def fit_matrix(renders: Sequence[NDArray], lights: Sequence[NDArray]) -> NDArray[np.float64]:
    """The colour matrix (3, 3), rows sum to 1, from white-balanced renders to photographs, both lists of (N, 3)."""
    columns, values = [], []
    for render, light in zip(renders, lights, strict=True):
        trust = 1 / (light.mean(axis=1, keepdims=True) + FLOOR)
        columns.append(render * trust)
        values.append(light * trust)
    matrix = np.linalg.lstsq(np.concatenate(columns), np.concatenate(values), rcond=None)[0].T
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def fitted_scene(scene: SceneSpec, basis: Sequence[BasisLight], fit: LightFit, hdri: str) -> SceneSpec:
    """The scene under all fitted lights at once; the soft ones are in the HDRI `hdri` (see write_mixed_light)."""
    lamps = [
        replace(light.lamp, radiance=tuple(float(weight) * part for part in light.lamp.radiance))
        for light, weight in zip(basis, fit.weights, strict=True)
        if light.lamp is not None and weight > MIN_WEIGHT
    ]
    strength = sum(float(weight) for light, weight in zip(basis, fit.weights, strict=True) if light.lamp is None)
    return replace(scene, environment=Environment(hdri, strength=strength), lights=tuple(lamps))


def write_mixed_light(path: Path, softs: Sequence[NDArray[np.float32]], fit: LightFit) -> None:
    """Writes the soft lights (each of mean 1) of a fit, the first of its basis, added up as one HDRI."""
    import cv2

    mixed = sum(float(weight) * light for weight, light in zip(fit.weights, softs, strict=False))
    total = float(fit.weights[: len(softs)].sum())
    # An HDRI may not be black; beside strength 0 any will do.
    cv2.imwrite(str(path), (np.asarray(mixed) if total > 0 else softs[0]).astype(np.float32))
