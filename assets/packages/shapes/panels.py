"""Pictures of the sides of a package: its packshots, and drawn ones in their colours where there are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.packages.print.artwork import render_panel
from assets.packages.print.lettering import Rgb
from assets.packages.shapes.plan import PackagePlan

# Colours are counted on so many pixels a side, in steps of so many of 256.
THUMB_PX, STEP = 48, 24


def panel_picture(plan: PackagePlan, side: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture of a side in `size` pixels, (height, width, 3): its packshot, else drawn on the ground of others."""
    if side in plan.art.sides:
        return shot_picture(plan.art.sides[side], size)
    return np.asarray(render_panel(side, plan.sku, size, ground_color(plan)))


def ground_color(plan: PackagePlan) -> Rgb:
    """What the sides without a picture are painted on: the ground of the front's border, or the first colour."""
    shot = plan.art.sides.get("front", plan.art.sides.get("back"))
    if shot is not None:
        return border_color(shot)
    return border_color(_with_alpha(plan.art.strip)) if plan.art.strip is not None else plan.colors[0]


def shot_picture(shot: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A packshot (H, W, 4) scaled to `size` pixels, (height, width, 3); what was background has its border's colour."""
    import cv2

    picture = cv2.cvtColor(shot, cv2.COLOR_RGBA2RGB)
    behind = shot[..., 3] < 128
    if behind.any():
        picture[behind] = border_color(shot)
    shrinks = picture.shape[1] > size[0] or picture.shape[0] > size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: NDArray[np.uint8] = cv2.resize(picture, size, interpolation=how)
    return scaled


def opaque(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as a texture (H, W, 4), read-only."""
    import cv2

    texture: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
    texture.flags.writeable = False
    return texture


def border_color(shot: NDArray[np.uint8]) -> Rgb:
    """The most frequent colour of a packshot's left and right border, coarsely counted: (H, W, 4) -> sRGB."""
    step, aside = max(len(shot) // 256, 1), max(shot.shape[1] // 40, 1)
    # Not the outermost pixels, which are mixed with what was behind.
    border = shot[::step, aside : aside + 3], shot[::step, -aside - 3 : -aside]
    edge = np.concatenate([columns.reshape(-1, 4) for columns in border])
    solid = edge[edge[:, 3] >= 128]
    if not len(solid):
        return picture_colors(shot)[0]
    return _most_frequent(solid[:, :3], 32)[0]


def picture_colors(shot: NDArray[np.uint8]) -> tuple[Rgb, Rgb, Rgb]:
    """Ground and the two most frequent colours that stand out from it and from each other, sRGB."""
    rows, columns = (max(side // THUMB_PX, 1) for side in shot.shape[:2])
    thumb = shot[::rows, ::columns].reshape(-1, 4)
    solid = thumb[thumb[:, 3] >= 128]
    ranked = _most_frequent(solid[:, :3] if len(solid) else thumb[:, :3], STEP)
    found = [ranked[0]]
    for color in ranked[1:]:
        if len(found) < 3 and min(np.abs(np.subtract(color, other)).sum() for other in found) > 120:
            found.append(color)
    spare: tuple[Rgb, ...] = ((255, 255, 255), (30, 30, 34), (128, 128, 128))
    found += [color for color in spare if color not in found]
    return found[0], found[1], found[2]


def _most_frequent(pixels: NDArray[np.uint8], step: int) -> list[Rgb]:
    """The means of cells of colours, `step` wide, from the fullest cell on: (N, 3) uint8."""
    coarse = pixels.astype(np.int64) // step
    _, cells, counts = np.unique(coarse @ [65536, 256, 1], return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:40]
    sums = np.stack([np.bincount(cells, pixels[:, channel]) for channel in range(3)], axis=1)
    means = np.round(sums[order] / counts[order, None]).astype(int)
    return [(int(red), int(green), int(blue)) for red, green, blue in means]


def _with_alpha(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([strip, np.full(strip.shape[:2], 255, np.uint8)])
