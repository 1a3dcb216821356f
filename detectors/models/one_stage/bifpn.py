"""The bidirectional feature pyramid and the heads of EfficientDet (Tan et al. 2020, arXiv 1911.09070)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of all batch norms of pyramid and heads.
NORM_EPS = 1e-3
# Keeps the weights of a fusion from a division by zero.
FUSION_EPS = 1e-4
LEVELS = 5
# The nodes of a layer: the level of each, and what it fuses: inputs P3 to P7 are 0 to 4, earlier nodes 5 and on. Four
# go down to P3, four up again to P7.
NODES = (
    *((3, (3, 4)), (2, (2, 5)), (1, (1, 6)), (0, (0, 7))),
    *((1, (1, 7, 8)), (2, (2, 6, 9)), (3, (3, 5, 10)), (4, (4, 11))),
)
# The last node of each level.
LAST = (8, 9, 10, 11, 12)


class LevelNorm(nn.BatchNorm2d):
    """Batch norm that keeps its statistics where a map is a single value, as the coarsest one of a small image is."""

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__(channels, eps=NORM_EPS, momentum=momentum)

    def forward(self, maps: Tensor) -> Tensor:
        if self.training and maps[:, 0].numel() == 1:
            mean, var = self.running_mean, self.running_var
            return functional.batch_norm(maps, mean, var, self.weight, self.bias, eps=self.eps)
        return super().forward(maps)


class Separable(nn.Module):
    """A 3 x 3 convolution of each channel by itself, and a 1 x 1 convolution. last: whether no batch norm follows."""

    def __init__(self, inputs: int, outputs: int, last: bool = False) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=last)
        if self.pointwise.bias is not None:
            nn.init.zeros_(self.pointwise.bias)

    def forward(self, maps: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(maps))


class Fusion(nn.Module):
    """One node: inputs brought to its channels and size, their weighted mean, and a separable convolution.

    The mean is fast normalised fusion: sum of w x / (sum of w + 1e-4), weights above zero by ReLU (section 3.3).
    """

    def __init__(self, inputs: Sequence[int], channels: int, momentum: float) -> None:
        super().__init__()
        self.align = nn.ModuleList(
            nn.Identity() if count == channels else _align(count, channels, momentum) for count in inputs
        )
        self.weights = nn.Parameter(torch.ones(len(inputs)))
        self.convolution = Separable(channels, channels)
        self.norm = LevelNorm(channels, momentum)

    def forward(self, maps: Sequence[Tensor], size: torch.Size) -> Tensor:
        weights = self.weights.relu()
        weights = weights / (weights.sum() + FUSION_EPS)
        sized = [_resize(layer(one), size) for layer, one in zip(self.align, maps, strict=True)]
        fused = torch.stack([one * weight for one, weight in zip(sized, weights, strict=True)]).sum(0)
        return self.norm(self.convolution(functional.silu(fused)))


class BiFpn(nn.Module):
    """Layers of fusions over the levels P3 to P7, of which the last two are made from P5."""

    def __init__(self, inputs: Sequence[int], channels: int, layers: int, momentum: float) -> None:
        super().__init__()
        self.coarser = _align(inputs[-1], channels, momentum)
        first = [*inputs, channels, channels]
        self.layers = nn.ModuleList(
            _layer(first if place == 0 else [channels] * LEVELS, channels, momentum) for place in range(layers)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return five maps of equal channels, the finest first."""
        levels = list(maps)
        levels.append(_halve(self.coarser(levels[-1])))
        levels.append(_halve(levels[-1]))
        for layer in self.layers:
            known = list(levels)
            for node, (level, taken) in zip(layer, NODES, strict=True):
                known.append(node([known[place] for place in taken], levels[level].shape[-2:]))
            levels = [known[place] for place in LAST]
        return levels


class SharedHead(nn.Module):
    """Separable convolutions that all levels share, with batch norms of each level, and a last one.

    prior: score that the untrained head of the classes says; None for the head of the boxes.
    """

    def __init__(self, channels: int, repeats: int, outputs: int, momentum: float, prior: float | None = None) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(Separable(channels, channels) for _ in range(repeats))
        self.norms = nn.ModuleList(
            nn.ModuleList(LevelNorm(channels, momentum) for _ in range(LEVELS)) for _ in range(repeats)
        )
        last = Separable(channels, outputs, last=True)
        self.name = "boxes" if prior is None else "cls_logits"
        self.add_module(self.name, last)
        if prior is not None and last.pointwise.bias is not None:
            nn.init.normal_(last.pointwise.weight, std=0.01)
            nn.init.constant_(last.pointwise.bias, -math.log((1 - prior) / prior))

    def forward(self, maps: Sequence[Tensor], columns: int) -> Tensor:
        """Return (B, A, columns) of all anchors."""
        found, last = [], self.get_submodule(self.name)
        for level, one in enumerate(maps):
            for convolution, norms in zip(self.convolutions, self.norms, strict=True):
                one = functional.silu(norms[level](convolution(one)))
            found.append(last(one).permute(0, 2, 3, 1).reshape(len(one), -1, columns))
        return torch.cat(found, 1)


def _layer(inputs: Sequence[int], channels: int, momentum: float) -> nn.ModuleList:
    known = [*inputs, *([channels] * len(NODES))]
    return nn.ModuleList(Fusion([known[place] for place in taken], channels, momentum) for _, taken in NODES)


def _align(inputs: int, channels: int, momentum: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), LevelNorm(channels, momentum))


def _halve(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 3, 2, 1)


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    """Bring a map to the size of the next finer or coarser level, or leave it as it is."""
    if maps.shape[-2:] == size:
        return maps
    finer = maps.shape[-2] > size[0] or maps.shape[-1] > size[1]
    return _halve(maps) if finer else functional.interpolate(maps, size=size)
