"""The layers of VGG-16 (Simonyan and Zisserman 2015, arXiv 1409.1556) as networks for pixels use them.

Names and shapes are those of torchvision's VGG-16, whose weights fit.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vgg import make_layers

# Channels of the convolutions of the five stages in units of `width`, which is 64 as published.
STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
WIDTH = 64
# Channels of the fully connected layers in the same unit: 4096.
FULL = 64
# Cells that the first of them takes: those of the last stage of an image of 224 px.
WINDOW = 7


def vgg_layers(width: int, *, batch_norm: bool) -> nn.Sequential:
    """Return the thirteen convolutions with their ReLUs and the five poolings."""
    plan: list[str | int] = []
    for stage in STAGES:
        plan += [*(width * count for count in stage), "M"]
    layers = make_layers(plan, batch_norm=batch_norm)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return layers


def stages_of(layers: nn.Sequential) -> list[nn.Sequential]:
    """Return the layers of each stage without the pooling that ends it."""
    ends = [-1, *(place for place, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d))]
    return [layers[start + 1 : end] for start, end in pairwise(ends)]


class SlidingLinear(nn.Linear):
    """A fully connected layer slid over a feature map, as a convolution of `side` x `side` cells without padding.

    Its weights have the shape of the layer of a classifier, from which they can be taken (Long et al. 2015, section
    3.1).
    """

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__(inputs * side * side, outputs)
        self.side = side

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, outputs, h - side + 1, w - side + 1) of (B, inputs, h, w) maps."""
        weight = self.weight.view(self.out_features, -1, self.side, self.side)
        return functional.conv2d(maps, weight, self.bias)
