"""What a filter responds to: the patches of a data set in which a channel is largest (Zeiler and Fergus 2014)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detectors.explain.maps import Features

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TopPatch:
    """A crop (h, w, 3) of an image around the cell in which a channel is largest. value: of that cell."""

    value: float
    pixels: Pixels


def top_patches(
    features: Features,
    images: Iterable[Pixels],
    chosen: Sequence[Sequence[int]],
    sees: Sequence[tuple[int, int]],
    count: int,
    *,
    device: torch.device,
    advance: Callable[[int], None] = lambda count: None,
) -> list[list[list[TopPatch]]]:
    """Return for each level, for each of its chosen channels, the best patches, one of an image at most, largest first.

    images: (H, W, 3) uint8 RGB of the network's input size. chosen: channels of each level. sees: width and height of
    the receptive field of each level, the size of its patches.
    """
    best: list[list[list[tuple[float, int, TopPatch]]]] = [[[] for _ in channels] for channels in chosen]
    for number, image in enumerate(images):
        with torch.no_grad():
            maps = features(as_input(image, device))
        for level, channels in enumerate(chosen):
            for place, channel in enumerate(channels):
                found = _largest(maps[level][0, channel], image, sees[level])
                heapq.heappush(best[level][place], (found.value, -number, found))
                if len(best[level][place]) > count:
                    heapq.heappop(best[level][place])
        advance(1)
    return [[[patch for _, _, patch in sorted(heap, key=_falling)] for heap in level] for level in best]


def _falling(entry: tuple[float, int, TopPatch]) -> tuple[float, int]:
    return -entry[0], -entry[1]


def as_input(image: Pixels, device: torch.device) -> Tensor:
    """Return an (H, W, 3) uint8 image as (1, 3, H, W) float32 in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].float() / 255


def _largest(channel: Tensor, image: Pixels, sees: tuple[int, int]) -> TopPatch:
    rows, columns = channel.shape
    place = int(channel.argmax())
    row, column = divmod(place, columns)
    middle = ((column + 0.5) * image.shape[1] / columns, (row + 0.5) * image.shape[0] / rows)
    return TopPatch(float(channel[row, column]), crop_at(image, middle, sees))


def crop_at(image: Pixels, middle: tuple[float, float], size: tuple[int, int]) -> Pixels:
    """Return the crop of a width and height around a point x, y; beyond the border the image is grey."""
    width, height = size
    left, top = round(middle[0] - width / 2), round(middle[1] - height / 2)
    crop = np.full((height, width, 3), 127, np.uint8)
    x0, y0 = max(left, 0), max(top, 0)
    inside = image[y0 : max(top + height, 0), x0 : max(left + width, 0)]
    crop[y0 - top : y0 - top + inside.shape[0], x0 - left : x0 - left + inside.shape[1]] = inside
    return crop
