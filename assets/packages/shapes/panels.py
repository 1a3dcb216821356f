"""Images of the sides of a package: packshots, or rendered artwork in their colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.packages.print.artwork import render_panel
from assets.packages.print.lettering import Rgb
from assets.packages.shapes.plan import PackagePlan

# Pixels a side of the thumbnail on which colours are counted, and size of a colour bin (of 256).
THUMB_PX, STEP = 48, 24


def panel_image(plan: PackagePlan, side: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the image of a side in `size` pixels, (height, width, 3): its packshot, else artwork."""
    if side in plan.art.sides:
        return scale_packshot(plan.art.sides[side], size)
    return np.asarray(render_panel(side, plan.sku, size, background_color(plan)))


def background_color(plan: PackagePlan) -> Rgb:
    """Return the background colour of sides without an image: that of the front's border, or the first colour."""
    shot = plan.art.sides.get("front", plan.art.sides.get("back"))
    if shot is not None:
        return border_color(shot)
    return border_color(_add_alpha(plan.art.strip)) if plan.art.strip is not None else plan.colors[0]


def scale_packshot(shot: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a packshot (H, W, 4) to `size` pixels, (height, width, 3); transparent pixels get its border's colour."""
    import cv2

    image = cv2.cvtColor(shot, cv2.COLOR_RGBA2RGB)
    behind = shot[..., 3] < 128
    if behind.any():
        image[behind] = border_color(shot)
    shrinks = image.shape[1] > size[0] or image.shape[0] > size[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: NDArray[np.uint8] = cv2.resize(image, size, interpolation=interpolation)
    return scaled


def opaque_texture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) as an opaque read-only texture (H, W, 4)."""
    import cv2

    texture: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    texture.flags.writeable = False
    return texture


def border_color(shot: NDArray[np.uint8]) -> Rgb:
    """Return the most frequent colour (sRGB, coarse bins) of the left and right border of a packshot (H, W, 4)."""
    step, aside = max(len(shot) // 256, 1), max(shot.shape[1] // 40, 1)
    # Not the outermost pixels, which are blended with the background.
    border = shot[::step, aside : aside + 3], shot[::step, -aside - 3 : -aside]
    edge = np.concatenate([columns.reshape(-1, 4) for columns in border])
    solid = edge[edge[:, 3] >= 128]
    if not len(solid):
        return image_colors(shot)[0]
    return _rank_colors(solid[:, :3], 32)[0]


def image_colors(shot: NDArray[np.uint8]) -> tuple[Rgb, Rgb, Rgb]:
    """Return the background and the two most frequent colours that differ from it and from each other, sRGB."""
    rows, columns = (max(side // THUMB_PX, 1) for side in shot.shape[:2])
    thumb = shot[::rows, ::columns].reshape(-1, 4)
    solid = thumb[thumb[:, 3] >= 128]
    ranked = _rank_colors(solid[:, :3] if len(solid) else thumb[:, :3], STEP)
    found = [ranked[0]]
    for color in ranked[1:]:
        if len(found) < 3 and min(np.abs(np.subtract(color, other)).sum() for other in found) > 120:
            found.append(color)
    spare: tuple[Rgb, ...] = ((255, 255, 255), (30, 30, 34), (128, 128, 128))
    found += [color for color in spare if color not in found]
    return found[0], found[1], found[2]


def _rank_colors(pixels: NDArray[np.uint8], step: int) -> list[Rgb]:
    """Return the mean colours of bins `step` wide, the fullest first, of pixels (N, 3) uint8."""
    coarse = pixels.astype(np.int64) // step
    _, cells, counts = np.unique(coarse @ [65536, 256, 1], return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:40]
    sums = np.stack([np.bincount(cells, pixels[:, channel]) for channel in range(3)], axis=1)
    means = np.round(sums[order] / counts[order, None]).astype(int)
    return [(int(red), int(green), int(blue)) for red, green, blue in means]


def _add_alpha(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([strip, np.full(strip.shape[:2], 255, np.uint8)])
