"""CenterNet (Zhou et al. 2019, arXiv 1904.07850): objects as the peaks of a heat map, without anchors and suppression.

The last stage of a backbone (ResNet-18) is upsampled to stride 4 by three transposed convolutions, each after a 3 x 3
convolution, where the paper has a deformable one. Three heads give a heat map per class, the size of the box around a
cell in cells, and the offset of its centre within the cell. Written from the paper.
"""

from __future__ import annotations

import itertools
import sys
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.backbones.stages import backbone_stages
from detectors.models.interface import DetectorOptions, SoftHead, SoftOutputs, options_of
from detectors.models.parts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    covered_by,
    keep_all,
    normalised,
    select_boxes,
)
from detectors.models.spec import ModelSpec

LONG_SIDE = 512
FIXED_SIZE = None
LEARNING_RATE = 2.5e-4
NEEDS_MASKS = False
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
DEFAULT_BACKBONE = "resnet18"
BACKBONE_STRIDES = (32,)
STRIDE = 4
# Channels after each of the transposed convolutions.
CHANNELS = (256, 128, 64)
# Exponents of the focal loss, and the weight of the size (section 3).
ALPHA, BETA, SIZE_WEIGHT = 2, 4, 0.1
# Bias of the heat map of the untrained network: a score of 0.1 everywhere.
HEAT_BIAS = -2.19
# Overlap that a box keeps whose corners move by the radius of its Gaussian.
MIN_OVERLAP = 0.7
MOSTLY_IGNORED = 0.5

RadiusFormula = Literal["exact", "cornernet"]


class Options(DetectorOptions):
    """Options of the network."""

    head: int = Field(64, ge=8, le=512, description="Channels of the convolution in each head.")
    radius: RadiusFormula = Field(
        "exact",
        description="Radius of the Gaussians: exact as defined, cornernet as in the published code (larger).",
    )


class Peaks(NamedTuple):
    """What the heads say of every cell. heat: (B, C, h, w) logits. sizes, offsets: (B, 2, h, w) x and y, in cells."""

    heat: Tensor
    sizes: Tensor
    offsets: Tensor


