"""Semantic segmentation as detection: class maps as targets, a loss of every pixel, connected regions as objects."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.interface import DetectorOptions
from detectors.models.parts import MAX_DETECTIONS, MIN_SCORE
from detectors.models.spec import ModelSpec

BACKGROUND = 0
# Of pixels that are neither an object nor background. Not 255, as in PASCAL VOC: catalogs have more classes.
NOT_COUNTED = -1
# Detectors of this kind cannot be exported: the formats know no connected regions.
NOT_EXPORTED = "its objects are connected regions of pixels, which exported networks cannot gather"


class SemanticOptions(DetectorOptions):
    """Options of all networks for semantic segmentation."""

    min_area: int = Field(16, ge=1, le=100_000, description="Pixels of the smallest region that is an object.")


class SemanticNetwork(nn.Module):
    """A network that scores the classes of every pixel (interface.SemanticDetector)."""

    def __init__(self, spec: ModelSpec, min_area: int) -> None:
        super().__init__()
        self.spec, self.min_area = spec, min_area

    def segment(self, images: Tensor) -> Tensor:
        """Return (B, 1 + C, H, W) scores of background and of the classes, before the softmax."""
        raise NotImplementedError

    def class_weights(self, wanted: Tensor) -> Tensor | None:
        """Return the (1 + C,) weights of background and classes in the loss; None for equal ones.

        wanted: (B, H, W) int64 of `class_map`.
        """
        return None

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification": the cross entropy of the pixels that count, the weighted mean over all of them."""
        wanted = class_map(targets, (images.shape[2], images.shape[3]))
        return {"classification": pixel_loss(self.segment(images), wanted, self.class_weights(wanted))}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the connected regions of each class as boxes, scores and masks (D, 1, H, W) uint8 0/1."""
        best, classes = self.segment(images).float().softmax(1).max(1)
        columns = zip(best.cpu().numpy(), classes.cpu().numpy(), strict=True)
        size = (images.shape[2], images.shape[3])
        return [_as_output(regions_of(*one, self.min_area), size, images.device) for one in columns]


def class_map(targets: list[dict[str, Tensor]], size: tuple[int, int]) -> Tensor:
    """Return (B, H, W) int64: label + 1 where a mask is, NOT_COUNTED in other ignored boxes, BACKGROUND elsewhere.

    targets: as in `Detector.losses`, with masks. size: height and width. Where masks overlap the smaller one lies on
    top, since it would be seen nowhere otherwise.
    """
    device = targets[0]["boxes"].device
    wanted = torch.full((len(targets), *size), BACKGROUND, dtype=torch.long, device=device)
    for one, target in zip(wanted, targets, strict=True):
        for x0, y0, x1, y1 in target["ignored"].tolist():
            rows = slice(max(round(y0), 0), max(round(y1), 0))
            one[rows, max(round(x0), 0) : max(round(x1), 0)] = NOT_COUNTED
        masks = target["masks"].bool()
        for place in masks.flatten(1).sum(1).argsort(descending=True, stable=True).tolist():
            one[masks[place]] = target["labels"][place] + 1
    return wanted


def pixel_loss(scores: Tensor, wanted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy of the pixels that count: sum of w_y (-log p_y) over the sum of w_y; 0 of none.

    scores: (B, 1 + C, H, W). wanted: (B, H, W) of `class_map`. weights: (1 + C,).
    """
    each = functional.cross_entropy(scores.float(), wanted, weights, ignore_index=NOT_COUNTED, reduction="sum")
    counted = wanted[wanted != NOT_COUNTED]
    total = counted.numel() if weights is None else weights[counted].sum()
    return each / torch.as_tensor(total, dtype=each.dtype, device=each.device).clamp(min=1e-6)


class PixelRegion(NamedTuple):
    """Connected pixels of one class. box: xyxy. score: mean probability of the class. mask: (H, W) uint8 0/1."""

    box: tuple[int, int, int, int]
    label: int
    score: float
    mask: NDArray[np.uint8]


def regions_of(
    probabilities: NDArray[np.float32], classes: NDArray[np.int64], min_area: int, most: int = MAX_DETECTIONS
) -> list[PixelRegion]:
    """Return the regions of connected pixels (eight neighbours) of one class, likeliest first, at most `most`.

    probabilities, classes: (H, W) of the likeliest class of each pixel, 0 for background. min_area: in pixels.
    """
    found: list[tuple[float, int, int, NDArray[np.int32], NDArray[np.int32]]] = []
    for kind in np.unique(classes[classes != BACKGROUND]).tolist():
        inside = (classes == kind).view(np.uint8)
        count, numbers, boxes, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        total = np.bincount(numbers.ravel(), probabilities.ravel(), count)
        for number in range(1, count):
            area = int(boxes[number, cv2.CC_STAT_AREA])
            score = float(total[number] / area)
            if area >= min_area and score > MIN_SCORE:
                found.append((score, kind - 1, number, numbers, boxes[number]))
    found.sort(key=lambda one: -one[0])
    return [_region(*one) for one in found[:most]]


def _region(score: float, label: int, number: int, numbers: NDArray[np.int32], box: NDArray[np.int32]) -> PixelRegion:
    x, y, width, height = (int(value) for value in box[:4])
    return PixelRegion((x, y, x + width, y + height), label, min(score, 1.0), (numbers == number).view(np.uint8))


def _as_output(regions: list[PixelRegion], size: tuple[int, int], device: torch.device) -> dict[str, Tensor]:
    masks = np.stack([one.mask for one in regions]) if regions else np.zeros((0, *size), np.uint8)
    output = {
        "boxes": torch.tensor([one.box for one in regions], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([one.label for one in regions], dtype=torch.long),
        "scores": torch.tensor([one.score for one in regions], dtype=torch.float32),
        "masks": torch.from_numpy(masks)[:, None],
    }
    return {name: column.to(device) for name, column in output.items()}
