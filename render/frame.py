"""What rendering gives back: the picture and the exact geometry behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import frozen_array


@dataclass(frozen=True, eq=False)
class MaskCrop:
    """A mask cut to its own box. x, y: the image coordinates of its first column and row (negative beyond the border).

    mask: (h, w) bool, tight: its first and last row and column each hold a pixel; 0 x 0 where there is no pixel at all.
    """

    x: int
    y: int
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen_array(self.mask, np.bool_, (None, None), "mask"))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The tight xyxy box, pixels, far edge exclusive."""
        rows, columns = self.mask.shape
        return float(self.x), float(self.y), float(self.x + columns), float(self.y + rows)

    def whole(self, height: int, width: int) -> NDArray[np.bool_]:
        """The mask on a picture, (height, width) bool; what lies beyond the borders is left out."""
        picture = np.zeros((height, width), bool)
        rows, columns = self.mask.shape
        top, left = max(self.y, 0), max(self.x, 0)
        bottom, right = min(self.y + rows, height), min(self.x + columns, width)
        if top < bottom and left < right:
            picture[top:bottom, left:right] = self.mask[top - self.y : bottom - self.y, left - self.x : right - self.x]
        return picture


NO_PIXELS = MaskCrop(0, 0, np.zeros((0, 0), bool))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Traced at pixel centres. H, W: the camera's height, width.

    ids: (H, W) int32, 0 = background, k = placements[k - 1]. depth: (H, W) float32, metres along the optical axis, inf
    where nothing is hit. faces: (H, W) int32, the face of the placement's mesh that is seen, -1 where nothing is hit.
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
    """One visible product of a picture, as COCO wants it. Boxes are float xyxy, pixels, far edge exclusive.

    instance: id in Geometry.ids. width, height: of the picture. visible: its visible pixels. amodal: its pixels inside
    the picture, hidden ones as well. visibility: visible share of the amodal pixels inside the picture. truncation:
    share of the amodal pixels outside the picture. ignore: visibility * (1 - truncation), the share of the whole
    product that is seen, is under 10 %. camera_from_object: (4, 4), metres.
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
        """The tight box of the visible pixels."""
        return self.visible.box

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The visible pixels on the whole picture, (height, width) bool."""
        return self.visible.whole(self.height, self.width)

    @property
    def amodal_mask(self) -> NDArray[np.bool_]:
        """The amodal pixels on the whole picture, (height, width) bool."""
        return self.amodal.whole(self.height, self.width)


@dataclass(frozen=True, eq=False)
class Frame:
    """A finished picture with its labels. rgb: (H, W, 3) uint8, sRGB; jpeg_quality says how it is to be stored."""

    rgb: NDArray[np.uint8]
    geometry: Geometry
    annotations: tuple[Annotation, ...]
