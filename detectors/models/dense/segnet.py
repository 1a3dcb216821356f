"""SegNet (Badrinarayanan et al. 2017): an encoder and a decoder that puts values back where poolings found them.

arXiv 1511.00561. The encoder is VGG-16 without its fully connected layers, with batch norm; the decoder mirrors it and
enlarges by max unpooling with the encoder's indices. Classes are weighted by median frequency (section 3.1; Eigen and
Fergus 2015): w_c = median of f / f_c, where f_c is the share of class c in the pixels of the images that show it, of
all images trained on so far. Objects are connected regions of one class, so that products of one class that touch are
one.
"""

from __future__ import annotations

import sys
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from detectors.models.dense.semantic import NOT_COUNTED, SemanticNetwork, SemanticOptions
from detectors.models.dense.semantic import NOT_EXPORTED as NOT_EXPORTED
from detectors.models.dense.upsampling import bilinear_kernel, enlarge_nails, enlarge_nearest, pool, spread, unpool
from detectors.models.dense.vgg import STAGES, WIDTH, stages_of, vgg_layers
from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.spec import ModelSpec

LONG_SIDE = 480
FIXED_SIZE = None
LEARNING_RATE = 5e-4
NEEDS_MASKS = True
TAKES_BACKBONE = False
TORCHVISION = (None, "VGG16_BN_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
SMALLEST = {"width": 12}


class Options(SemanticOptions):
    """Options of the network."""

    upsampling: Literal["max-unpooling", "nearest", "bed-of-nails", "transposed"] = Field(
        "max-unpooling", description="How the decoder enlarges its maps; transposed is fixed linear interpolation."
    )
    balance: bool = Field(True, description="Weight classes by median frequency; otherwise all pixels count alike.")
    width: int = Field(WIDTH, ge=4, le=WIDTH, description="Channels of VGG's first stage; the others follow from it.")


class Pooled(nn.Module):
    """The convolutions of VGG-16 with batch norm, with the indices and sizes of its poolings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = vgg_layers(width, batch_norm=True)

    def forward(self, images: Tensor) -> tuple[Tensor, list[tuple[Tensor, tuple[int, int]]]]:
        """Return the last pooled maps and, from the first pooling on, the place of each maximum and the size before."""
        maps, poolings = images, []
        for stage in stages_of(self.features):
            before = stage(maps)
            maps, places = pool(before)
            poolings.append((places, (before.shape[2], before.shape[3])))
        return maps, poolings


def decoder_stages(width: int) -> nn.ModuleList:
    """Return convolutions that mirror VGG's, from its last stage to its first, without the very last convolution."""
    channels = [width * count for stage in STAGES for count in stage]
    # Each takes what its twin gives: the last of VGG gives 512 of 512 channels, its first 64 of the image's 3.
    pairs = list(zip(channels[1:], channels[:-1], strict=True))[::-1]
    stages, place = [], 0
    for stage in reversed(STAGES):
        convolutions = [_convolution(*pair) for pair in pairs[place : place + len(stage)]]
        stages.append(nn.Sequential(*convolutions))
        place += len(stage)
    return nn.ModuleList(stages)


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    nn.init.kaiming_normal_(layers[0].weight, nonlinearity="relu")
    return nn.Sequential(*layers)


class SegNet(SemanticNetwork):
    """The network (interface.SemanticDetector). pixels: of `class_pixels`, summed over the images trained on."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__(spec, options.min_area)
        self.options = options
        self.backbone = Pooled(options.width)
        self.decoder = decoder_stages(options.width)
        self.cls_logits = nn.Conv2d(options.width, 1 + spec.classes, 3, padding=1)
        self.register_buffer("kernel", bilinear_kernel(2), persistent=False)
        self.register_buffer("pixels", torch.zeros(2, 1 + spec.classes, dtype=torch.long))

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the decoder's last map, of the image's size."""
        maps, poolings = self.backbone(normalised(images, self.spec))
        for stage, (places, size) in zip(self.decoder, reversed(poolings), strict=True):
            maps = stage(self._enlarge(maps, places, size))
        return [maps]

    def segment(self, images: Tensor) -> Tensor:
        """Return the scores of all pixels."""
        return self.cls_logits(self.features(images)[0])

    def class_weights(self, wanted: Tensor) -> Tensor | None:
        """Return the weights by median frequency in all images so far and these, unless all pixels count alike."""
        if not self.options.balance:
            return None
        pixels = self.get_buffer("pixels")
        seen = pixels + class_pixels(wanted, self.spec.classes)
        if self.training:
            pixels.copy_(seen)
        return median_frequency(seen)

    def _enlarge(self, maps: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
        if self.options.upsampling == "max-unpooling":
            return unpool(maps, places, size)
        if self.options.upsampling == "transposed":
            made = spread(maps, self.kernel)[:, :, 1:-1, 1:-1]
        else:
            made = enlarge_nearest(maps) if self.options.upsampling == "nearest" else enlarge_nails(maps)
        # Poolings drop the last row and column of odd maps.
        return nn.functional.pad(made, (0, size[1] - made.shape[3], 0, size[0] - made.shape[2]))


def class_pixels(wanted: Tensor, classes: int) -> Tensor:
    """Return (2, 1 + C) int64: the pixels of background and of each class, and those of the images that show it.

    wanted: (B, H, W) int64, NOT_COUNTED for pixels that are left out.
    """
    counts = torch.stack([torch.bincount(one[one != NOT_COUNTED].flatten(), minlength=1 + classes) for one in wanted])
    return torch.stack([counts.sum(0), ((counts > 0) * counts.sum(1, keepdim=True)).sum(0)])


def median_frequency(pixels: Tensor) -> Tensor:
    """Return the (1 + C,) weights median(f) / f_c of background and classes; 1 for those that do not occur.

    pixels: of `class_pixels`. f_c: pixels of class c over the pixels of the images in which it occurs (Eigen and Fergus
    2015, arXiv 1411.4734).
    """
    counts, shown = pixels
    present = shown > 0
    weights = torch.ones(len(counts), device=pixels.device)
    if present.any():
        frequency = counts[present] / shown[present]
        # The mean of the two in the middle where they are an even number.
        weights[present] = frequency.quantile(0.5) / frequency
    return weights


def build(spec: ModelSpec) -> nn.Module:
    """Build the network; its encoder is always VGG-16."""
    return SegNet(spec, options_of(sys.modules[__name__], spec))
