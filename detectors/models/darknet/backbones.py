"""The backbones of Darknet, each replaceable by any timm model with stages of the same strides.

Each takes (B, 3, H, W) images, returns a list of feature maps, the finest first, and has their `channels`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from detectors.models.backbones.stages import backbone_stages
from detectors.models.darknet.layers import LayerStyle
from detectors.models.spec import ModelSpec

# Side of the kernel and channels of each convolution between max pools, as published.
Block = tuple[tuple[int, int], ...]
FIRST_BLOCKS: tuple[Block, ...] = (
    ((3, 192),),
    ((1, 128), (3, 256), (1, 256), (3, 512)),
    (*(((1, 256), (3, 512)) * 4), (1, 512), (3, 1024)),
    ((1, 512), (3, 1024)) * 2,
)
DARKNET19_BLOCKS: tuple[Block, ...] = (
    ((3, 32),),
    ((3, 64),),
    ((3, 128), (1, 64), (3, 128)),
    ((3, 256), (1, 128), (3, 256)),
    ((3, 512), *((1, 256), (3, 512)) * 2),
    ((3, 1024), *((1, 512), (3, 1024)) * 2),
)
# Channels and residual blocks of the five stages of Darknet-53 and CSPDarknet-53.
STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
STEM = 32
# Maps that YOLOv3 and v4 take: those of strides 8, 16 and 32.
TAKEN = 3


class FirstDarknet(nn.Module):
    """The first 20 of YOLOv1's 24 convolutions, those pretrained on ImageNet (Redmon et al. 2016): stride 32."""

    def __init__(self, style: LayerStyle) -> None:
        super().__init__()
        first = style.channels(64)
        layers: list[nn.Module] = [style.conv(3, first, 7, 2)]
        for block in FIRST_BLOCKS:
            layers += [nn.MaxPool2d(2, ceil_mode=True), _block(style, first, block)]
            first = style.channels(block[-1][1])
        self.layers = nn.Sequential(*layers)
        self.channels = [first]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the one map."""
        return [self.layers(images)]


class Darknet19(nn.Module):
    """Darknet-19 without its classifier (Redmon and Farhadi 2017, arXiv 1612.08242): strides 16 and 32."""

    def __init__(self, style: LayerStyle) -> None:
        super().__init__()
        widths = [3, *(style.channels(block[-1][1]) for block in DARKNET19_BLOCKS)]
        self.blocks = nn.ModuleList(
            _block(style, before, block) for before, block in zip(widths[:-1], DARKNET19_BLOCKS, strict=True)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.channels = widths[-2:]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the last map before the last max pool, and the last one."""
        maps = [self.blocks[0](images)]
        for block in itertools.islice(self.blocks, 1, None):
            maps.append(block(self.pool(maps[-1])))
        return maps[-2:]


class Darknet53(nn.Module):
    """Darknet-53 without its classifier (Redmon and Farhadi 2018, arXiv 1804.02767): strides 8, 16 and 32."""

    def __init__(self, style: LayerStyle) -> None:
        super().__init__()
        self.stem = style.conv(3, style.channels(STEM))
        widths = [style.channels(STEM), *(style.channels(width) for width, _ in STAGES)]
        self.stages = nn.ModuleList(
            nn.Sequential(
                style.conv(before, after, stride=2), *(Residual(style, after, after // 2) for _ in range(count))
            )
            for (before, after), (_, count) in zip(itertools.pairwise(widths), STAGES, strict=True)
        )
        self.channels = widths[-TAKEN:]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the last three stages."""
        return _run_stages(self.stem(images), self.stages)


class CspDarknet53(nn.Module):
    """CSPDarknet-53 (Bochkovskiy et al. 2020, arXiv 2004.10934; cross stage partial: Wang et al. 2019).

    Strides 8, 16 and 32.
    """

    def __init__(self, style: LayerStyle) -> None:
        super().__init__()
        self.stem = style.conv(3, style.channels(STEM))
        widths = [style.channels(STEM), *(style.channels(width) for width, _ in STAGES)]
        self.stages = nn.ModuleList(
            CspStage(style, before, after, count, halved=place > 0)
            for place, ((before, after), (_, count)) in enumerate(zip(itertools.pairwise(widths), STAGES, strict=True))
        )
        self.channels = widths[-TAKEN:]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the last three stages."""
        return _run_stages(self.stem(images), self.stages)


class Residual(nn.Module):
    """A residual block: 1x1 to `middle` channels, 3x3 back, and the input added."""

    def __init__(self, style: LayerStyle, width: int, middle: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(style.conv(width, middle, 1), style.conv(middle, width))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        return maps + self.layers(maps)


class CspStage(nn.Module):
    """A stage whose residual blocks work on one of two parts, which are joined at its end.

    halved: whether both parts have half of the channels, as in all stages but the first.
    """

    def __init__(self, style: LayerStyle, inputs: int, outputs: int, count: int, *, halved: bool) -> None:
        super().__init__()
        part = outputs // 2 if halved else outputs
        self.down = style.conv(inputs, outputs, stride=2)
        self.past = style.conv(outputs, part, 1)
        blocks = (Residual(style, part, part if halved else outputs // 2) for _ in range(count))
        self.through = nn.Sequential(style.conv(outputs, part, 1), *blocks, style.conv(part, part, 1))
        self.join = style.conv(2 * part, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of half the resolution."""
        shrunk = self.down(maps)
        return self.join(torch.cat([self.through(shrunk), self.past(shrunk)], 1))


def make_backbone(
    spec: ModelSpec, strides: tuple[int, ...], own: Callable[[], nn.Module]
) -> tuple[nn.Module, list[int]]:
    """Return the backbone of a spec with its stages of these strides, or else the detector's own.

    Also returns the channels of its maps. own: builds the own one. Raises SynthError for models without such stages.
    """
    if spec.backbone is not None:
        return backbone_stages(spec.backbone, strides)
    backbone = own()
    channels: list[int] = backbone.channels
    return backbone, channels


def _block(style: LayerStyle, inputs: int, block: Block) -> nn.Sequential:
    layers = []
    for side, published in block:
        layers.append(style.conv(inputs, style.channels(published), side))
        inputs = style.channels(published)
    return nn.Sequential(*layers)


def _run_stages(maps: Tensor, stages: nn.ModuleList) -> list[Tensor]:
    found = []
    for stage in stages:
        maps = stage(maps)
        found.append(maps)
    return found[-TAKEN:]
