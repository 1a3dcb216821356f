"""Defocus by depth: how large each pixel's circle of confusion is, and the image blurred by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Circles under this diameter, pixels, are sharp: they fall on the pixel itself.
SHARP_PX = 0.5
# Diameters within a layer differ by at most this factor; larger circles than MAX_PX are made as large as that.
LAYER_FACTOR, MAX_PX = 1.5, 64.0
TINY = 1e-6


def circles_of_confusion(depth: NDArray, focal_px: float, *, aperture_mm: float, focus_m: float) -> NDArray[np.float32]:
    """Return signed diameters (H, W) float32, pixels, of the circle to which a point at each depth spreads.

    depth: (H, W), metres along the optical axis, inf allowed. aperture_mm: diameter of the entrance pupil. focus_m:
    distance in focus. Negative: nearer than that. A thin lens whose focal length is short against all distances.
    """
    with np.errstate(divide="ignore"):
        vergence = 1 / focus_m - 1 / np.maximum(depth, 1e-3)
    return np.clip(focal_px * aperture_mm / 1000 * vergence, -MAX_PX, MAX_PX).astype(np.float32)


def defocus(image: NDArray, circles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur an image (H, W, C), linear light, by the signed diameters (H, W) of its circles of confusion.

    It is cut into layers of similar circles, which are blurred and laid over each other from far to near. A layer takes
    its colours from its own pixels alone, so that a sharp product does not bleed onto a soft background.
    """
    image = np.asarray(image, dtype=np.float32)
    diameters = np.abs(circles)
    if diameters.max(initial=0) < SHARP_PX:
        return image
    layers = _layers(circles)
    blurred = image.copy()
    for layer in np.unique(layers)[::-1]:
        own = layers == layer
        softest = float(diameters[layers < layer].max(initial=0))
        diameter = float(np.median(diameters[own]))
        there = _reached(own, max(diameter, softest))
        _lay_over(blurred[there], image[there], layers[there], layer, diameter, softest)
    return blurred


def _reached(own: NDArray[np.bool_], diameter: float) -> tuple[slice, slice]:
    """Return the rows and columns that pixels spread to by discs of that diameter, and what these discs see there."""
    reach = 2 * (int(diameter / 2) + 2)
    spans = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(max(int(span[0]) - reach, 0), int(span[-1]) + 1 + reach) for span in spans)
    return rows, columns


def _lay_over(
    blurred: NDArray[np.float32],
    image: NDArray[np.float32],
    layers: NDArray[np.intp],
    layer: int,
    diameter: float,
    softest: float,
) -> None:
    """Lay a layer, blurred by its diameter, over what lies behind it, in place.

    softest: the largest diameter of nearer layers. Their soft edges let through what they hide, which is guessed from
    around them.
    """
    own, farther, nearer = layers == layer, layers > layer, (layers < layer)[..., None]
    light, cover = _layer_light(image, own, farther, diameter)
    if softest >= SHARP_PX and nearer.any():
        hidden, hidden_cover = _layer_light(image, own, farther, max(diameter, softest))
        light, cover = np.where(nearer, hidden, light), np.where(nearer, hidden_cover, cover)
    blurred += cover * (light - blurred)


def _layers(circles: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the layer of each pixel (H, W), rising with the distance."""
    count = int(np.ceil(np.log(MAX_PX / SHARP_PX) / np.log(LAYER_FACTOR))) + 1
    edges = SHARP_PX * LAYER_FACTOR ** np.arange(count)
    return np.digitize(circles, np.concatenate([-edges[::-1], edges]))


def _layer_light(
    image: NDArray[np.float32], own: NDArray[np.bool_], farther: NDArray[np.bool_], diameter: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the blurred colours (H, W, C) of a layer and the share (H, W, 1) of what lies behind that it covers.

    The share is that among the pixels which are not hidden by nearer layers.
    """
    mask = own[..., None].astype(np.float32)
    if diameter < SHARP_PX:
        return image, mask
    both = np.concatenate([image * mask, mask, farther[..., None]], axis=-1)
    spread = _spread(both, diameter)
    light, weight, behind = spread[..., :-2], spread[..., -2:-1], spread[..., -1:]
    return light / np.maximum(weight, TINY), weight / np.maximum(weight + behind, TINY)


def _spread(image: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """Convolve with a disc of that diameter, pixels, its border softened over one pixel."""
    import cv2

    reach = int(np.ceil(diameter / 2))
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    kernel = np.clip(diameter / 2 + 0.5 - distance, 0, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
