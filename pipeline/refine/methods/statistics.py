"""Colour statistics of a photograph: means and deviations, or means and covariances.

Each channel by itself as in Reinhard et al., "Color transfer between images", IEEE Computer Graphics and Applications
21 (2001): x' = (x - m_s) d_t / d_s + m_t. All together by the linear map between normal distributions that moves
colours least, as in Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping", CVMP 2007:
x' = T (x - m_s) + m_t, T = S^-1/2 (S^1/2 R S^1/2)^1/2 S^-1/2 with covariances S of the picture and R of the photograph.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb, srgb_from_linear
from pipeline.refine.methods import Pixels, Preparation, RefinedPicture, RefinePicture, SourcePicture, blend
from pipeline.refine.photos import cover
from pipeline.refine.settings import RefineSettings

LABELS: Final = "kept"
DONORS: Final = 0
# Contrast is changed by this factor at most: a picture of fog must not become noise.
MAX_GAIN = 2.0
# Deviation below which a channel counts as constant, of 1.
CONSTANT = 1e-3
Array = NDArray[np.float32]


def prepare(settings: RefineSettings, task: Preparation) -> None:
    """Nothing is prepared."""


def open_method(settings: RefineSettings) -> RefinePicture:
    """Return the function that refines a picture."""
    own = settings.statistics
    transfer = match_covariance if own.transfer == "covariance" else match_deviations

    def refine(picture: SourcePicture, photo: Pixels, strength: float, rng: np.random.Generator) -> RefinedPicture:
        height, width = picture.pixels.shape[:2]
        target = cover(photo, width, height, rng)
        source, wanted = (_encode(one, own.space) for one in (picture.pixels, target))
        matched = transfer(source.reshape(-1, 3), wanted.reshape(-1, 3)).reshape(source.shape)
        return RefinedPicture(blend(picture.pixels, _decode(matched, own.space), strength), picture.pixels)

    return refine


def match_deviations(source: Array, target: Array) -> Array:
    """Give colours (N, 3) the means and deviations of others (M, 3), channel by channel."""
    deviation = source.std(axis=0)
    gain = np.where(deviation > CONSTANT, target.std(axis=0) / np.maximum(deviation, CONSTANT), 1.0)
    matched: Array = (source - source.mean(axis=0)) * np.clip(gain, 1 / MAX_GAIN, MAX_GAIN) + target.mean(axis=0)
    return matched.astype(np.float32)


def match_covariance(source: Array, target: Array) -> Array:
    """Give colours (N, 3) the mean and covariance of others (M, 3)."""
    floor = CONSTANT**2 * np.eye(3)
    own, wanted = (np.cov(colors.T.astype(np.float64)) + floor for colors in (source, target))
    root = _root(own)
    inverse = np.linalg.inv(root)
    transport = inverse @ _root(root @ wanted @ root) @ inverse
    values, axes = np.linalg.eigh(transport)
    transport = axes * np.clip(values, 1 / MAX_GAIN, MAX_GAIN) @ axes.T
    matched: Array = ((source - source.mean(axis=0)) @ transport.T + target.mean(axis=0)).astype(np.float32)
    return matched


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the square root of a symmetric matrix of positive eigenvalues."""
    values, axes = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = axes * np.sqrt(np.maximum(values, 0)) @ axes.T
    return root


def _encode(pixels: Pixels, space: str) -> Array:
    """Return a picture in CIE L*a*b* over 100, or in linear light."""
    import cv2

    coded = pixels.astype(np.float32) / 255
    if space == "linear":
        return linear_from_srgb(coded).astype(np.float32)
    return np.asarray(cv2.cvtColor(coded, cv2.COLOR_RGB2Lab), dtype=np.float32) / 100


def _decode(values: Array, space: str) -> Array:
    """Return the codes (H, W, 3), 0..255, of values of `_encode`."""
    import cv2

    if space == "linear":
        return 255 * srgb_from_linear(np.clip(values, 0, 1)).astype(np.float32)
    coded = cv2.cvtColor((100 * values).astype(np.float32), cv2.COLOR_Lab2RGB)
    return 255 * np.clip(np.asarray(coded, dtype=np.float32), 0, 1)
