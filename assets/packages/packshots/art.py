"""The pictures there are of a package: packshots of its sides cut from their grounds, its label, its outline."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from assets.catalog.sku_lists import Root
from assets.catalog.types import PICTURES, Sku
from assets.files.image_input import broken_picture, open_picture
from assets.packages.packshots.angle import angle_doubt, gs1_doubt, smooth_mask
from assets.packages.packshots.cutout import Cutout, cut_out
from assets.packages.packshots.holes import count_holes, enclosed
from assets.packages.packshots.silhouette import Profile, profile_of
from assets.plurals import count_of

# Seen by somebody who stands before the product.
UPRIGHT = ("front", "back", "left", "right")
SIDES = ("front", "back", "left", "right", "top", "bottom")
# Longer side that a packshot is read at: cut from its ground it gives a side of a package 640 pixels and more.
READ_PX = 1024
# A label is so many pixels wide at most: it goes all the way around.
STRIP_PX = 2048
# What is seen through a hole, sRGB.
HOLE = (42, 41, 40)
# Kinds that may have a handle beside their body.
HANDLED = ("bottle",)
# Kinds whose faces are flat rectangles; how far their corners are from the picture's, in its sides, where askew.
FLAT_FACED, ASKEW = ("carton", "blister"), (0.025, 0.35)


@dataclass(frozen=True, eq=False)
class PackageArt:
    """All pictures there are of a package.

    sides: side name ("front", "back", "left", "right", "top", "bottom") -> (H, W, 4) uint8 sRGB + alpha, background
    removed, cut tight. strip: (H, W, 3) uint8, the unrolled label, or None. profile: from the front's (else the back's)
    silhouette, or None. side_profile: from the left or right packshot, or None. notes: what is doubtful, for people.
    """

    sides: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    strip: NDArray[np.uint8] | None = None
    profile: Profile | None = None
    side_profile: Profile | None = None
    notes: tuple[str, ...] = ()


def read_art(sku: Sku, root: Root) -> PackageArt:
    """All pictures that a SKU's row names. root: the folder of the list.

    Raises SynthError naming SKU, column and file where one cannot be read.
    """
    notes: list[str] = []
    sides = {}
    for side, column in zip(SIDES, PICTURES, strict=False):
        if not getattr(sku, column):
            continue
        handled = sku.package in HANDLED and side in UPRIGHT
        cut = cut_out(_pixels(sku, column, root, READ_PX), aspect=_aspect(sku, side), handled=handled)
        picture = _with_dark_holes(cut.picture)
        sides[side] = _rectified(picture) if sku.package in FLAT_FACED else picture
        notes += [f"{column}: {cut.note}"] if cut.note else _doubts_of_shot(sku, side, cut, sides[side] is not picture)
    strip = _pixels(sku, "label_strip", root, STRIP_PX)[..., :3] if sku.label_strip else None
    profile = _profile(sides, ("front", "back"))
    return PackageArt(sides, strip, profile, _profile(sides, ("left", "right")), tuple(notes))


def _doubts_of_shot(sku: Sku, side: str, cut: Cutout, straightened: bool) -> list[str]:
    """Notes on a packshot that was cut from its ground: its name, the angle it was taken at, its holes."""
    column = PICTURES[SIDES.index(side)]
    alpha = cut.picture[..., 3]
    name = gs1_doubt(getattr(sku, column), side)
    angle = angle_doubt(smooth_mask(alpha), sku.package) if side in UPRIGHT and "angle" not in name else ""
    holes = count_holes(alpha)
    notes = [f"{column} {name}"] if name else []
    notes += [f"{column} {angle}{', it was set straight' if straightened else ''}"] if angle else []
    return notes + (
        [f"{column} shows {count_of(holes, 'hole')}: drawn dark, the model is closed there"] if holes else []
    )


def _with_dark_holes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A product (H, W, 4) whose holes are closed, dark as what is seen through them in a shop."""
    holes = enclosed(picture[..., 3] < 128)
    if not holes.any():
        return picture
    # With a soft rim, half a pixel wide: the edge of the hole is mixed with the ground.
    rim = cv2.dilate(holes.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    filled = picture.copy()
    filled[rim] = (*HOLE, 255)
    return filled


def _profile(sides: dict[str, NDArray[np.uint8]], wanted: tuple[str, str]) -> Profile | None:
    """Of the first side that there is; the second is the same product seen from the other side: mirrored."""
    for side in wanted:
        if side in sides:
            mask = sides[side][..., 3] >= 128
            return profile_of(mask if side == wanted[0] else mask[:, ::-1])
    return None


def _aspect(sku: Sku, side: str) -> float | None:
    """Stated width : height of what a side shows."""
    if sku.width_m is None or sku.height_m is None or sku.depth_m is None:
        return None
    across = sku.depth_m if side in ("left", "right") else sku.width_m
    return across / (sku.depth_m if side in ("top", "bottom") else sku.height_m)


def _rectified(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face that was photographed askew, its outline a clear quadrilateral, as a rectangle; else the picture as it is.

    A pack that shows a second face has six corners: it is left alone.
    """
    mask = (picture[..., 3] >= 128).astype(np.uint8)
    height, width = mask.shape
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(max(outlines, key=len))
    corners = cv2.approxPolyDP(hull, 0.02 * cv2.arcLength(hull, True), True)[:, 0].astype(np.float32)
    if len(corners) != 4 or not 0.97 < mask.sum() / max(cv2.contourArea(corners), 1.0) < 1.03:
        return picture
    box = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], np.float32)
    order = [int(np.linalg.norm(corners - corner, axis=1).argmin()) for corner in box]
    off = np.abs(corners[order] - box).max(axis=0) / [width, height]
    if len(set(order)) < 4 or not ASKEW[0] < off.max() < ASKEW[1]:
        return picture
    a, b, c, d = corners[order]
    across = round(float(np.linalg.norm(b - a) + np.linalg.norm(c - d)) / 2) + 1
    down = round(float(np.linalg.norm(d - a) + np.linalg.norm(c - b)) / 2) + 1
    target = np.array([(0, 0), (across - 1, 0), (across - 1, down - 1), (0, down - 1)], np.float32)
    turn = cv2.getPerspectiveTransform(corners[order], target)
    flat = cv2.warpPerspective(picture, turn, (across, down), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    flat[..., 3] = 255
    return np.asarray(flat, np.uint8)


def _pixels(sku: Sku, column: str, root: Root, most_px: int) -> NDArray[np.uint8]:
    """A picture as (H, W, 3 or 4) uint8, its longer side at most `most_px`: large JPEGs are shrunk in decoding."""
    name = getattr(sku, column)
    where, what = f"{root / name}, of SKU {sku.sku!r}", f"the {column}"
    with open_picture(root / name, where, what) as image:
        try:
            image.draft("RGB", (most_px, most_px))
            image.thumbnail((most_px, most_px), Image.Resampling.BOX)
            turned = ImageOps.exif_transpose(image)
            transparent = "A" in turned.getbands() or "transparency" in turned.info
            return np.asarray(turned.convert("RGBA" if transparent else "RGB"))
        except MemoryError:
            raise
        except Exception as error:  # decoders raise many kinds
            raise broken_picture(what, where, error) from error
