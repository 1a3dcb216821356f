"""R-CNN (Girshick et al. 2014): every proposal is warped to a square and classified by a network of its own.

Girshick, Donahue, Darrell and Malik 2014, arXiv 1311.2524. Fine-tuned as a classifier of windows with background; then
linear support vector machines on fc7 score the proposals, and ridge regressors on the last pooling move the boxes.
Written from the paper.
"""

from __future__ import annotations

import sys

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.region_based.bodies import ALEXNET_NAMES, FullyConnected, convolutions
from detectors.models.region_based.sampling import BACKGROUND, Matched
from detectors.models.region_based.window_classifier import WindowClassifier, WindowFeatures, WindowOptions
from detectors.models.spec import ModelSpec

LONG_SIDE = 500
FIXED_SIZE = None
LEARNING_RATE = 1e-4
NEEDS_MASKS = False
BACKBONE_STRIDES = (16,)
NEEDS_PROPOSALS = True
CUTS_WINDOWS = True
NOT_EXPORTED = "selective search runs outside the network"
SMALLEST = {
    "dropout": 0.0,
    "negatives": 24,
    "positives": 12,
    "proposals": 200,
    "search_width": 160,
    "width": 64,
    "window": 64,
}
TORCHVISION = (None, "AlexNet_Weights")
RENAMED = ALEXNET_NAMES
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
# A window is a positive if it overlaps a product by so much, else background.
POSITIVE = 0.5
# Pixels of the warped window that show what surrounds the proposal, of 227.
CONTEXT, PUBLISHED_WINDOW = 16, 227
# Side of the grid of the last pooling, as AlexNet's at 227 pixels.
GRID = 6
# Windows that go through the network at once while detecting.
CHUNK = 128


class Options(WindowOptions):
    """Options of the network."""

    window: int = Field(PUBLISHED_WINDOW, ge=63, le=512, description="Side of warped windows in pixels.")
    positives: int = Field(32, ge=1, le=4096, description="Windows with products in a step, over all its images.")
    negatives: int = Field(96, ge=1, le=4096, description="Background windows in a step, over all its images.")


class Rcnn(WindowClassifier):
    """The network (interface.FittedDetector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        convolved, channels = convolutions(spec.backbone)
        super().__init__(spec, options, channels * GRID**2)
        self.options, self.backbone = options, convolved
        self.pool = nn.MaxPool2d(3, 2) if spec.backbone is None else nn.Identity()
        self.head = FullyConnected(channels * GRID**2, options.width, options.dropout)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the map of the convolutions over the whole image, which adaptation compares images by."""
        return [self.backbone(normalised(images, self.spec))]

    def window_features(self, images: Tensor, windows: list[Tensor]) -> WindowFeatures:
        """Return the last pooling and fc7 of warped windows."""
        pairs = zip(normalised(images, self.spec), windows, strict=True)
        parts = ((image, part) for image, boxes in pairs for part in boxes.split(CHUNK))
        warped = (warp_windows(image, boxes, self.options.window) for image, boxes in parts)
        # Batch norms of some backbones learn from all windows of a step at once; 2,000 proposals would take a gigabyte.
        pooled = self._pooled(torch.cat(list(warped))) if self.training else torch.cat([*map(self._pooled, warped)])
        flat = pooled.flatten(1)
        return WindowFeatures(flat, self.head(flat))

    def sample(self, matched: list[Matched]) -> tuple[list[Matched], list[Tensor]]:
        """Sample 32 windows with products, uniformly over all classes and images, and 96 of background."""
        owner = torch.cat([torch.full((len(one.boxes),), place) for place, one in enumerate(matched)])
        every = Matched(*(torch.cat(column) for column in zip(*matched, strict=True)))
        positive = every.overlap >= POSITIVE
        chosen = _some(positive, self.options.positives)
        others = _some(~positive & ~every.ignored, self.options.negatives)
        labels = every.labels.clone()
        labels[others] = BACKGROUND
        rows = torch.cat([chosen, others])
        by_image = [rows[owner.to(rows.device)[rows] == place] for place in range(len(matched))]
        return [every.take(mine) for mine in by_image], [labels[mine] for mine in by_image]

    def _pooled(self, windows: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(self.pool(self.backbone(windows)), GRID)


def _some(wanted: Tensor, count: int) -> Tensor:
    rows = torch.nonzero(wanted)[:, 0]
    return rows[torch.randperm(len(rows))[:count].to(rows.device)]


def warp_windows(image: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Warp boxes of a normalised (3, H, W) image to (R, 3, side, side), whatever their aspect ratio.

    Around the box come 16 pixels of context (of 227); beyond the image is its mean, which is 0. Each pixel is the mean
    of the image under it.
    """
    context = CONTEXT * side / PUBLISHED_WINDOW
    grown = (boxes[:, 2:] - boxes[:, :2]) * (context / (side - 2 * context))
    outer = torch.cat([boxes[:, :2] - grown, boxes[:, 2:] + grown], 1)
    # A border of mean pixels: beyond the border of a map, pooling repeats its last pixels.
    padded = functional.pad(image[None].float(), (1, 1, 1, 1))
    return roi_align(padded, [outer + 1], side, aligned=True)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: AlexNet, or the stages of a timm model up to stride 16."""
    return Rcnn(spec, options_of(sys.modules[__name__], spec))
