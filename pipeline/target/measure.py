"""What is measured on pictures, photographed and rendered alike: numbers whose distributions a fit brings together.

Each number is biased in its own way: print counts as noise, and the size of detail is not the size of products. Since
photographs and rendered pictures are measured alike, only differences between the two matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE, linear_from_srgb
from render.sensor import MIDDLE_GREY

# Gaussian sigmas, pixels: sharpness is the share of detail between the first two, of that between the last two.
FINE_PX, MIDDLE_PX, COARSE_PX = 0.7, 1.5, 6.0
# Gaussian sigmas of the bands in which the size of detail is measured, as shares of the root of the picture's area.
BANDS = 2.0 ** np.arange(-7.5, -1.9, 0.5)
# Codes that count as shadows and as light, 0..1; the flattest share of their pixels shows noise and little print.
SHADOWS, LIGHT = (0.04, 0.3), (0.35, 0.9)
FLATTEST, FEWEST_FLAT = 0.2, 40
# Below this, code values of 255, noise drowns in rounding.
LEAST_NOISE = 0.05


@dataclass(frozen=True)
class Statistic:
    """One number of every picture. log: whether it is compared by ratios instead of differences. decimals: shown.

    squares: whether the squares of its causes add up, as those of noise do.
    """

    name: str
    meaning: str
    unit: str = ""
    log: bool = False
    decimals: int = 2
    squares: bool = False

    def scaled(self, values: NDArray) -> NDArray[np.float64]:
        """Return values as they are compared: logarithms to base 2 where ratios count."""
        values = np.asarray(values, dtype=np.float64)
        return np.log2(np.where(values > 0, values, np.nan)) if self.log else values

    def additive(self, values: NDArray) -> NDArray[np.float64]:
        """Return values to which the causes of a statistic add: squares of noise, else as they are compared."""
        return np.asarray(values, dtype=np.float64) ** 2 if self.squares else self.scaled(values)


LENS = Statistic(
    "focal length", "35 mm equivalent; of photographs, what their EXIF data say", "mm", log=True, decimals=1
)
JPEG = Statistic("JPEG quality", "as libjpeg counts it; of photographs, by their quantization tables", decimals=0)
OBJECT_SIZE = Statistic(
    "object size",
    "median side of the detector's boxes, as a share of the root of the picture's area",
    log=True,
    decimals=3,
)
OBJECTS = Statistic("objects", "boxes of the detector", log=True, decimals=1)
DETAIL = Statistic(
    "size of detail", "mean scale of detail, as a share of the root of the picture's area", log=True, decimals=4
)
BRIGHTNESS = Statistic("brightness", "mean luminance over middle grey", "stops")
CONTRAST = Statistic("contrast", "from the 10th to the 90th percentile of grey, 1 = black to white")
WARMTH = Statistic("warmth", "mean red over mean blue light", "stops")
COLOR = Statistic("colour", "mean difference of the strongest and the weakest channel, 1 = pure colours", decimals=3)
SHARPNESS = Statistic("sharpness", "finest detail over coarser detail", log=True, decimals=3)
SHADOW_NOISE = Statistic("noise in shadows", "standard deviation in flat dark places", "of 255", log=True, squares=True)
LIGHT_NOISE = Statistic("noise in light", "standard deviation in flat bright places", "of 255", log=True, squares=True)
# What `measure_picture` returns, in order.
MEASURED = (BRIGHTNESS, CONTRAST, WARMTH, COLOR, SHARPNESS, SHADOW_NOISE, LIGHT_NOISE, DETAIL)


def measure_picture(pixels: NDArray[np.uint8], *, detail: bool = True) -> NDArray[np.float64]:
    """Return the MEASURED numbers of a picture (H, W, 3) uint8 sRGB; NaN where there is nothing to measure.

    detail: False leaves out the size of detail, which takes the longest.
    """
    import cv2

    coded = pixels.astype(np.float32) / 255
    light = linear_from_srgb(coded).mean(axis=(0, 1))
    grey = (coded @ LUMINANCE).astype(np.float32)
    low, high = np.percentile(grey, (10, 90))
    noise, soft = noise_response(grey), _blur(grey, MIDDLE_PX)
    slope = np.hypot(cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1))
    return np.array(
        [
            np.log2(max(float(light @ LUMINANCE), 1e-4) / MIDDLE_GREY),
            high - low,
            np.log2(max(light[0], 1e-4) / max(light[2], 1e-4)),
            (coded.max(axis=2) - coded.min(axis=2)).mean(),
            sharpness_of(grey, soft),
            noise_at(soft, slope, noise, SHADOWS),
            noise_at(soft, slope, noise, LIGHT),
            detail_size(coded) if detail else np.nan,
        ]
    )


def sharpness_of(grey: NDArray[np.float32], middle: NDArray[np.float32]) -> float:
    """Return the ratio of fine to coarser detail of a picture (H, W), given it blurred; NaN for a plain one."""
    fine, coarse = _blur(grey, FINE_PX), _blur(grey, COARSE_PX)
    below = float((middle - coarse).std())
    return float((fine - middle).std()) / below if below > 1e-4 else float("nan")


def noise_response(grey: NDArray) -> NDArray:
    """Return the response (H, W) of a mask that is blind to planes and ramps, with the deviation of white noise.

    Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (1996).
    """
    import cv2

    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    return cv2.filter2D(grey, -1, kernel, borderType=cv2.BORDER_REFLECT)


def noise_at(
    soft: NDArray[np.float32], slope: NDArray[np.float32], response: NDArray[np.float32], codes: tuple[float, float]
) -> float:
    """Return the standard deviation of noise, of 255, in the flattest places of a range of codes; NaN if there are few.

    Immerkaer's estimate from the mean of the absolute response, over places chosen by the slope (H, W) of the blurred
    picture (H, W).
    """
    inside = (soft > codes[0]) & (soft < codes[1])
    if inside.sum() * FLATTEST < FEWEST_FLAT:
        return float("nan")
    flat = inside & (slope <= np.quantile(slope[inside], FLATTEST))
    return max(255 * float(np.sqrt(np.pi / 2) * np.abs(response[flat]).mean()), LEAST_NOISE)


def detail_size(coded: NDArray[np.float32]) -> float:
    """Return the mean scale of a picture's detail, as a share of the root of its area; NaN for a plain one.

    The scale at which differences of Gaussians have their energy, as in Lindeberg, "Feature detection with automatic
    scale selection", International Journal of Computer Vision 30 (1998): a picture enlarged has larger detail by as
    much. Packs of any print have most energy near their own size.
    """
    import cv2

    side = np.sqrt(coded.shape[0] * coded.shape[1])
    levels = [cv2.GaussianBlur(coded, (0, 0), float(band * side)) for band in BANDS if band * side > 0.3]
    energy = np.array([float(((a - b) ** 2).mean()) for a, b in pairwise(levels)])
    scales = BANDS[len(BANDS) - len(energy) - 1 : -1]
    return float(np.exp2((energy * np.log2(scales)).sum() / energy.sum())) if energy.sum() > 1e-9 else float("nan")


def _blur(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    import cv2

    return cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
