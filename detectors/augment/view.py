"""Windows of pictures put onto an output picture, with boxes and masks: all geometry of augmentation but flipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample

# The mean of ImageNet's photographs, which pretrained backbones read as "nothing".
GREY = 114
# A product of which less is left at a cut cannot be told apart; it is neither target nor background.
ENOUGH_LEFT = 0.25

Rectangle = tuple[int, int, int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ImageWindow:
    """Which rectangle of a source picture lands on which rectangle of the output; both xyxy in whole pixels."""

    window: Rectangle
    target: Rectangle

    @property
    def scale(self) -> tuple[float, float]:
        """Output pixels per source pixel, in x and y."""
        (x0, y0, x1, y1), (left, top, right, bottom) = self.window, self.target
        return (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)

    def move(self, boxes: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, 4) boxes of the source in the output's pixels, not clipped."""
        factor, source, target = np.tile(self.scale, 2), np.tile(self.window[:2], 2), np.tile(self.target[:2], 2)
        return (boxes.astype(np.float64) - source) * factor + target


def compose(parts: Sequence[tuple[Sample, ImageWindow]], width: int, height: int) -> Sample:
    """The output of `width` x `height` with each sample's window painted on its target; grey where there is none.

    A box of which less than a quarter is left becomes IGNORED; under one pixel wide or high it is dropped. Boxes
    with a mask come out tight about what is left of it; the result has masks where all samples have. Changes no sample.
    """
    image = np.full((height, width, 3), GREY, np.uint8)
    for sample, view in parts:
        (x0, y0, x1, y1), (left, top, right, bottom) = view.window, view.target
        image[top:bottom, left:right] = resize(sample.image[y0:y1, x0:x1], right - left, bottom - top)
    moved = [_move_targets(sample, view) for sample, view in parts]
    boxes = np.concatenate([boxes for boxes, _, _ in moved]).astype(np.float32)
    labels = np.concatenate([labels for _, labels, _ in moved])
    sources = [(sample, view, i) for (sample, view), (_, _, kept) in zip(parts, moved, strict=True) for i in kept]
    full = all(sample.masks is not None or not len(sample.boxes) for sample, _ in parts)
    masks = (
        np.zeros((len(boxes), height, width), np.uint8) if full and any(s.masks is not None for s, _ in parts) else None
    )
    for place, (sample, view, i) in enumerate(sources):
        if sample.masks is not None:
            patch, left, top = _cut_mask(sample.masks[i], view, boxes[place])
            boxes[place] = box_of(patch, left, top)
            if masks is not None:
                masks[place, top : top + len(patch), left : left + patch.shape[1]] = patch
    return without_empty(Sample(image, boxes, labels, masks))


def resize(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 at another size, free of aliasing when it shrinks."""
    rows, columns = picture.shape[:2]
    # Halving first makes 6 ms of shrinking 1920x1080 into 2 ms. Borders of output pixels that fall inside a halved
    # pixel share it, a softening by a quarter of a source pixel; whole factors need none of it.
    while (columns % width or rows % height) and columns >= 2 * width and rows >= 2 * height:
        if columns % 2 or rows % 2:
            break
        columns, rows = columns // 2, rows // 2
        picture = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    if (columns, rows) == (width, height):
        return picture
    shrinks = width <= columns and height <= rows
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def areas(boxes: NDArray) -> NDArray:
    """(N,) areas of (N, 4) xyxy boxes, 0 where they are turned inside out."""
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def touched(box: NDArray[np.float32]) -> tuple[slice, slice]:
    """Rows and columns of the pixels that an xyxy box inside the picture touches."""
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    return slice(y0, y1), slice(x0, x1)


def box_of(patch: NDArray[np.uint8], left: int, top: int) -> Box:
    """The tight xyxy box of the mask's patch at (left, top) of the picture; without area if it is empty."""
    x, y, width, height = cv2.boundingRect(patch)
    return left + x, top + y, left + x + width, top + y + height


def without_empty(sample: Sample) -> Sample:
    """The sample without the boxes that have no area."""
    kept = areas(sample.boxes) > 0
    if kept.all():
        return sample
    return Sample(
        sample.image, sample.boxes[kept], sample.labels[kept], None if sample.masks is None else sample.masks[kept]
    )


def _move_targets(
    sample: Sample, view: ImageWindow
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Boxes and labels of what is left of the sample's products in the output, and their places in the sample."""
    whole = view.move(sample.boxes)
    left, top, right, bottom = view.target
    boxes = np.clip(whole, [left, top, left, top], [right, bottom, right, bottom])
    share = areas(boxes) / np.maximum(areas(whole), 1e-9)
    labels = np.where(share < ENOUGH_LEFT, IGNORED, sample.labels)
    # Float noise must not drop a box of just one pixel.
    kept = np.flatnonzero(((boxes[:, 2:] - boxes[:, :2]) >= 1 - 1e-6).all(axis=1))
    return boxes[kept], labels[kept], kept


def _cut_mask(
    mask: NDArray[np.uint8], view: ImageWindow, box: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], int, int]:
    """The part of the mask near its moved box in the output's pixels, and its left and top there.

    Every output pixel takes the source pixel that holds its centre, so borders stay within half a pixel.
    """
    (x0, y0, x1, y1), (left, top, right, bottom) = view.window, view.target
    # Boxes and masks of foreign data disagree by a pixel of the source now and then.
    spare_x, spare_y = np.ceil(view.scale)
    columns = np.arange(max(left, int(box[0] - spare_x)), min(right, int(np.ceil(box[2] + spare_x))))
    rows = np.arange(max(top, int(box[1] - spare_y)), min(bottom, int(np.ceil(box[3] + spare_y))))
    source_columns = x0 + (2 * (columns - left) + 1) * (x1 - x0) // (2 * (right - left))
    source_rows = y0 + (2 * (rows - top) + 1) * (y1 - y0) // (2 * (bottom - top))
    return mask[source_rows[:, None], source_columns], int(columns[0]), int(rows[0])
