"""Pictures of the sides of a package: its packshots, and drawn ones in their colours where there are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.artwork import draw_panel
from assets.lettering import Rgb
from assets.packages.plan import PackagePlan

# Colours are counted on so many pixels a side, in steps of so many of 256.
THUMB_PX, STEP = 48, 24


def panel_picture(plan: PackagePlan, side: str, size: tuple[int, int]) -> Image.Image:
    """The picture of a side in `size` pixels: its packshot, else a drawn one on the ground of the other packshots."""
    if side in plan.art.sides:
        return shot_picture(plan.art.sides[side], size)
    return draw_panel(side, plan.sku, size, ground_color(plan))


def ground_color(plan: PackagePlan) -> Rgb:
    """What the sides without a picture are painted on: the ground of the front's border, or the first colour."""
    shot = plan.art.sides.get("front", plan.art.sides.get("back"))
    if shot is not None:
        return border_color(shot)
    return border_color(_with_alpha(plan.art.strip)) if plan.art.strip is not None else plan.colors[0]


def shot_picture(shot: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """A packshot (H, W, 4) scaled to `size`, what was background filled with the colour of its border."""
    image = Image.fromarray(shot)
    image = image.resize(size, Image.Resampling.BOX if image.width >= 2 * size[0] else Image.Resampling.BILINEAR)
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    flat = Image.new("RGB", size, border_color(shot))
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def border_color(shot: NDArray[np.uint8]) -> Rgb:
    """The most frequent colour of a packshot's left and right border, coarsely counted: (H, W, 4) -> sRGB."""
    step = max(len(shot) // 256, 1)
    edge = np.concatenate([shot[::step, :3].reshape(-1, 4), shot[::step, -3:].reshape(-1, 4)])
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
    coarse = pixels.astype(np.int64) // step
    cells, counts = np.unique(coarse @ [65536, 256, 1], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:40]
    middles = np.stack([cells >> 16, cells >> 8 & 255, cells & 255], axis=1)[order] * step + step // 2
    return [(int(red), int(green), int(blue)) for red, green, blue in np.minimum(middles, 255)]


def _with_alpha(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([strip, np.full(strip.shape[:2], 255, np.uint8)])
