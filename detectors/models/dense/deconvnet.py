"""DeconvNet (Noh et al. 2015): VGG-16 down to one vector, and its mirror of unpoolings and transposed convolutions.

arXiv 1505.04366. Between them two fully connected layers take a window of 7 x 7 cells, the whole of an image of 224 px,
and a transposed convolution of that size gives it back; in larger images all of them slide. Every layer has batch norm.
Left out: training in two stages, first on crops around objects, and summing up the answers for 50 proposals of an
image. Here images are whole, at the size of the network, and the augmentation's zooms take the place of crops. Objects
are connected regions of one class, so that products of one class that touch are one.
"""

from __future__ import annotations

import sys
from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import SynthError
from detectors.models.dense.segnet import Pooled
from detectors.models.dense.semantic import NOT_EXPORTED as NOT_EXPORTED
from detectors.models.dense.semantic import SemanticNetwork, SemanticOptions
from detectors.models.dense.upsampling import unpool
from detectors.models.dense.vgg import FULL, STAGES, WIDTH, WINDOW
from detectors.models.interface import options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.spec import ModelSpec

LONG_SIDE = 512
FIXED_SIZE = None
LEARNING_RATE = 5e-4
NEEDS_MASKS = True
TAKES_BACKBONE = False
TORCHVISION = (None, "VGG16_BN_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
SMALLEST = {"width": 12, "window": 1}
# Stride of the last pooling.
STRIDE = 32


class Options(SemanticOptions):
    """Options of the network."""

    width: int = Field(WIDTH, ge=4, le=WIDTH, description="Channels of VGG's first stage; the others follow from it.")
    window: int = Field(
        WINDOW, ge=1, le=WINDOW, description="Cells of 32 px across the fully connected layer: images must be as large."
    )


class _Norm(nn.BatchNorm2d):
    """Batch norm that takes its running statistics where a batch has a single value of each channel."""

    def forward(self, maps: Tensor) -> Tensor:
        if maps.numel() > maps.shape[1]:
            return super().forward(maps)
        return functional.batch_norm(maps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def _layer(convolution: nn.Conv2d | nn.ConvTranspose2d, outputs: int) -> nn.Sequential:
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, _Norm(outputs), nn.ReLU(inplace=True))


def _transposed(inputs: int, outputs: int, side: int = 3, padding: int = 1) -> nn.Sequential:
    return _layer(nn.ConvTranspose2d(inputs, outputs, side, padding=padding, bias=False), outputs)


class DeconvNet(SemanticNetwork):
    """The network (interface.SemanticDetector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__(spec, options.min_area)
        width, window = options.width, options.window
        last, full = width * STAGES[-1][-1], width * FULL
        self.backbone = Pooled(width)
        self.middle = nn.Sequential(
            _layer(nn.Conv2d(last, full, window, bias=False), full),
            _layer(nn.Conv2d(full, full, 1, bias=False), full),
            _transposed(full, last, window, padding=0),
        )
        self.decoder = _decoder_stages(width)
        self.cls_logits = nn.Conv2d(width, 1 + spec.classes, 1)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the decoder's last map, of the image's size."""
        maps, poolings = self.backbone(normalised(images, self.spec))
        maps = self.middle(maps)
        for stage, (places, size) in zip(self.decoder, reversed(poolings), strict=True):
            maps = stage(unpool(maps, places, size))
        return [maps]

    def segment(self, images: Tensor) -> Tensor:
        """Return the scores of all pixels."""
        return self.cls_logits(self.features(images)[0])


def _decoder_stages(width: int) -> nn.ModuleList:
    """Return transposed convolutions that mirror VGG's stages from the last to the first; the first ends with 64."""
    stages = []
    below = [STAGES[0][0], *(stage[-1] for stage in STAGES[:-1])]
    for stage, outputs in zip(reversed(STAGES), reversed(below), strict=True):
        pairs = pairwise([*stage, outputs])
        stages.append(nn.Sequential(*(_transposed(width * one, width * other) for one, other in pairs)))
    return nn.ModuleList(stages)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network; its encoder is always VGG-16. Raises SynthError for images smaller than its window."""
    options = options_of(sys.modules[__name__], spec)
    least = options.window * STRIDE
    if min(spec.width, spec.height) < least:
        raise SynthError(
            "the images are smaller than the window of deconvnet",
            code="setting-invalid",
            found=f"--size {spec.width}x{spec.height}",
            expected=f"at least {least}x{least}",
            hint="give a larger --size, or --detector-option window=N with N cells of 32 px",
        )
    return DeconvNet(spec, options)
