"""Images of a package: packshots of its sides with the background removed, its label, its outline."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from assets.catalog.sku_lists import Root
from assets.catalog.types import IMAGES, Sku
from assets.files.image_input import broken_image, open_image
from assets.packages.packshots.angle import angle_doubt, gs1_doubt, smooth_mask
from assets.packages.packshots.cutout import Cutout, cut_out
from assets.packages.packshots.holes import count_holes, enclosed_parts
from assets.packages.packshots.silhouette import Profile, profile_of
from assets.plurals import count_of

# Sides seen by a standing viewer.
UPRIGHT = ("front", "back", "left", "right")
SIDES = ("front", "back", "left", "right", "top", "bottom")
# Longer side at which a packshot is read: without its background it gives a package side of 640 pixels and more.
READ_PX = 1024
# Largest width of a label, which goes all the way around.
STRIP_PX = 2048
# Colour of holes, sRGB.
HOLE = (42, 41, 40)
# Kinds that may have a handle beside the body.
HANDLED = ("bottle",)
# Kinds with flat rectangular faces; range of the distance of corners from the image's, relative to its sides, if askew.
FLAT_FACED, ASKEW = ("carton", "blister"), (0.025, 0.35)


@dataclass(frozen=True, eq=False)
class PackageArt:
    """All images of a package.

    sides: side name ("front", "back", "left", "right", "top", "bottom") -> (H, W, 4) uint8 sRGB + alpha, background
    removed, cropped tight. strip: (H, W, 3) uint8, the unrolled label, or None. profile: from the front's (else the
    back's) silhouette, or None. side_profile: from the left or right packshot, or None. notes: doubts, for the user.
    """

    sides: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    strip: NDArray[np.uint8] | None = None
    profile: Profile | None = None
    side_profile: Profile | None = None
    notes: tuple[str, ...] = ()


def read_art(sku: Sku, root: Root) -> PackageArt:
    """Read all images that a SKU's row names. root: the folder of the list.

    Raises SynthError with SKU, column and file if one cannot be read.
    """
    notes: list[str] = []
    sides = {}
    for side, column in zip(SIDES, IMAGES, strict=False):
        if not getattr(sku, column):
            continue
        handled = sku.package in HANDLED and side in UPRIGHT
        cut = cut_out(_read_pixels(sku, column, root, READ_PX), aspect=_aspect(sku, side), handled=handled)
        image = _fill_holes(cut.image)
        sides[side] = _rectify(image) if sku.package in FLAT_FACED else image
        notes += [f"{column}: {cut.note}"] if cut.note else _check_packshot(sku, side, cut, sides[side] is not image)
    strip = _read_pixels(sku, "label_strip", root, STRIP_PX)[..., :3] if sku.label_strip else None
    profile = _profile(sides, ("front", "back"))
    return PackageArt(sides, strip, profile, _profile(sides, ("left", "right")), tuple(notes))


def _check_packshot(sku: Sku, side: str, cut: Cutout, straightened: bool) -> list[str]:
    """Return notes on a packshot without its background: its name, its angle, its holes."""
    column = IMAGES[SIDES.index(side)]
    alpha = cut.image[..., 3]
    name = gs1_doubt(getattr(sku, column), side)
    angle = angle_doubt(smooth_mask(alpha), sku.package) if side in UPRIGHT and "angle" not in name else ""
    holes = count_holes(alpha)
    notes = [f"{column} {name}"] if name else []
    notes += [f"{column} {angle}{', it was rectified' if straightened else ''}"] if angle else []
    return notes + (
        [f"{column} shows {count_of(holes, 'hole')}: rendered dark, the model is closed there"] if holes else []
    )


def _fill_holes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the holes of a product (H, W, 4) with the dark colour seen through them in a shop."""
    holes = enclosed_parts(image[..., 3] < 128)
    if not holes.any():
        return image
    # Including a soft rim, half a pixel wide: the edge of the hole is blended with the background.
    rim = cv2.dilate(holes.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    filled = image.copy()
    filled[rim] = (*HOLE, 255)
    return filled


def _profile(sides: dict[str, NDArray[np.uint8]], wanted: tuple[str, str]) -> Profile | None:
    """Return the profile of the first available side; the second shows the opposite side, so it is mirrored."""
    for side in wanted:
        if side in sides:
            mask = sides[side][..., 3] >= 128
            return profile_of(mask if side == wanted[0] else mask[:, ::-1])
    return None


def _aspect(sku: Sku, side: str) -> float | None:
    """Return the stated width : height of a side."""
    if sku.width_m is None or sku.height_m is None or sku.depth_m is None:
        return None
    across = sku.depth_m if side in ("left", "right") else sku.width_m
    return across / (sku.depth_m if side in ("top", "bottom") else sku.height_m)


def _rectify(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rectify a face photographed askew, if its outline is a clear quadrilateral; else return the image unchanged.

    A pack with a second visible face has six corners: it is not changed.
    """
    mask = (image[..., 3] >= 128).astype(np.uint8)
    height, width = mask.shape
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(max(outlines, key=len))
    corners = cv2.approxPolyDP(hull, 0.02 * cv2.arcLength(hull, True), True)[:, 0].astype(np.float32)
    if len(corners) != 4 or not 0.97 < mask.sum() / max(cv2.contourArea(corners), 1.0) < 1.03:
        return image
    box = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], np.float32)
    order = [int(np.linalg.norm(corners - corner, axis=1).argmin()) for corner in box]
    off = np.abs(corners[order] - box).max(axis=0) / [width, height]
    if len(set(order)) < 4 or not ASKEW[0] < off.max() < ASKEW[1]:
        return image
    a, b, c, d = corners[order]
    across = round(float(np.linalg.norm(b - a) + np.linalg.norm(c - d)) / 2) + 1
    down = round(float(np.linalg.norm(d - a) + np.linalg.norm(c - b)) / 2) + 1
    target = np.array([(0, 0), (across - 1, 0), (across - 1, down - 1), (0, down - 1)], np.float32)
    turn = cv2.getPerspectiveTransform(corners[order], target)
    flat = cv2.warpPerspective(image, turn, (across, down), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    flat[..., 3] = 255
    return np.asarray(flat, np.uint8)


def _read_pixels(sku: Sku, column: str, root: Root, max_px: int) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3 or 4) uint8, its longer side at most `max_px`; JPEGs are shrunk while decoding."""
    name = getattr(sku, column)
    where, what = f"{root / name}, of SKU {sku.sku!r}", f"the {column}"
    with open_image(root / name, where, what) as image:
        try:
            image.draft("RGB", (max_px, max_px))
            image.thumbnail((max_px, max_px), Image.Resampling.BOX)
            turned = ImageOps.exif_transpose(image)
            transparent = "A" in turned.getbands() or "transparency" in turned.info
            return np.asarray(turned.convert("RGBA" if transparent else "RGB"))
        except MemoryError:
            raise
        except Exception as error:  # decoders raise many types
            raise broken_image(what, where, error) from error
