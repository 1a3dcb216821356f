"""Camera sensor: linear light in, an 8-bit sRGB image out, as plain functions of the Sensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE, srgb_from_linear
from render.optics.defocus import defocus
from render.optics.mosaic import bayer_mosaic, demosaic
from render.scene import Sensor

# Mean luminance of a metered image: the 18 % grey card of photography.
MIDDLE_GREY = 0.18
# Above this share of full scale the tone curve rolls off, as cameras' do, instead of clipping.
SHOULDER = 0.7
SHARPEN_PX = 0.8
# Of a mosaic: blur of the filter before it, without which edges get coloured dots, and the light at which a pixel
# saturates, without which glints get a star.
LOW_PASS_PX, RAW_WHITE = 0.5, 1.5
# Light (full scale is 1) above which every code rounds to white, and the number of points of the curve up to it.
BRIGHTEST, CURVE_POINTS = 4.0, 4096


def develop(
    light: NDArray[np.float32],
    sensor: Sensor,
    subject: NDArray[np.bool_] | None = None,
    circles: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Develop linear light (H, W, 3), RGB of any scale, to an image (H, W, 3) uint8 sRGB.

    subject: (H, W) bool, the main subject, which counts as much for the exposure as the whole image. circles: (H, W)
    signed diameters, pixels, of the circles of confusion (render/optics/defocus.py); None is sharp at any depth.

    In the order of the light path: metering, vignette, chromatic aberration, defocus, lens blur, shake, photon and read
    noise, demosaicing, white balance, colour matrix, tone curve, contrast and saturation, sharpening. Without a mosaic
    the white balance comes before the noise. JPEG compression is left to the writer.
    """
    image = light.astype(np.float64) * (meter(light, subject) * 2.0**sensor.exposure_ev)
    image = image * _vignette(image.shape, sensor.vignette)[..., None]
    image = _aberrate(image, sensor.red_scale, sensor.blue_scale)
    image = image if circles is None else defocus(image, circles).astype(np.float64)
    image = _shake(blur(image, sensor.blur_px), sensor.motion_px, sensor.motion_angle)
    if sensor.mosaic:
        image = _measure(image, sensor) * np.asarray(sensor.white_balance)
    else:
        image = _add_noise(image * np.asarray(sensor.white_balance), sensor)
    image = image @ color_matrix(sensor.crosstalk).T if any(sensor.crosstalk) else image
    coded = _encode(image, sensor.tone)
    coded = _grade(coded, sensor.contrast, sensor.saturation)
    coded = _sharpen(coded, sensor.sharpen)
    return (np.clip(coded, 0, 1) * 255 + 0.5).astype(np.uint8)


def meter(light: NDArray, subject: NDArray[np.bool_] | None = None) -> float:
    """Return the gain that brings the mean luminance to middle grey; lamps and glints count as the 99th percentile.

    The mean is the geometric mean of image and subject, so that a window behind does not turn products black. Returns 1
    for a black image.
    """
    luminance = light.astype(np.float64) @ LUMINANCE
    capped = np.minimum(luminance, np.percentile(luminance, 99))
    mean = float(capped.mean())
    if subject is not None and subject.any():
        mean = float(np.sqrt(mean * capped[subject].mean()))
    return MIDDLE_GREY / mean if mean > 1e-9 else 1.0


def _vignette(shape: tuple[int, ...], strength: float) -> NDArray[np.float64]:
    """Return the brightness over the field: 1 in the middle, 1 - strength in the corners, quadratic in the radius."""
    height, width = shape[:2]
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    return 1 - strength * (x[None, :] ** 2 + y[:, None] ** 2) / 2


def _aberrate(image: NDArray, red_scale: float, blue_scale: float) -> NDArray:
    """Enlarge the red and the blue image about the middle by these shares."""
    if not (red_scale or blue_scale):
        return image
    import cv2

    height, width = image.shape[:2]
    image = image.copy()
    for channel, scale in ((0, 1 + red_scale), (2, 1 + blue_scale)):
        # Of pixel centres, which OpenCV counts from 0.
        shift = (1 - 1 / scale) * np.array([width - 1, height - 1]) / 2
        matrix = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image[..., channel] = cv2.warpAffine(
            image[..., channel], matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    return image


def blur(image: NDArray, sigma: float) -> NDArray:
    """Apply a Gaussian blur of `sigma` pixels; under 0.05 the image is returned unchanged."""
    import cv2

    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) if sigma > 0.05 else image


