"""Fully convolutional network (Long et al. 2015): classes of pixels from VGG-16 at strides 32, 16 or 8.

arXiv 1411.4038. The fully connected layers slide over the image, scores are enlarged by linear interpolation, and
scores of finer stages are added (FCN-32s, FCN-16s, FCN-8s). As in the authors' networks conv1_1 pads by 100 px, the
score layers begin at zero and the interpolation is fixed. Their loss is a sum over pixels at a learning rate of 1e-10;
here it is the mean. Objects are connected regions of one class, so that products of one class that touch are one.
"""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from detectors.models.dense.semantic import NOT_EXPORTED as NOT_EXPORTED
from detectors.models.dense.semantic import SemanticNetwork, SemanticOptions
from detectors.models.dense.upsampling import LearnedNails, bilinear_kernel, enlarge_nearest, spread
from detectors.models.dense.vgg import FULL, STAGES, WIDTH, WINDOW, SlidingLinear, vgg_layers
from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised, timm_stages
from detectors.models.spec import ModelSpec

LONG_SIDE = 512
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = True
TORCHVISION = (None, "VGG16_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
SMALLEST = {"width": 4}
STRIDES = (8, 16, 32)
# Padding of conv1_1 in pixels, so that the layers without padding see enough of small images.
PADDING = 100


class Options(SemanticOptions):
    """Options of the network."""

    stride: Literal[32, 16, 8] = Field(8, description="Stride of the finest stage whose scores count, in pixels.")
    upsampling: Literal["transposed", "nearest", "bed-of-nails"] = Field(
        "transposed", description="How scores are enlarged: linear interpolation, repetition, or nails and a filter."
    )
    width: int = Field(WIDTH, ge=2, le=WIDTH, description="Channels of VGG's first stage; the others follow from it.")


class _Vgg(nn.Module):
    """VGG-16 with poolings that keep the last column of odd maps, and fully connected layers that slide.

    origins: pixel of the image in which the first cell of each of its maps begins.
    """

    # conv1_1 takes the cells from -99 on; below the last pooling the window's first cell begins 3 cells further in.
    origins = (1 - PADDING, 1 - PADDING, 1 - PADDING + WINDOW // 2 * 32)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = vgg_layers(width, batch_norm=False)
        self.features[0].padding = (PADDING, PADDING)
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                layer.ceil_mode = True
        last, full = width * STAGES[-1][-1], width * FULL
        # Places and names as in torchvision's classifier.
        self.classifier = nn.Sequential(
            *(SlidingLinear(last, full, WINDOW), nn.ReLU(inplace=True), nn.Dropout()),
            *(SlidingLinear(full, full, 1), nn.ReLU(inplace=True), nn.Dropout()),
        )
        self.channels = [width * STAGES[2][-1], width * STAGES[3][-1], full]

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, pooled = images, []
        for layer in self.features:
            maps = layer(maps)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(maps)
        return [*pooled[2:4], self.classifier(maps)]


class _Timm(nn.Module):
    """The stages of a timm model at strides 8, 16 and 32, whose cells begin with the image."""

    origins = (0, 0, 0)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body, self.channels = timm_stages(name, STRIDES[0])

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.body(images)


class Fcn(SemanticNetwork):
    """The network (interface.SemanticDetector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__(spec, options.min_area)
        self.backbone = _Vgg(options.width) if spec.backbone is None else _Timm(spec.backbone)
        self.first = STRIDES.index(options.stride)
        levels = self.backbone.channels[self.first :]
        self.cls_logits = nn.ModuleList(nn.Conv2d(channels, 1 + spec.classes, 1) for channels in levels)
        for layer in self.cls_logits:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        factors = (options.stride, *(2 for _ in levels[1:]))
        self.enlarge = nn.ModuleList(_Enlarge(options.upsampling, 1 + spec.classes, factor) for factor in factors)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps whose scores count."""
        return self.backbone(normalised(images, self.spec))[self.first :]

    def segment(self, images: Tensor) -> Tensor:
        """Return the scores of all pixels."""
        maps = self.features(images)
        strides, origins = STRIDES[self.first :], self.backbone.origins[self.first :]
        scores, origin = self.cls_logits[-1](maps[-1]), origins[-1]
        for level in range(len(maps) - 2, -1, -1):
            enlarge = self.enlarge[level + 1]
            scores, origin = enlarge(scores), origin - enlarge.margin * strides[level]
            scores, origin = add_scores(
                (scores, origin), (self.cls_logits[level](maps[level]), origins[level]), strides[level]
            )
        return crop(self.enlarge[0](scores), self.enlarge[0].margin - origin, images.shape[2], images.shape[3])


class _Enlarge(nn.Module):
    """Enlarges scores by a factor. margin: cells of the result before the first cell of the scores."""

    def __init__(self, kind: str, channels: int, factor: int) -> None:
        super().__init__()
        self.kind, self.factor = kind, factor
        self.margin = factor // 2 if kind == "transposed" else 0
        if kind == "bed-of-nails":
            self.nails = LearnedNails(channels, factor)
        # Fixed, and the same for every checkpoint.
        self.register_buffer("kernel", bilinear_kernel(factor), persistent=False)

    def forward(self, scores: Tensor) -> Tensor:
        if self.kind == "transposed":
            return spread(scores, self.kernel)
        return self.nails(scores) if self.kind == "bed-of-nails" else enlarge_nearest(scores, self.factor)


def add_scores(coarse: tuple[Tensor, int], fine: tuple[Tensor, int], stride: int) -> tuple[Tensor, int]:
    """Return the sum of two maps of scores where both have cells, and the pixel in which its first cell begins.

    coarse, fine: (B, 1 + C, h, w) maps of the same stride, each with the pixel in which its first cell begins.
    """
    begin = max(coarse[1], fine[1])
    cut = [maps[:, :, (begin - origin) // stride :, (begin - origin) // stride :] for maps, origin in (coarse, fine)]
    height, width = (min(maps.shape[axis] for maps in cut) for axis in (2, 3))
    return cut[0][:, :, :height, :width] + cut[1][:, :, :height, :width], begin


def crop(maps: Tensor, offset: int, height: int, width: int) -> Tensor:
    """Return the (B, C, height, width) part of maps that begins `offset` cells from the top and the left."""
    return maps[:, :, offset : offset + height, offset : offset + width]


def build(spec: ModelSpec) -> nn.Module:
    """Build the network over VGG-16, or over any timm backbone with stages of strides 8, 16 and 32."""
    return Fcn(spec, options_of(sys.modules[__name__], spec))