class CenterNet(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, self.formula = spec, options.radius
        self.backbone, channels = backbone_stages(spec.backbone or DEFAULT_BACKBONE, BACKBONE_STRIDES)
        widths = (channels[-1], *CHANNELS)
        self.upsample = nn.Sequential(*(_double(a, b) for a, b in itertools.pairwise(widths)))
        self.cls_logits = _head(CHANNELS[-1], options.head, spec.classes)
        self.sizes = _head(CHANNELS[-1], options.head, 2)
        self.offsets = _head(CHANNELS[-1], options.head, 2)
        nn.init.constant_(self.cls_logits[-1].bias, HEAT_BIAS)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the map of stride 4."""
        return [self.upsample(self.backbone(normalised(images, self.spec))[-1])]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification" (focal loss of the heat map), "size" and "offset" (L1 at centres), over objects."""
        peaks = self._predict(images)
        count = max(1, sum(len(target["boxes"]) for target in targets))
        shape = peaks.heat.shape[1:]
        truth = torch.stack([heat_map(target, shape, self.formula) for target in targets])
        kept = torch.stack([counted_cells(target, shape) for target in targets])[:, None] | (truth == 1)
        size, offset = peaks.heat.sum() * 0, peaks.heat.sum() * 0
        for place, target in enumerate(targets):
            columns, rows, within, sides = centres_of(target["boxes"], shape)
            size = size + (peaks.sizes[place, :, rows, columns].T - sides).abs().sum()
            offset = offset + (peaks.offsets[place, :, rows, columns].T - within).abs().sum()
        return {
            "classification": (focal_loss(peaks.heat, truth) * kept).sum() / count,
            "size": SIZE_WEIGHT * size / count,
            "offset": offset / count,
        }

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes at the peaks: the cells that no neighbour exceeds."""
        peaks = self._predict(images)
        scores, boxes = peaks.heat.sigmoid(), boxes_of_peaks(peaks)
        # The 3 x 3 maximum in place of suppression of overlapping boxes (section 4).
        tops = scores * (functional.max_pool2d(scores, 3, 1, 1) == scores)
        size = (self.spec.width, self.spec.height)
        pairs = zip(tops.flatten(2).transpose(1, 2), boxes, strict=True)
        return [select_boxes(*one, size, keep_all) for one in pairs]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the logits and boxes of all cells."""
        peaks = self._predict(images)
        logits = peaks.heat.flatten(2).transpose(1, 2).flatten(0, 1)
        return SoftOutputs({"cells": SoftHead(logits, boxes_of_peaks(peaks).flatten(0, 1))})

    def _predict(self, images: Tensor) -> Peaks:
        (maps,) = self.features(images)
        return Peaks(*(head(maps).float() for head in (self.cls_logits, self.sizes, self.offsets)))


def gaussian_radius(width: Tensor, height: Tensor, formula: RadiusFormula = "exact") -> Tensor:
    """Return the radius within which both corners of a box may move so that MIN_OVERLAP of it remains, in cells.

    The least of three roots: for corners that both move inwards, both outwards, and one of each (Law and Deng 2018).
    formula: "cornernet" as in the published code of both papers, whose first two roots are the other solutions of
    their equations and whose third lacks a division: 6 rather than 1 cell for a box of 20 x 30.
    """
    total, area = width + height, width * height
    # a r^2 + b r + c = 0 of each case; the first two have two positive solutions, of which the smaller one counts.
    cases = (
        (torch.ones_like(area), -total, area * (1 - MIN_OVERLAP) / (1 + MIN_OVERLAP), -1),
        (torch.full_like(area, 4), -2 * total, area * (1 - MIN_OVERLAP), -1),
        (torch.full_like(area, 4 * MIN_OVERLAP), 2 * MIN_OVERLAP * total, -area * (1 - MIN_OVERLAP), 1),
    )
    roots = []
    for a, b, c, sign in cases:
        spread = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        roots.append((-b + sign * spread) / (2 * a) if formula == "exact" else (-b + spread) / 2)
    return torch.stack(roots).amin(0)


def centres_of(boxes: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return columns and rows (N,) of the cells of the centres, (N, 2) places in them and (N, 2) sizes, in cells."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / STRIDE
    columns = middle[:, 0].long().clamp(0, shape[-1] - 1)
    rows = middle[:, 1].long().clamp(0, shape[-2] - 1)
    return columns, rows, middle - torch.stack([columns, rows], 1), (boxes[:, 2:] - boxes[:, :2]) / STRIDE


@torch.no_grad()
def heat_map(target: dict[str, Tensor], shape: torch.Size, formula: RadiusFormula) -> Tensor:
    """Return the (C, h, w) heat map of an image: a Gaussian around each centre, the larger one where two overlap.

    Its deviation is a third of its radius, (2 r + 1) / 6, beyond which it is cut off.
    """
    boxes = target["boxes"]
    heat = boxes.new_zeros(tuple(shape))
    columns, rows, _, sides = centres_of(boxes, shape)
    radius = gaussian_radius(sides[:, 0].ceil(), sides[:, 1].ceil(), formula).clamp(min=0).floor()[:, None]
    across = torch.arange(shape[2], device=boxes.device)[None] - columns[:, None]
    down = torch.arange(shape[1], device=boxes.device)[None] - rows[:, None]
    deviation = (2 * radius + 1) / 6
    bumps = [
        torch.exp(-apart.square() / (2 * deviation.square())) * (apart.abs() <= radius) for apart in (down, across)
    ]
    around = bumps[0][:, :, None] * bumps[1][:, None]
    return heat.scatter_reduce_(0, target["labels"][:, None, None].expand_as(around), around, "amax")


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of each cell: -(1 - p)^2 log p where truth is 1, else -(1 - truth)^4 p^2 log(1 - p)."""
    score = logits.sigmoid()
    peak = -((1 - score) ** ALPHA) * functional.logsigmoid(logits)
    other = -((1 - truth) ** BETA) * score**ALPHA * functional.logsigmoid(-logits)
    return torch.where(truth == 1, peak, other)


def counted_cells(target: dict[str, Tensor], shape: torch.Size) -> Tensor:
    """Return the (h, w) cells that do not lie mostly in ignored regions."""
    rows, columns = (torch.arange(side, device=target["boxes"].device) * STRIDE for side in shape[-2:])
    corners = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2).reshape(-1, 2)
    cells = torch.cat([corners, corners + STRIDE], 1).to(target["boxes"].dtype)
    return (covered_by(cells, target["ignored"]) <= MOSTLY_IGNORED).view(*shape[-2:])


def boxes_of_peaks(peaks: Peaks) -> Tensor:
    """Return the (B, h w, 4) boxes in pixels around all cells."""
    rows, columns = (torch.arange(side, device=peaks.heat.device) for side in peaks.heat.shape[-2:])
    cells = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    middle, half = cells + peaks.offsets, peaks.sizes / 2
    return (STRIDE * torch.cat([middle - half, middle + half], 1)).flatten(2).transpose(1, 2)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Build a 3 x 3 convolution and a transposed one that doubles the resolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(outputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, outputs, 1))


def build(spec: ModelSpec) -> nn.Module:
    """Build the network over ResNet-18 or any backbone with a stage of stride 32."""
    return CenterNet(spec, options_of(sys.modules[__name__], spec))
