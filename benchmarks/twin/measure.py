"""What is measured inside the masks of products: overlap, colour, contrast, sharpness, noise, evenness of light."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE
from benchmarks.twin.color import difference, lab_from_linear
from pipeline.target.measure import noise_response

# Gaussian sigmas, pixels, between which an image's detail is called fine, middle and coarse.
FINE, MIDDLE, COARSE = 0.7, 1.5, 6.0
# A place is flat where a noise-free render changes by no more than this in code values (0..1) around it.
FLAT = 0.01
# How far an outline is shifted to meet the photograph's edges, pixels; a step of L*a*b* per pixel that is clearly one.
REACH, STRONG_EDGE = 6, 8.0
NORMAL = 1.4826  # standard deviation of a normal distribution by its median absolute deviation


@dataclass(frozen=True)
class Look:
    """How the products of one image look. lightness, spread: mean and standard deviation of L*. chroma: mean.

    dark, bright: share under L* 15 and over 95. warm: mean b*. coarse, middle: standard deviation of luminance detail
    at these sizes, in code values of 255. sharpness: fine detail against middle. noise: deviation in flat places, code
    values of 255. uneven: standard deviation over products of log2 luminance against the same products in even light.
    """

    lightness: float
    spread: float
    chroma: float
    warm: float
    dark: float
    bright: float
    coarse: float
    middle: float
    sharpness: float
    noise: float
    uneven: float


LOOKS = tuple(field.name for field in fields(Look))


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = int((first | second).sum())
    return float((first & second).sum() / union) if union else 1.0


def measure_look(coded: NDArray, even: NDArray, products: NDArray[np.int32]) -> Look:
    """The look of an image (H, W, 3), sRGB 0..1, where `products` (H, W) is over 0.

    even: the same products rendered in even light without a sensor, sRGB 0..1: where print is flat, how bright it is.
    """
    from assets.color import linear_from_srgb

    inside = products > 0
    linear = linear_from_srgb(np.clip(coded, 0, 1))
    lab = lab_from_linear(linear[inside])
    grey, plain = coded @ LUMINANCE, even @ LUMINANCE
    middle = band(grey, MIDDLE, COARSE, inside)
    return Look(
        lightness=float(lab[:, 0].mean()),
        spread=float(lab[:, 0].std()),
        chroma=float(np.hypot(lab[:, 1], lab[:, 2]).mean()),
        warm=float(lab[:, 2].mean()),
        dark=float((lab[:, 0] < 15).mean()),
        bright=float((lab[:, 0] > 95).mean()),
        coarse=255 * band(grey, COARSE, 3 * COARSE, inside),
        middle=255 * middle,
        sharpness=band(grey, 0, FINE, inside) / max(middle, 1e-9),
        noise=255 * noise_in(grey, flat_places(plain, inside)),
        uneven=_unevenness(linear @ LUMINANCE, linear_from_srgb(even) @ LUMINANCE, products),
    )


def band(grey: NDArray, low: float, high: float, inside: NDArray[np.bool_]) -> float:
    """Standard deviation inside a mask of what is coarser than sigma `low` and finer than `high`, pixels.

    Blurred inside the mask alone, so that outlines do not count.
    """
    detail = _blur_inside(grey, low, inside) - _blur_inside(grey, high, inside)
    return float(detail[inside].std())


def _blur_inside(grey: NDArray, sigma: float, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    import cv2

    if sigma <= 0:
        return np.asarray(grey, dtype=np.float64)
    weight = cv2.GaussianBlur(inside.astype(np.float64), (0, 0), sigma)
    return cv2.GaussianBlur(np.where(inside, grey, 0.0), (0, 0), sigma) / np.maximum(weight, 1e-6)


def flat_places(plain: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W): where a noise-free image hardly changes within two pixels, inside a mask and off its rim."""
    import cv2

    square = np.ones((5, 5), np.uint8)
    # Softened, so that a sharper renderer finds the same places.
    plain = cv2.GaussianBlur(plain.astype(np.float32), (0, 0), 1.0)
    flat = cv2.dilate(plain, square) - cv2.erode(plain, square) < FLAT
    return flat & (cv2.erode(inside.astype(np.uint8), square) > 0)


def noise_in(grey: NDArray, places: NDArray[np.bool_]) -> float:
    """Standard deviation of noise by the median of the responses of Immerkaer's mask; NaN under 100 places."""
    if places.sum() < 100:
        return float("nan")
    return float(NORMAL * np.median(np.abs(noise_response(grey)[places])))


def _unevenness(light: NDArray, even: NDArray, products: NDArray[np.int32]) -> float:
    keys = [key for key in np.unique(products) if key > 0]
    stops = [np.log2(light[products == key].mean() / even[products == key].mean() + 1e-6) for key in keys]
    return float(np.std(stops))


@dataclass(frozen=True)
class Likeness:
    """A twin against its photograph inside the masks. by_pixel, by_product: mean CIEDE2000, of pixels and of products'

    mean colours. contrast, chroma: of the twin against the photograph's (1 = alike): deviation of L*, mean chroma.
    """

    by_pixel: float
    by_product: float
    contrast: float
    chroma: float


def compare_colors(twin: NDArray, photo: NDArray, products: NDArray[np.int32]) -> Likeness:
    """Both (N, 3) linear sRGB; products: (N,) which product each pixel is of."""
    ours, theirs = lab_from_linear(twin), lab_from_linear(photo)
    keys = np.unique(products)
    means = np.array([[lab[products == key].mean(axis=0) for key in keys] for lab in (ours, theirs)])
    return Likeness(
        by_pixel=float(difference(ours, theirs).mean()),
        by_product=float(difference(means[0], means[1]).mean()),
        contrast=float(ours[:, 0].std() / theirs[:, 0].std()),
        chroma=float(np.hypot(ours[:, 1], ours[:, 2]).mean() / np.hypot(theirs[:, 1], theirs[:, 2]).mean()),
    )


def edge_strength(photos: list[NDArray]) -> NDArray[np.float32]:
    """How much colour changes at each pixel, mean over photographs (H, W, 3) in L*a*b* of one scene in several lights.

    Edges of shadows and glints move with the light and weigh little.
    """
    import cv2

    total = np.zeros(photos[0].shape[:2], np.float32)
    for photo in photos:
        soft = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 1.0)
        slopes = [cv2.Scharr(soft, cv2.CV_32F, *axis) / 32 for axis in ((1, 0), (0, 1))]
        # Beyond a clear edge more contrast is no better evidence.
        total += np.minimum(np.sqrt(sum((slope**2).sum(axis=-1) for slope in slopes)), STRONG_EDGE)
    return total / len(photos)


def outline_offset(edges: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The shift (x, y), pixels, within REACH by which a mask's outline meets the strongest edges of a photograph.

    NaN where the outline is shorter than 50 pixels. Borders of the image are no outline.
    """
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([contour[:, 0] for contour in contours]) if contours else np.zeros((0, 2))
    height, width = mask.shape
    points = points[((points > REACH + 1) & (points < np.array([width, height]) - REACH - 2)).all(axis=1)]
    if len(points) < 50:
        return float("nan"), float("nan")
    steps = np.arange(-REACH, REACH + 0.01, 0.5)
    shifts = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    at = (points[None] + shifts[:, None]).astype(np.float32)
    strength = cv2.remap(edges, at[..., 0], at[..., 1], cv2.INTER_LINEAR).mean(axis=1)
    best = shifts[strength.argmax()]
    return float(best[0]), float(best[1])