def _shake(image: NDArray, length: float, angle: float) -> NDArray:
    """Apply motion blur along a line of `length` pixels: the mean of shifted copies, each by linear interpolation."""
    if length < 0.1:
        return image
    import cv2

    steps = int(np.ceil(length)) * 2 + 1
    kernel = np.zeros((2 * int(np.ceil(length / 2)) + 3,) * 2)
    middle = kernel.shape[0] // 2
    for shift in np.linspace(-length / 2, length / 2, steps):
        x, y = middle + shift * np.cos(angle), middle + shift * np.sin(angle)
        column, row = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _add_noise(image: NDArray, sensor: Sensor) -> NDArray:
    """Add photon noise (variance proportional to the signal) and read noise, per channel and pixel."""
    if sensor.shot_noise <= 0 and sensor.read_noise <= 0:
        return image
    rng = np.random.default_rng(sensor.seed)
    deviation = np.sqrt(sensor.shot_noise**2 * np.clip(image, 0, 1) + sensor.read_noise**2)
    return image + deviation * rng.standard_normal(image.shape)


def _measure(image: NDArray, sensor: Sensor) -> NDArray:
    """Return the image (H, W, 3) as interpolated from one measured colour per pixel, with noise, up to RAW_WHITE."""
    measured = bayer_mosaic(_add_noise(blur(image, LOW_PASS_PX), sensor))
    return demosaic(np.minimum(measured, RAW_WHITE))


def _encode(image: NDArray, tone: float) -> NDArray[np.float64]:
    """Encode linear light as 0..1: roll-off, sRGB and tone curve in one table, twice as fast (error 1e-5)."""
    root = np.linspace(0, np.sqrt(BRIGHTEST), CURVE_POINTS)
    curve = bend(srgb_from_linear(_roll_off(root**2)), tone)
    # The table is indexed by the root of the light, over which the curve is nowhere steep. np.interp would search,
    # which takes five times as long.
    position = np.minimum(np.sqrt(np.maximum(image, 0)) / root[1], CURVE_POINTS - 2)
    below = position.astype(np.intp)
    start = curve[below]
    return start + (curve[below + 1] - start) * (position - below)


def _roll_off(image: NDArray) -> NDArray:
    """Compress highlights above SHOULDER smoothly towards full scale, instead of clipping hard."""
    room = 1 - SHOULDER
    bent = SHOULDER + room * np.tanh((image - SHOULDER) / room)
    return np.where(image > SHOULDER, bent, np.maximum(image, 0))


def color_matrix(crosstalk: Sequence[float]) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from linear sRGB to the camera's colours; rows sum to 1.

    crosstalk: the off-diagonal elements, row by row.
    """
    green_red, blue_red, red_green, blue_green, red_blue, green_blue = crosstalk
    matrix = np.array([[0, green_red, blue_red], [red_green, 0, blue_green], [red_blue, green_blue, 0]])
    return matrix + np.diag(1 - matrix.sum(axis=1))


def bend(coded: NDArray, tone: float) -> NDArray[np.float64]:
    """Apply an S-shaped curve through 0, 1/2 and 1 to codes 0..1, with slope `tone` in the middle; 1 changes nothing.

    c^t / (c^t + (1 - c)^t): `bend(bend(c, t), 1 / t)` is c.
    """
    if tone == 1:
        return np.asarray(coded, dtype=np.float64)
    coded = np.clip(coded, 0.0, 1.0)
    up, down = coded**tone, (1 - coded) ** tone
    return up / (up + down)


def _sharpen(coded: NDArray, amount: float) -> NDArray[np.float64]:
    """Apply unsharp masking, as cameras do: add `amount` times what a blur of SHARPEN_PX takes away."""
    return coded + amount * (coded - blur(coded, SHARPEN_PX)) if amount > 0 else coded


def _grade(coded: NDArray, contrast: float, saturation: float) -> NDArray:
    if contrast != 1:
        coded = (coded - 0.5) * contrast + 0.5
    if saturation != 1:
        grey = (coded @ LUMINANCE)[..., None]
        coded = grey + (coded - grey) * saturation
    return coded
