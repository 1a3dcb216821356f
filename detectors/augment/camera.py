"""Camera effects: colour, blur, noise and compression, on uint8 with lookup tables and few passes."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.augment.settings import AugmentSettings, sample_factor

ImageArray = NDArray[np.uint8]
# Luma weights of BT.601, which JPEG and television use.
LUMA = np.array([0.299, 0.587, 0.114])
# Fixed point of the contrast change: the mean grey of typical photos.
PIVOT = 0.45
# Grey levels of the noise tile per standard deviation, so that 4 deviations fit into a byte.
TILE_DEVIATION = 32
TILE_SIZE = 512


def retake(image: ImageArray, *, settings: AugmentSettings, rng: np.random.Generator) -> ImageArray:
    """Apply colour grading, blur, noise and compression to an (H, W, 3) RGB image, each with its own probability."""
    if rng.random() < settings.color_chance:
        image = grade(image, settings=settings, rng=rng)
    if rng.random() < settings.gray_chance:
        image = cv2.transform(image, np.tile(LUMA, (3, 1)))
    if rng.random() < settings.blur_chance:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*settings.blur))
    if rng.random() < settings.motion_chance:
        image = cv2.filter2D(image, -1, motion_kernel(rng.uniform(*settings.motion), rng.uniform(0, np.pi)))
    if rng.random() < settings.noise_chance:
        image = add_noise(image, sample_factor(settings.noise, rng), rng=rng)
    if rng.random() < settings.jpeg_chance:
        image = recompress(image, round(rng.uniform(*settings.jpeg_quality)))
    return image


def grade(image: ImageArray, *, settings: AugmentSettings, rng: np.random.Generator) -> ImageArray:
    """Change light and tone curve: saturation and hue by one matrix, everything else by one table per channel."""
    turn = color_matrix(sample_factor(settings.saturation, rng), np.radians(rng.uniform(*settings.hue)))
    gains = np.array([sample_factor(settings.white_balance, rng) for _ in range(3)])
    # Normalised, because white balance must change colour and not exposure.
    gains *= sample_factor(settings.brightness, rng) / gains.mean()
    values = np.linspace(0, 1, 256)[:, None] * gains
    values = values ** sample_factor(settings.gamma, rng)
    values = (values - PIVOT) * sample_factor(settings.contrast, rng) + PIVOT
    table = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    return cv2.LUT(cv2.transform(image, turn), table[None])


def color_matrix(saturation: float, hue: float) -> NDArray[np.float64]:
    """Return a (3, 3) matrix for RGB columns that scales chroma and rotates hue (radians); luma and greys are kept."""
    # In YIQ, because its chroma axes are linear in RGB, unlike those of HSV.
    to_yiq = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    cosine, sine = saturation * np.cos(hue), saturation * np.sin(hue)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.inv(to_yiq) @ turn @ to_yiq


def motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """Return a centred kernel of a line of `length` pixels at `angle` radians, of odd size and with sum 1."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    steps = np.linspace(-0.5, 0.5, 8 * half + 1) * (length - 1)
    columns, rows = np.rint(steps * np.cos(angle)).astype(int), np.rint(steps * np.sin(angle)).astype(int)
    np.add.at(kernel, (rows + half, columns + half), 1)
    return kernel / kernel.sum()


def add_noise(image: ImageArray, deviation: float, *, rng: np.random.Generator) -> ImageArray:
    """Add Gaussian noise of standard deviation `deviation` grey levels, fine-grained or blotchy.

    In sRGB values the spread of photon noise hardly depends on brightness (light to the power of -0.05), so one lookup
    table suffices.
    """
    height, width = image.shape[:2]
    row, column = rng.integers(TILE_SIZE, size=2)
    tile = np.roll(_noise_tile(bool(rng.random() < 0.5)), (-row, -column), (0, 1))
    down, right = max(0, height - TILE_SIZE), max(0, width - TILE_SIZE)
    tile = cv2.copyMakeBorder(tile[:height, :width], 0, down, 0, right, cv2.BORDER_WRAP)
    levels = np.rint((np.arange(256) - 128.0) / TILE_DEVIATION * deviation)
    brighter, darker = (np.clip(part, 0, 255).astype(np.uint8) for part in (levels, -levels))
    return cv2.subtract(cv2.add(image, cv2.LUT(tile, brighter)), cv2.LUT(tile, darker))


@cache
def _noise_tile(blotches: bool) -> ImageArray:
    """Return (512, 512, 3) normal noise around 128, cached; blotchy noise is what demosaicing leaves."""
    noise = np.random.default_rng(0).standard_normal((TILE_SIZE, TILE_SIZE, 3), np.float32)
    if blotches:
        # Mostly luma and some chroma noise, with blotches about two pixels wide.
        noise = cv2.GaussianBlur(0.4 * noise + noise[..., :1], (0, 0), 0.8)
        noise /= noise.std()
    return np.clip(noise * TILE_DEVIATION + 128, 0, 255).astype(np.uint8)


def recompress(image: ImageArray, quality: int) -> ImageArray:
    """Compress an image as JPEG at `quality`, 1 to 100, and decode it again."""
    # OpenCV expects BGR; given RGB, chroma subsampling would affect the wrong channels.
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
