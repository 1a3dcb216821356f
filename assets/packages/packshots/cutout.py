"""Segmentation of products in packshots: the background, shadows and reflections are removed.

The background is estimated from the border of an image: white, grey or another bright neutral colour, plain or shaded.
Only what is connected to the border is removed, so white panels and windows of a pack stay, plus clear holes
(assets/packages/packshots/holes.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.packages.packshots.holes import find_holes

Float = NDArray[np.float32]
Bools = NDArray[np.bool_]

# Longer side, in pixels, of the copy that is segmented.
DECIDE_PX = 400
# Images with a shorter side than this have no detectable background.
MIN_PX = 8
# Fraction of the border that has to fit one smooth background.
MIN_BACKGROUND_SHARE = 0.6
# Brightness and chroma (YCrCb, 0..255) of photographers' backgrounds; other colours are rather the pack's.
MIN_BRIGHT, MAX_COLOR = 120.0, 14.0
# Differences from the background, in levels, that are always ignored.
LIGHT_STEP, COLOR_STEP = 2.5, 4.0
# Least brightness of a shadow relative to the background, and its largest difference in colour, in levels.
SHADOW_LIGHT, SHADOW_COLOR = 0.3, 5.5
# Brightness steps that end a shadow, in levels per pixel.
FAINT_EDGE, SURE_EDGE = 4.0, 26.0
# Gaps in faint outlines, in pixels, through which background and shadow do not leak; later ones if the first leaks.
PLAIN_GAP, SHADOW_GAPS = 3, (11, 27)
# Least fraction of everything but plain background that must remain after removing shadows.
MIN_LEFT = 0.65
# Neighbourhood that decides which side of an outline a pixel belongs to.
AROUND = (9, 9)
# Least area of a part of a product relative to its largest part.
MIN_PART = 0.01
# Largest contrast of a reflection relative to the original, and its largest remaining difference.
FAINTER, MIN_LIKE = 0.75, 0.2
# Reflections with less contrast than this, in levels, are rather pale print.
MIN_REFLECTION = 6.0
# Stated and found width : height agree within the first factor and disagree beyond the second.
FITS, DIFFERS = 1.05, 1.12


@dataclass(frozen=True, eq=False)
class Cutout:
    """Product without background. image: (h, w, 4) uint8 sRGB + alpha, cropped tight; colours of the product continue
    where alpha is 0. box: left, top, right, bottom in the packshot's pixels, exclusive. note: a doubt or "".
    """

    image: NDArray[np.uint8]
    box: tuple[int, int, int, int]
    note: str = ""


def cut_out(image: NDArray[np.uint8], *, aspect: float | None = None, handled: bool = False) -> Cutout:
    """Remove the background of a packshot, (H, W, 3 or 4) uint8 sRGB.

    aspect: the product's stated width : height, which distinguishes tight artwork from a pack on a background. handled:
    it may have a handle beside its body. If no background is found, the whole image is the product.
    """
    height, width = image.shape[:2]
    if image.shape[2] == 4 and int(image[..., 3].min()) < 128:
        return _crop_tight(image[..., :3], image[..., 3], "")
    colors = np.ascontiguousarray(image[..., :3])
    mask, note = _segment_product(colors, handled)
    if mask is None:
        return _keep_whole(colors, note)
    alpha = _upscale_mask(mask, width, height)
    cut = _crop_tight(colors, alpha, note)
    if aspect is not None and misfit(width / height, aspect) < FITS and misfit(_aspect_of(cut), aspect) > DIFFERS:
        return _keep_whole(colors, "")
    return cut


def misfit(found: float, stated: float) -> float:
    """Return the factor between two ratios, at least 1."""
    return max(found / stated, stated / found)


def _aspect_of(cut: Cutout) -> float:
    left, top, right, bottom = cut.box
    return (right - left) / (bottom - top)


def _keep_whole(colors: NDArray[np.uint8], note: str) -> Cutout:
    height, width = colors.shape[:2]
    return Cutout(np.dstack([colors, np.full((height, width), 255, np.uint8)]), (0, 0, width, height), note)


def _crop_tight(colors: NDArray[np.uint8], alpha: NDArray[np.uint8], note: str) -> Cutout:
    """Crop to the box of pixels with alpha of at least one half; without any, keep the whole image."""
    solid = alpha >= 128
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not len(rows):
        return _keep_whole(colors, "nothing is opaque: the whole image is used")
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    inside = cv2.cvtColor(np.ascontiguousarray(colors[top:bottom, left:right]), cv2.COLOR_RGB2RGBA)
    inside[..., 3] = alpha[top:bottom, left:right]
    return Cutout(_bleed_colors(inside), (left, top, right, bottom), note)


def _bleed_colors(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace colours outside the product and at its edge by the nearest ones inside: no fringe of background."""
    solid = (image[..., 3] >= 128).astype(np.uint8)
    inner = cv2.erode(solid, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)
    if solid.all() or not inner.any():
        return image
    _, labels = cv2.distanceTransformWithLabels(1 - inner, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    within, outer = np.flatnonzero(inner), np.flatnonzero(inner == 0)
    pixels, labels = image.view(np.uint32).ravel(), labels.ravel()
    nearest = np.zeros(int(labels.max()) + 1, np.uint32)
    nearest[labels[within]] = pixels[within]
    filled = pixels.copy()
    filled[outer] = nearest[labels[outer]]
    bled: NDArray[np.uint8] = filled.view(np.uint8).reshape(image.shape)
    bled[..., 3] = image[..., 3]
    return bled


def _segment_product(colors: NDArray[np.uint8], handled: bool) -> tuple[Bools | None, str]:
    """Segment the product on a shrunk copy (None without a background or a product); return also a note."""
    small = _shrink(colors)
    if min(small.shape[:2]) < MIN_PX:
        return None, "too small to find a background: the whole image is used"
    light = cv2.cvtColor(cv2.medianBlur(small, 3), cv2.COLOR_RGB2YCrCb).astype(np.float32)
    background, noise, share = _fit_background(light)
    if share < MIN_BACKGROUND_SHARE:
        return None, "no plain background along the border: the whole image is used"
    edge = np.concatenate([background[0], background[-1], background[:, 0], background[:, -1]])
    if edge[:, 0].mean() < MIN_BRIGHT or np.abs(edge[:, 1:].mean(axis=0) - 128).max() > MAX_COLOR:
        return None, "the border's colour is unusual for a background: the whole image is used"
    mask = _remove_background(light, background, noise)
    mask = _fill_side_notches(_remove_reflection(mask, light - background))
    if mask.mean() < 0.004:
        return None, "nothing stands out from the background: the whole image is used"
    return mask & ~find_holes(light, background, noise, mask, handled=handled), ""


def _shrink(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = colors.shape[:2]
    scale = DECIDE_PX / max(height, width)
    if scale >= 1:
        return colors
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(colors, size, interpolation=cv2.INTER_AREA))


def _fit_background(light: Float) -> tuple[Float, NDArray[np.float64], float]:
    """Fit the background (H, W, 3) to the border; return also its noise (2,) and the fraction of the border it fits.

    A quadratic per channel by least absolute deviations: up to half the border may be product. noise: light, colour.
    """
    height, width = light.shape[:2]
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    rows = np.concatenate([np.full(width, 1), np.full(width, height - 2), np.arange(height), np.arange(height)])
    columns = np.concatenate([np.arange(width), np.arange(width), np.full(height, 1), np.full(height, width - 2)])
    rows, columns = rows[::2], columns[::2]
    across, down = x[columns], y[rows]
    terms = np.stack([np.ones_like(across), across, across**2, down, down**2, across * down], axis=1)
    wanted = light[rows, columns].astype(np.float64)
    weights = np.ones(len(terms))
    for _ in range(8):
        weighted = terms * weights[:, None]
        # Regularised: an image of a few pixels does not determine all terms.
        factors = np.linalg.solve(weighted.T @ terms + 1e-9 * np.eye(6), weighted.T @ wanted)
        misses = np.abs(wanted - terms @ factors)
        weights = 1 / np.maximum(misses.max(axis=1), 0.5)
    noise = 1.48 * np.median(np.stack([misses[:, 0], misses[:, 1:].max(axis=1)], axis=1), axis=0)
    near = (misses[:, 0] < max(2 * LIGHT_STEP, 5 * noise[0])) & (misses[:, 1:].max(axis=1) < 2 * COLOR_STEP)
    surface = np.empty(light.shape, np.float32)
    for channel, (one, x1, x2, y1, y2, xy) in enumerate(factors.T):
        along, up = (one + x1 * x + x2 * x**2).astype(np.float32), (y1 * y + y2 * y**2).astype(np.float32)
        surface[..., channel] = along + up[:, None] + np.outer(y, xy * x).astype(np.float32)
    return np.minimum(surface, 255, out=surface), noise, float(near.mean())


def _remove_background(light: Float, background: Float, noise: NDArray[np.float64]) -> Bools:
    """Return the mask of what is not connected to the border by background or soft shadow."""
    darker = background[..., 0] - light[..., 0]
    tint = np.maximum(np.abs(light[..., 1] - background[..., 1]), np.abs(light[..., 2] - background[..., 2]))
    plain = (np.abs(darker) < max(LIGHT_STEP, 4 * noise[0])) & (tint < max(COLOR_STEP, 4 * noise[1]))
    shadow = (darker > 0) & (darker < (1 - SHADOW_LIGHT) * background[..., 0]) & (tint < SHADOW_COLOR)
    shadow &= ~_find_edges(light[..., 0], noise[0])
    outside = _reach_from_border(plain, PLAIN_GAP)
    for gap in SHADOW_GAPS:
        wider = outside | _reach_from_border(plain | shadow, gap)
        # A shadow is smaller than its product: if more is removed, it leaked into a white product.
        if (wider == 0).sum() > MIN_LEFT * (outside == 0).sum():
            outside = wider
            break
    return _refine_mask(light, _keep_large_parts((outside == 0).astype(np.uint8)))


def _reach_from_border(passable: Bools, gap: int) -> NDArray[np.uint8]:
    """Return what is connected to the border through gaps of at least `gap` pixels (faint outlines: smaller ones)."""
    window = np.ones((gap, gap), np.uint8)
    open_background = cv2.erode(passable.astype(np.uint8), window, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.dilate(_connected_to_border(open_background), window) & passable, np.uint8)


def _refine_mask(light: Float, mask: Bools) -> Bools:
    """Refine the mask: each pixel near its outline joins the side with the more similar local colours."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)
    outer = cv2.erode(1 - mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    within, beyond = (cv2.boxFilter(part.astype(np.float32), -1, AROUND, normalize=False) for part in (inner, outer))
    unsure = np.nonzero((inner == 0) & (outer == 0) & (within > 0.5) & (beyond > 0.5))
    refined = mask.copy()
    off = []
    for part, count in ((inner, within), (outer, beyond)):
        total = cv2.boxFilter(cv2.copyTo(light, part), -1, AROUND, normalize=False)
        off.append(np.abs(light[unsure] - total[unsure] / count[unsure][:, None]).sum(axis=1))
    refined[unsure] = off[0] < off[1]
    return refined


def _find_edges(light: NDArray[np.float32], noise: float) -> Bools:
    """Find where brightness steps rather than slopes: the range over three pixels is most of that over seven."""
    narrow = _range_over(light, 3)
    wide = _range_over(light, 7)
    return (narrow > SURE_EDGE) | ((narrow > max(FAINT_EDGE, 5 * noise)) & (narrow > 0.6 * wide))


def _range_over(light: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    window = np.ones((pixels, pixels), np.uint8)
    return np.asarray(cv2.dilate(light, window) - cv2.erode(light, window), np.float32)


def _connected_to_border(passable: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, labels = cv2.connectedComponents(passable, connectivity=4)
    known = np.zeros(count, np.uint8)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        known[side] = 1
    known[0] = 0
    return known[labels]


def _keep_large_parts(mask: NDArray[np.uint8]) -> Bools:
    """Remove specks and what is thinner than three pixels from the mask: dust, and lines of frames."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, figures, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = figures[1:, cv2.CC_STAT_AREA]
    if count == 1:
        return np.zeros(mask.shape, bool)
    kept = np.concatenate([[False], areas >= MIN_PART * areas.max()])
    return kept[labels]


def _remove_reflection(mask: Bools, contrast: Float) -> Bools:
    """Remove the reflection of a glossy table below the product.

    There the contrast of all columns drops at once, and fades while they repeat the rows above.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) < 32:
        return mask
    top, tall = int(rows[0]), int(rows[-1]) + 1 - int(rows[0])
    inside = np.where(mask[top : top + tall, :, None], contrast[top : top + tall], 0)
    strips = cv2.resize(inside, (24, tall), interpolation=cv2.INTER_AREA)
    strength = np.abs(strips).mean(axis=(1, 2))
    start = np.arange(int(tall * 0.65), int(tall * 0.95))
    start = start[strength[start + 1] < FAINTER * strength[start - 2]]
    for line in start[np.argsort(strength[start + 1] - strength[start - 2])][:6]:
        count = tall - line
        if _is_reflection(strips[line - count : line][::-1], strips[line:]):
            standing = mask.copy()
            standing[top + line :] = False
            return standing
    return mask


def _is_reflection(above: Float, below: Float) -> bool:
    """Return whether rows equal others up to a contrast factor that falls from row to row.

    A pack continues with other print, or with its full contrast.
    """
    power = np.maximum((above**2).sum(axis=(1, 2)), 1e-6)
    shares = (above * below).sum(axis=(1, 2)) / power
    missed = ((below - shares[:, None, None] * above) ** 2).sum(axis=(1, 2))
    third = max(len(shares) // 3, 1)
    first, middle, last = (float(shares[at : at + third].mean()) for at in (1, third, len(shares) - third))
    if float(np.abs(below[:third]).mean()) < MIN_REFLECTION * float((np.abs(above).max(axis=2) > 0).mean()):
        return False
    alike = float(missed.sum()) < MIN_LIKE * float((below**2).sum())
    return alike and first > middle > last >= 0 and first < FAINTER and last < 0.6 * first


def _fill_side_notches(mask: Bools) -> Bools:
    """Fill notches at the sides caused by print in the background's colour.

    These are steps inwards that are reversed further down at about the same column, unlike waists and necks of bottles.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) < 8:
        return mask
    filled = mask.copy()
    for _ in range(2):  # the left side, then the right one
        part = filled[rows[0] : rows[-1] + 1]
        empty = ~part.any(axis=1)
        first = np.where(empty, part.shape[1], part.argmax(axis=1)).astype(int)
        _fill_notches(part, first)
        filled = filled[:, ::-1]
    return _connected_to_border((~filled).astype(np.uint8)) == 0


