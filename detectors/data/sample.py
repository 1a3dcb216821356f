"""One image with its labels on the way into the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """A picture and its targets, in the pixels of this picture.

    image: (H, W, 3) uint8 RGB. boxes: (N, 4) float32 xyxy inside the picture.
    labels: (N,) int64, class from 0, or IGNORED (-1): neither target nor background.
    masks: (N, H, W) uint8 0/1, or None where they were not asked for or some box has none.
    visibility: (N,) float32 visible share of each product, nan where unknown; None once the picture was changed.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8] | None = None
    visibility: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.image.ndim != 3 or self.boxes.shape != (count, 4) or len(self.labels) != count:
            raise ValueError(f"sample of {self.image.shape}, {self.boxes.shape}, {self.labels.shape}")
        if self.masks is not None and self.masks.shape != (count, *self.image.shape[:2]):
            raise ValueError(f"masks {self.masks.shape} do not fit {count} boxes in {self.image.shape}")
        if self.visibility is not None and len(self.visibility) != count:
            raise ValueError(f"visibility of {len(self.visibility)} of {count} boxes")

    @property
    def height(self) -> int:
        return self.image.shape[0]

    @property
    def width(self) -> int:
        return self.image.shape[1]
