"""The light, noise and blur of a place in a picture, and products given those of another place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE, linear_from_srgb, srgb_from_linear
from pipeline.target.measure import noise_response, sharpness_of

Pixels = NDArray[np.uint8]
# Width of the surroundings that are measured, as a share of the sides of a box, and pixels at least.
AROUND, LEAST_PX = 0.4, 6
# Brightness of the surroundings is theirs and the light's: half of its difference is the light's. Largest gains, stops.
OF_LIGHT, MAX_STOPS, MAX_TINT = 0.5, 1.0, 0.35
# Of the flattest places around, this share shows noise. Sharpness is that of the whole picture.
FLATTEST, MIDDLE_PX, MAX_BLUR_PX = 0.3, 1.5, 1.2
DARK = 1e-3


@dataclass(frozen=True, eq=False)
class Light:
    """What surroundings look like. brightness: of linear light. tint: (3,) color of the light, of mean 1.

    noise: standard deviation, of 255. sharpness: of the picture, as `sharpness_of`.
    """

    brightness: float
    tint: NDArray[np.float64]
    noise: float
    sharpness: float


class LightMeter:
    """Measures surroundings in one picture (H, W, 3) uint8 sRGB; what is of all of it is measured once."""

    def __init__(self, pixels: Pixels) -> None:
        import cv2

        coded = pixels.astype(np.float32) / 255
        grey = (coded @ LUMINANCE).astype(np.float32)
        middle = cv2.GaussianBlur(grey, (0, 0), MIDDLE_PX, borderType=cv2.BORDER_REFLECT)
        sharpness = sharpness_of(grey, middle)
        self._brightness = (linear_from_srgb(coded) @ LUMINANCE).astype(np.float32)
        self._slope = np.abs(cv2.Laplacian(middle, cv2.CV_32F))
        self._response = np.abs(noise_response(grey))
        self._tint = _tint(coded)
        self._sharpness = sharpness if np.isfinite(sharpness) else 0.0

    def measure(self, box: tuple[int, int, int, int], product: NDArray[np.bool_] | None = None) -> Light:
        """Measure the surroundings of a box x0, y0, x1, y1, without the product (H, W) in it."""
        height, width = self._slope.shape
        x0, y0, x1, y1 = box
        dx, dy = max(round(AROUND * (x1 - x0)), LEAST_PX), max(round(AROUND * (y1 - y0)), LEAST_PX)
        part = slice(max(y0 - dy, 0), min(y1 + dy, height)), slice(max(x0 - dx, 0), min(x1 + dx, width))
        slope = self._slope[part]
        outside = np.ones(slope.shape, bool) if product is None else ~product[part]
        if not outside.any():
            outside[:] = True
        flat = outside & (slope <= np.quantile(slope[outside], FLATTEST))
        return Light(
            brightness=max(float(self._brightness[part][outside].mean()), DARK),
            tint=self._tint,
            noise=255 * float(np.sqrt(np.pi / 2) * self._response[part][flat].mean()),
            sharpness=self._sharpness,
        )


def _tint(coded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Estimate the colour of a picture's light: edges of all things together are grey in white light.

    Van de Weijer, Gevers and Gijsenij, "Edge-based color constancy", IEEE Transactions on Image Processing 16 (2007).
    """
    import cv2

    soft = cv2.GaussianBlur(linear_from_srgb(coded).astype(np.float32), (0, 0), 1.0)
    slopes = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    found = np.maximum(slopes.reshape(-1, 3).astype(np.float64).mean(axis=0), 1e-6)
    tint: NDArray[np.float64] = found / found.mean()
    return tint


def match_light(
    pixels: Pixels, own: Light, wanted: Light, strength: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a product (h, w, 3) in the light of other surroundings, 0..255, with their noise and blur."""
    import cv2

    stops = np.clip(OF_LIGHT * np.log2(wanted.brightness / own.brightness), -MAX_STOPS, MAX_STOPS)
    tints = np.clip(np.log2(wanted.tint / own.tint), -MAX_TINT, MAX_TINT)
    gain = np.exp2(strength * (stops + tints))
    fitted = (255 * srgb_from_linear(np.clip(linear_from_srgb(pixels / 255) * gain, 0, 1))).astype(np.float32)
    sigma = strength * blur_between(own.sharpness, wanted.sharpness)
    if sigma > 0.2:
        fitted = cv2.GaussianBlur(fitted, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    missing = max(wanted.noise**2 - own.noise**2, 0.0)
    noise = rng.normal(0, 1, fitted.shape)  # always sampled, so that chance after it does not depend on the picture
    noisy: NDArray[np.float32] = np.clip(fitted + strength * np.sqrt(missing) * noise, 0, 255).astype(np.float32)
    return noisy


def blur_between(own: float, wanted: float) -> float:
    """Return the sigma, pixels, of a blur that makes a picture of one sharpness about as soft as another."""
    if wanted <= 0 or own <= wanted:
        return 0.0
    return min(float(np.sqrt(np.log2(own / wanted))), MAX_BLUR_PX)