def _fill_notches(part: Bools, first: NDArray[np.int_]) -> None:
    """Fill notches of the left outline `first` (rows,) in place."""
    width = max(int(np.ptp(np.flatnonzero(part.any(axis=0)))), 1)
    step, near, longest = max(width * 0.06, 4), max(width * 0.05, 3), len(first) * 0.4
    jumps = first[2:] - first[:-2]
    at = 0
    for opened in np.flatnonzero(jumps > step):
        if opened < at:
            continue
        closed = np.flatnonzero((jumps[opened:] < -step) & (np.abs(first[2:][opened:] - first[opened]) < near))
        closed = closed[closed < longest]
        if len(closed):
            end = int(opened + closed[-1]) + 2
            for row, x in enumerate(np.linspace(first[opened], first[end], end - opened + 1).round().astype(int)):
                last = np.flatnonzero(part[opened + row])
                part[opened + row, x : last[-1] + 1 if len(last) else x + 1] = True
            at = end


def _upscale_mask(mask: Bools, width: int, height: int) -> NDArray[np.uint8]:
    """Upscale the mask to the alpha of the full image, with a soft outline one pixel wide."""
    if mask.shape == (height, width):
        return np.where(mask, 255, 0).astype(np.uint8)
    smooth = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    sharpness = max(height, width) / max(mask.shape)
    return np.asarray(np.clip((smooth - 0.5) * sharpness * 255 + 128, 0, 255), np.uint8)
