"""Result of rendering: the image and the exact geometry behind it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import frozen_array


@dataclass(frozen=True, eq=False)
class MaskCrop:
    """A mask cropped to its own box. x, y: image coordinates of its first column and row (negative beyond the border).

    mask: (h, w) bool, tight: its first and last row and column each contain a pixel; 0 x 0 if there is no pixel at all.
    """

    x: int
    y: int
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen_array(self.mask, np.bool_, (None, None), "mask"))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Tight xyxy box, pixels, far edge exclusive."""
        rows, columns = self.mask.shape
        return float(self.x), float(self.y), float(self.x + columns), float(self.y + rows)

    def whole(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return the mask in the full image, (height, width) bool; pixels beyond the borders are left out."""
        full = np.zeros((height, width), bool)
        rows, columns = self.mask.shape
        top, left = max(self.y, 0), max(self.x, 0)
        bottom, right = min(self.y + rows, height), min(self.x + columns, width)
        if top < bottom and left < right:
            full[top:bottom, left:right] = self.mask[top - self.y : bottom - self.y, left - self.x : right - self.x]
        return full


NO_PIXELS = MaskCrop(0, 0, np.zeros((0, 0), bool))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Geometry traced at pixel centres. H, W: the camera's height and width.

    ids: (H, W) int32, 0 = background, k = placements[k - 1]. depth: (H, W) float32, metres along the optical axis, inf
    where nothing is hit. faces: (H, W) int32, the visible face of the placement's mesh, -1 where nothing is hit.
    amodal: one per placement, in order: every pixel that it would cover if nothing stood in front of it, on an image
    plane without borders (empty masks for props).
    """

    ids: NDArray[np.int32]
    depth: NDArray[np.float32]
    faces: NDArray[np.int32]
    amodal: tuple[MaskCrop, ...]

    def __post_init__(self) -> None:
        shape = np.shape(self.ids)
        object.__setattr__(self, "ids", frozen_array(self.ids, np.int32, (None, None), "ids"))
        object.__setattr__(self, "depth", frozen_array(self.depth, np.float32, shape, "depth"))
        object.__setattr__(self, "faces", frozen_array(self.faces, np.int32, shape, "faces"))


@dataclass(frozen=True, eq=False)
class Annotation:
    """Annotation of one visible product of an image. Boxes are float xyxy, pixels, far edge exclusive.

    instance: id in Geometry.ids. width, height: of the image. visible: the visible pixels. amodal: all pixels inside
    the image, hidden ones included. visibility: visible share of the amodal pixels inside the image. truncation: share
    of the amodal pixels outside the image. ignore: true if visibility * (1 - truncation), the visible share of the
    whole product, is under 10 %. camera_from_object: (4, 4), metres.
    """

    instance: int
    sku: str
    width: int
    height: int
    visible: MaskCrop
    amodal: MaskCrop
    amodal_box: tuple[float, float, float, float]
    area: int
    visibility: float
    truncation: float
    camera_from_object: NDArray[np.float64]
    ignore: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Tight box of the visible pixels."""
        return self.visible.box

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Visible pixels in the full image, (height, width) bool."""
        return self.visible.whole(self.height, self.width)

    @property
    def amodal_mask(self) -> NDArray[np.bool_]:
        """Amodal pixels in the full image, (height, width) bool."""
        return self.amodal.whole(self.height, self.width)


@dataclass(frozen=True, eq=False)
class Frame:
    """A rendered image with its labels. rgb: (H, W, 3) uint8, sRGB."""

    rgb: NDArray[np.uint8]
    geometry: Geometry
    annotations: tuple[Annotation, ...]

    def _repr_png_(self) -> bytes:
        """Return what Jupyter shows: the image as a PNG file."""
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(self.rgb).save(file, "PNG")
        return file.getvalue()
