"""Pictures fitted into the network's input as they are, and boxes brought back from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.augment.view import ImageWindow, compose
from detectors.data.sample import Sample


@dataclass(frozen=True)
class Letterbox:
    """How a picture of `width` x `height` was fitted: scaled by `scale`, from the top left corner of the output on."""

    scale: float
    width: int
    height: int

    @property
    def fitted_width(self) -> int:
        """Pixels of the output that the picture takes, at least 1."""
        return max(1, round(self.width * self.scale))

    @property
    def fitted_height(self) -> int:
        """Pixels of the output that the picture takes, at least 1."""
        return max(1, round(self.height * self.scale))

    @property
    def view(self) -> ImageWindow:
        """The same as a View of the whole picture."""
        return ImageWindow((0, 0, self.width, self.height), (0, 0, self.fitted_width, self.fitted_height))

    def to_original(self, boxes: NDArray) -> NDArray[np.float32]:
        """(N, 4) xyxy boxes of the output in the pixels of the original picture, clipped to it."""
        size = np.array([self.width, self.height, self.width, self.height], np.float64)
        # Sizes are whole pixels, so x and y differ from `scale` by up to half a pixel at the far edge.
        fitted = np.array([self.fitted_width, self.fitted_height] * 2)
        return np.clip(np.asarray(boxes, np.float64) * (size / fitted), 0, size).astype(np.float32)


def letterbox(sample: Sample, width: int, height: int) -> Letterbox:
    """How the sample fits into `width` x `height` with its aspect ratio kept."""
    return Letterbox(min(width / sample.width, height / sample.height), sample.width, sample.height)


def fit(sample: Sample, width: int, height: int) -> tuple[Sample, Letterbox]:
    """The sample scaled to fit into exactly (height, width), with grey 114 on the right or below, and how.

    Boxes that become narrower or lower than one pixel are dropped.
    """
    box = letterbox(sample, width, height)
    return compose([(sample, box.view)], width, height), box
