"""The camera's electronics: linear light in, an 8-bit sRGB picture out, as plain functions of the Sensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.color import srgb_from_linear
from render.scene import Sensor

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
# A metered picture has this mean luminance: the 18 % grey card of photography.
MIDDLE_GREY = 0.18
# Above this share of full scale the tone curve bends, as cameras' do, instead of clipping.
SHOULDER = 0.7
SHARPEN_PX = 0.8
# Light (full scale is 1) from which on everything is white to the last digit, and points of the curve up to it.
BRIGHTEST, CURVE_POINTS = 4.0, 4096


def develop(light: NDArray[np.float32], sensor: Sensor, subject: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """The picture that the sensor makes of `light`, (H, W, 3) linear RGB, any scale; (H, W, 3) uint8 sRGB.

    subject: (H, W) bool, what the photographer means to show: it counts as much for the exposure as the whole picture.

    In the order of the light's way: metering, vignette, lens blur, shake, white balance, photon and read noise, colour
    matrix, tone curve, contrast and saturation, sharpening. JPEG is left to the writer.
    """
    picture = light.astype(np.float64) * (meter(light, subject) * 2.0**sensor.exposure_ev)
    picture = picture * _vignette(picture.shape, sensor.vignette)[..., None]
    picture = _shake(_blur(picture, sensor.blur_px), sensor.motion_px, sensor.motion_angle)
    picture = picture * np.asarray(sensor.white_balance)
    picture = _add_noise(picture, sensor)
    picture = picture @ color_matrix(sensor.crosstalk).T if any(sensor.crosstalk) else picture
    coded = _code(picture, sensor.tone)
    coded = _grade(coded, sensor.contrast, sensor.saturation)
    coded = _sharpen(coded, sensor.sharpen)
    return (np.clip(coded, 0, 1) * 255 + 0.5).astype(np.uint8)


def meter(light: NDArray, subject: NDArray[np.bool_] | None = None) -> float:
    """The gain that brings the mean luminance to middle grey; lamps and glints count as the 99th percentile only.

    The geometric mean of picture and subject, so that a window behind does not turn products black.
    1 for a black picture.
    """
    luminance = light.astype(np.float64) @ LUMINANCE
    capped = np.minimum(luminance, np.percentile(luminance, 99))
    mean = float(capped.mean())
    if subject is not None and subject.any():
        mean = float(np.sqrt(mean * capped[subject].mean()))
    return MIDDLE_GREY / mean if mean > 1e-9 else 1.0


def _vignette(shape: tuple[int, ...], strength: float) -> NDArray[np.float64]:
    """Brightness over the field: 1 in the middle, 1 - strength in the corners, falling with the squared radius."""
    height, width = shape[:2]
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    return 1 - strength * (x[None, :] ** 2 + y[:, None] ** 2) / 2


def _blur(picture: NDArray, sigma: float) -> NDArray:
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) if sigma > 0.05 else picture


def _shake(picture: NDArray, length: float, angle: float) -> NDArray:
    """Motion blur along a line of `length` pixels: the mean of shifted copies, each by linear interpolation."""
    if length < 0.1:
        return picture
    import cv2

    steps = int(np.ceil(length)) * 2 + 1
    kernel = np.zeros((2 * int(np.ceil(length / 2)) + 3,) * 2)
    middle = kernel.shape[0] // 2
    for shift in np.linspace(-length / 2, length / 2, steps):
        x, y = middle + shift * np.cos(angle), middle + shift * np.sin(angle)
        column, row = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _add_noise(picture: NDArray, sensor: Sensor) -> NDArray:
    """Photon noise (variance proportional to the signal) and read noise, per channel and pixel."""
    if sensor.shot_noise <= 0 and sensor.read_noise <= 0:
        return picture
    rng = np.random.default_rng(sensor.seed)
    deviation = np.sqrt(sensor.shot_noise**2 * np.clip(picture, 0, 1) + sensor.read_noise**2)
    return picture + deviation * rng.standard_normal(picture.shape)


def _code(picture: NDArray, tone: float) -> NDArray[np.float64]:
    """Codes 0..1 of linear light: roll-off, sRGB and tone curve as one table, half as long and 1e-5 off."""
    root = np.linspace(0, np.sqrt(BRIGHTEST), CURVE_POINTS)
    curve = bend(srgb_from_linear(_roll_off(root**2)), tone)
    # Over the root of the light, in which codes have no steep end; np.interp searches, which takes five times as long.
    place = np.minimum(np.sqrt(np.maximum(picture, 0)) / root[1], CURVE_POINTS - 2)
    below = place.astype(np.intp)
    start = curve[below]
    return start + (curve[below + 1] - start) * (place - below)


def _roll_off(picture: NDArray) -> NDArray:
    """Highlights bend smoothly towards full scale from SHOULDER on, instead of clipping hard."""
    room = 1 - SHOULDER
    bent = SHOULDER + room * np.tanh((picture - SHOULDER) / room)
    return np.where(picture > SHOULDER, bent, np.maximum(picture, 0))


def color_matrix(crosstalk: Sequence[float]) -> NDArray[np.float64]:
    """(3, 3) from linear sRGB to the camera's colours, rows sum to 1: off-diagonal elements row by row."""
    green_red, blue_red, red_green, blue_green, red_blue, green_blue = crosstalk
    matrix = np.array([[0, green_red, blue_red], [red_green, 0, blue_green], [red_blue, green_blue, 0]])
    return matrix + np.diag(1 - matrix.sum(axis=1))


def bend(coded: NDArray, tone: float) -> NDArray[np.float64]:
    """An S through 0, 1/2 and 1 laid over codes 0..1, with the slope `tone` in the middle; 1 changes nothing.

    c^t / (c^t + (1 - c)^t): `bend(bend(c, t), 1 / t)` is c.
    """
    if tone == 1:
        return np.asarray(coded, dtype=np.float64)
    coded = np.clip(coded, 0.0, 1.0)
    up, down = coded**tone, (1 - coded) ** tone
    return up / (up + down)


def _sharpen(coded: NDArray, amount: float) -> NDArray[np.float64]:
    """Unsharp masking, as cameras do to every picture: what a blur of SHARPEN_PX takes away, added `amount` times."""
    return coded + amount * (coded - _blur(coded, SHARPEN_PX)) if amount > 0 else coded


def _grade(coded: NDArray, contrast: float, saturation: float) -> NDArray:
    if contrast != 1:
        coded = (coded - 0.5) * contrast + 0.5
    if saturation != 1:
        grey = (coded @ LUMINANCE)[..., None]
        coded = grey + (coded - grey) * saturation
    return coded
