"""What rendering gives back: the picture and the exact geometry behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh import frozen_array


@dataclass(frozen=True, eq=False)
class AmodalMask:
    """Every pixel that one placement would cover if nothing stood in front of it, on an image plane without borders.

    x, y: the image coordinates of the mask's first column and row (may be negative). mask: (h, w) bool, tight: its
    first and last row and column each hold a pixel; 0 x 0 where the placement covers no pixel at all.
    """

    x: int
    y: int
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen_array(self.mask, np.bool_, (None, None), "mask"))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Traced at pixel centres. H, W: the camera's height, width.

    ids: (H, W) int32, 0 = background, k = placements[k - 1]. depth: (H, W) float32, metres along the optical axis, inf
    where nothing is hit. normals: (H, W, 3) float32, unit, camera frame, facing the camera; 0 where nothing is hit.
    amodal: one per placement, in order (empty masks for props).
    """

    ids: NDArray[np.int32]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    amodal: tuple[AmodalMask, ...]

    def __post_init__(self) -> None:
        shape = np.shape(self.ids)
        object.__setattr__(self, "ids", frozen_array(self.ids, np.int32, (None, None), "ids"))
        object.__setattr__(self, "depth", frozen_array(self.depth, np.float32, shape, "depth"))
        object.__setattr__(self, "normals", frozen_array(self.normals, np.float32, (*shape, 3), "normals"))


@dataclass(frozen=True, eq=False)
class Annotation:
    """One visible product of a picture, as COCO wants it. Boxes are float xyxy, pixels, far edge exclusive.

    instance: id in Geometry.ids. mask: (H, W) bool, visible pixels. visibility: visible share of the amodal pixels
    inside the image. truncation: share of the amodal pixels outside the image. ignore: visibility * (1 - truncation),
    the share of the whole product that is seen, is under 10 %. camera_from_object: (4, 4), metres.
    """

    instance: int
    sku: str
    mask: NDArray[np.bool_]
    box: tuple[float, float, float, float]
    amodal_box: tuple[float, float, float, float]
    amodal_mask: NDArray[np.bool_]
    area: int
    visibility: float
    truncation: float
    camera_from_object: NDArray[np.float64]
    ignore: bool


@dataclass(frozen=True, eq=False)
class Frame:
    """A finished picture with its labels. rgb: (H, W, 3) uint8, sRGB; jpeg_quality says how it is to be stored."""

    rgb: NDArray[np.uint8]
    geometry: Geometry
    annotations: tuple[Annotation, ...]
