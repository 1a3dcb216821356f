"""The type of training samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.categories import CORNER_NAMES


@dataclass(frozen=True)
class Sample:
    """An image and its targets, in pixels of this image.

    image: (H, W, 3) uint8 RGB. boxes: (N, 4) float32 xyxy inside the image.
    labels: (N,) int64, class from 0, or IGNORED (-1): neither target nor background.
    masks: (N, H, W) uint8 0/1, or None if not requested or if a box has none.
    visibility: (N,) float32 visible fraction of each product, nan if unknown; None after augmentation.
    keypoints: (N, 8, 3) float32, x, y and COCO's flag of the corners of each product's cuboid, in the order of
    dataset/categories.py, or None if the data set has none.
    proposals: (P, 4) float32 xyxy, boxes that may hold an object (`proposals.py`), or None if not requested.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8] | None = None
    visibility: NDArray[np.float32] | None = None
    proposals: NDArray[np.float32] | None = None
    keypoints: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.image.ndim != 3 or self.boxes.shape != (count, 4) or len(self.labels) != count:
            raise ValueError(f"sample of {self.image.shape}, {self.boxes.shape}, {self.labels.shape}")
        if self.masks is not None and self.masks.shape != (count, *self.image.shape[:2]):
            raise ValueError(f"masks {self.masks.shape} do not fit {count} boxes in {self.image.shape}")
        if self.visibility is not None and len(self.visibility) != count:
            raise ValueError(f"visibility of {len(self.visibility)} of {count} boxes")
        if self.keypoints is not None and self.keypoints.shape != (count, len(CORNER_NAMES), 3):
            raise ValueError(f"keypoints {self.keypoints.shape} of {count} boxes")
        if self.proposals is not None and self.proposals.shape != (len(self.proposals), 4):
            raise ValueError(f"proposals {self.proposals.shape}")

    @property
    def height(self) -> int:
        return self.image.shape[0]

    @property
    def width(self) -> int:
        return self.image.shape[1]
