"""Decomposition of an HDRI for a rasterizer: a few suns with shadows, spherical harmonics for the rest, reflections.

Everything is in the HDRI's own frame and per unit of its strength; the renderer rotates and scales it. Ramamoorthi and
Hanrahan, "An efficient representation for irradiance environment maps", 2001; Karis, "Real shading in Unreal Engine 4",
2013 (the lobe by which reflections are blurred).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE

# Light above this multiple of the mean becomes suns: 24 to 88 % of the energy of seven indoor HDRIs.
SUN_THRESHOLD = 2.0
# A sun weaker than this share of the HDRI's energy casts no visible shadow and stays in the rest.
MIN_SUN = 0.01
# Width of the map in which suns are searched (1.4 degrees per column), and of the sharpest reflections.
MAP_WIDTH = 256
# Roughness of the reflection levels, sharp to blurred; each level has half the width of the one before.
LEVEL_ROUGHNESS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Sun:
    """A bright patch of the HDRI as one distant light.

    direction: (3,) unit, towards the light, HDRI frame. irradiance: (3,) linear RGB on a surface that faces it. radius:
    radians, of a uniform disc with the patch's spread.
    """

    direction: NDArray[np.float64]
    irradiance: NDArray[np.float64]
    radius: float


@dataclass(frozen=True, eq=False)
class EnvironmentLight:
    """An HDRI prepared for a rasterizer.

    suns: strongest first. diffuse, diffuse_upper: (9, 3) harmonics of the rest without suns, of the whole sphere and of
    the half above the horizon: `sh_basis(normal) @ diffuse` is the radiance of a white Lambertian surface with that
    normal. levels: reflections of the whole HDRI (suns included), each (h, w, 3) float32, by LEVEL_ROUGHNESS.
    """

    suns: tuple[Sun, ...]
    diffuse: NDArray[np.float64]
    diffuse_upper: NDArray[np.float64]
    levels: tuple[NDArray[np.float32], ...]


def fit_environment(hdri: NDArray[np.float32], *, suns: int) -> EnvironmentLight:
    """Decompose an equirectangular HDRI (H, W, 3), linear, into at most `suns` suns, harmonics and reflections."""
    small = shrink(hdri, MAP_WIDTH)
    rest, found = split_suns(small, count=suns)
    upper = rest * (directions_of(*rest.shape[:2])[..., 2:] > 0)
    levels = tuple(
        reflection_level(small, roughness, MAP_WIDTH >> level) for level, roughness in enumerate(LEVEL_ROUGHNESS)
    )
    return EnvironmentLight(found, diffuse_harmonics(rest), diffuse_harmonics(upper), levels)


def directions_of(height: int, width: int) -> NDArray[np.float64]:
    """Return the unit direction through each pixel centre of an equirectangular map, (height, width, 3), HDRI frame."""
    azimuth = (0.5 - (np.arange(width) + 0.5) / width) * 2 * np.pi
    polar = (np.arange(height) + 0.5) / height * np.pi
    level = np.sin(polar)[:, None]
    height_z = np.broadcast_to(np.cos(polar)[:, None], (height, width))
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), height_z], axis=-1)


def solid_angles(height: int, width: int) -> NDArray[np.float64]:
    """Return the solid angle of each pixel of an equirectangular map, (height, width) steradians; they sum to 4 pi."""
    edges = np.cos(np.arange(height + 1) / height * np.pi)
    return np.broadcast_to(((edges[:-1] - edges[1:]) * 2 * np.pi / width)[:, None], (height, width))


def shrink(hdri: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Downscale the map to `width` x width / 2 by area averaging, which preserves energy; (h, w, 3) float64."""
    import cv2

    return cv2.resize(hdri, (width, width // 2), interpolation=cv2.INTER_AREA).astype(np.float64)


def sh_basis(directions: NDArray) -> NDArray[np.float64]:
    """Evaluate the nine real spherical harmonics up to order two at unit directions (..., 3); (..., 9) float64."""
    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)
    terms = [
        np.full_like(x, 0.282094791773878),
        0.488602511902920 * y,
        0.488602511902920 * z,
        0.488602511902920 * x,
        1.092548430592079 * x * y,
        1.092548430592079 * y * z,
        0.315391565252520 * (3 * z * z - 1),
        1.092548430592079 * x * z,
        0.546274215296040 * (x * x - y * y),
    ]
    return np.stack(terms, axis=-1)


def diffuse_harmonics(radiance: NDArray) -> NDArray[np.float64]:
    """Project the equirectangular radiance (H, W, 3) to (9, 3): `sh_basis(n) @ it` is irradiance / pi at normal n."""
    height, width = radiance.shape[:2]
    basis = sh_basis(directions_of(height, width)) * solid_angles(height, width)[..., None]
    # The clamped cosine scales the orders 0, 1, 2 by pi, 2 pi / 3, pi / 4.
    cosine = np.repeat([1.0, 2.0 / 3.0, 0.25], [1, 3, 5])
    return cosine[:, None] * np.einsum("hwk,hwc->kc", basis, radiance)


def split_suns(radiance: NDArray, *, count: int) -> tuple[NDArray[np.float64], tuple[Sun, ...]]:
    """Split a map (H, W, 3), linear, into the rest and at most `count` suns, strongest first.

    No energy is lost: light that no sun takes stays in the map.
    """
    height, width = radiance.shape[:2]
    weight = solid_angles(height, width)
    luminance = radiance @ LUMINANCE
    mean = float((luminance * weight).sum() / weight.sum())
    share = np.maximum(1 - SUN_THRESHOLD * mean / np.maximum(luminance, 1e-12), 0)
    bright = np.flatnonzero(share.ravel() > 0)
    if count == 0 or not len(bright):
        return radiance, ()
    directions = directions_of(height, width).reshape(-1, 3)[bright]
    energy = (radiance * (share * weight)[..., None]).reshape(-1, 3)[bright]
    owner = _cluster(directions, energy @ LUMINANCE, count)
    least = MIN_SUN * mean * weight.sum()
    rest_share = 1 - share.ravel()
    suns = []
    for index in range(count):
        mine = owner == index
        if (energy[mine] @ LUMINANCE).sum() < least:
            rest_share[bright[mine]] = 1
            continue
        suns.append(_sun(directions[mine], energy[mine]))
    suns.sort(key=lambda sun: -float(sun.irradiance @ LUMINANCE))
    return radiance * rest_share.reshape(height, width, 1), tuple(suns)


def _sun(directions: NDArray, energy: NDArray) -> Sun:
    weight = energy @ LUMINANCE
    axis = weight @ directions
    axis /= np.linalg.norm(axis)
    angle = np.arccos(np.clip(directions @ axis, -1, 1))
    # The RMS angle of a uniform disc is its radius over the root of two.
    radius = float(np.sqrt(2 * (weight * angle**2).sum() / weight.sum()))
    return Sun(axis, energy.sum(axis=0), max(radius, np.radians(0.25)))


def _cluster(directions: NDArray, weight: NDArray, count: int) -> NDArray[np.int64]:
    """Return the cluster (N,) of each direction by weighted k-means on the sphere; deterministic."""
    # The seeds prefer distance (its fourth power): by weight alone, or with the squared distance, one strong lamp took
    # four of six suns.
    centres = [directions[np.argmax(weight)]]
    while len(centres) < count:
        away = np.min([1 - directions @ centre for centre in centres], axis=0)
        centres.append(directions[np.argmax(weight * away**2)])
    middle = np.array(centres)
    for _ in range(12):
        owner = np.argmax(directions @ middle.T, axis=1)
        for index in range(count):
            total = weight[owner == index] @ directions[owner == index]
            if np.linalg.norm(total) > 0:
                middle[index] = total / np.linalg.norm(total)
    return np.argmax(directions @ middle.T, axis=1)


def reflection_level(radiance: NDArray, roughness: float, width: int) -> NDArray[np.float32]:
    """Return the map (width / 2, width, 3) float32 as a surface of that roughness reflects it head-on.

    Blurred by the GGX lobe around the mirror direction; rows are blurred by FFT along the longitude.
    """
    source = shrink(radiance.astype(np.float32), width)
    if roughness <= 0:
        return source.astype(np.float32)
    height = width // 2
    polar = (np.arange(height) + 0.5) / height * np.pi
    turn = np.arange(width) / width * 2 * np.pi
    # Cosine between row i at longitude 0 and row j at longitude t: (i, j, t).
    level, upright = np.sin(polar), np.cos(polar)
    cosine = level[:, None, None] * level[None, :, None] * np.cos(turn)
    cosine += (upright[:, None] * upright[None, :])[..., None]
    kernel = _ggx_lobe(cosine, roughness) * solid_angles(height, width)[None, :, :1]
    spectrum = np.fft.rfft(kernel, axis=2) / kernel.sum(axis=(1, 2))[:, None, None]
    blurred = np.einsum("ijt,jtc->itc", spectrum, np.fft.rfft(source, axis=1))
    return np.maximum(np.fft.irfft(blurred, n=width, axis=1), 0).astype(np.float32)


def _ggx_lobe(cosine: NDArray, roughness: float) -> NDArray[np.float64]:
    """Return the weight of light at that cosine from the mirror direction: GGX of the half vector times the cosine."""
    alpha2 = max(roughness, 0.02) ** 4
    half2 = (1 + np.clip(cosine, -1, 1)) / 2
    return np.maximum(cosine, 0) * alpha2 / (np.pi * (half2 * (alpha2 - 1) + 1) ** 2)
