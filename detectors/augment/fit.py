"""Scale images to the network's input size, and map boxes back to the original image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.augment.view import ImageWindow, compose
from detectors.data.sample import Sample


@dataclass(frozen=True)
class Letterbox:
    """How an image of `width` x `height` was fitted: scaled by `scale` and put into the output's top left corner."""

    scale: float
    width: int
    height: int

    @property
    def fitted_width(self) -> int:
        """Width of the scaled image in output pixels, at least 1."""
        return max(1, round(self.width * self.scale))

    @property
    def fitted_height(self) -> int:
        """Height of the scaled image in output pixels, at least 1."""
        return max(1, round(self.height * self.scale))

    @property
    def window(self) -> ImageWindow:
        """The same as a window that shows the whole image."""
        return ImageWindow((0, 0, self.width, self.height), (0, 0, self.fitted_width, self.fitted_height))

    def to_original(self, boxes: NDArray) -> NDArray[np.float32]:
        """Map (N, 4) xyxy boxes from the output to pixels of the original image, clipped to it."""
        size = np.array([self.width, self.height, self.width, self.height], np.float64)
        # Fitted sizes are rounded to whole pixels, so `scale` would be off by up to half a pixel at the far edge.
        fitted = np.array([self.fitted_width, self.fitted_height] * 2)
        return np.clip(np.asarray(boxes, np.float64) * (size / fitted), 0, size).astype(np.float32)

    def points_to_original(self, points: NDArray) -> NDArray[np.float32]:
        """Map (N, K, 3) points from the output to pixels of the original image, which they may lie outside of.

        The third number of each stays as it is.
        """
        moved = np.array(points, np.float64)
        moved[..., 0] *= self.width / self.fitted_width
        moved[..., 1] *= self.height / self.fitted_height
        return moved.astype(np.float32)


def letterbox(sample: Sample, width: int, height: int) -> Letterbox:
    """Return how a sample fits into `width` x `height` with its aspect ratio kept."""
    return Letterbox(min(width / sample.width, height / sample.height), sample.width, sample.height)


def fit(sample: Sample, width: int, height: int) -> tuple[Sample, Letterbox]:
    """Scale a sample to fit into (height, width), pad it with grey on the right or below, and return how it was fitted.

    Boxes that become narrower or lower than one pixel are dropped.
    """
    box = letterbox(sample, width, height)
    return compose([(sample, box.window)], width, height), box
