"""Feature vectors of images and of boxes, on which domains are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from detectors.training.detector_task import DetectorParts

# Points per side of the grid on which a box is sampled before its mean is taken.
BOX_GRID = 3


def pooled(maps: list[Tensor]) -> Tensor:
    """Return (B, C) the spatial means of all feature maps, concatenated."""
    return torch.cat([one.float().mean(dim=(2, 3)) for one in maps], 1)


def pooled_cells(maps: list[Tensor], side: int) -> Tensor:
    """Return (B * side * side, C) the means of all feature maps over a grid of cells, concatenated."""
    cells = torch.cat([functional.adaptive_avg_pool2d(one.float(), side) for one in maps], 1)
    return cells.permute(0, 2, 3, 1).flatten(0, 2)


def pooled_boxes(maps: list[Tensor], boxes: list[Tensor], width: int) -> Tensor:
    """Return (N, C) the means of all feature maps inside boxes (He et al. 2017, RoIAlign), concatenated.

    boxes: (N_i, 4) xyxy pixels for each image. width: of the images, pixels.
    """
    found = [
        roi_align(one.float(), boxes, BOX_GRID, spatial_scale=one.shape[-1] / width, sampling_ratio=1, aligned=True)
        for one in maps
    ]
    return torch.cat([one.mean(dim=(2, 3)) for one in found], 1)


def feature_width(model: nn.Module, parts: DetectorParts) -> int:
    """Return the number of channels of all feature maps together."""
    with torch.no_grad():
        image = torch.zeros(1, 3, parts.spec.height, parts.spec.width, device=next(model.parameters()).device)
        return pooled(model.eval().features(image)).shape[1]
