"""LeNet-5 (LeCun et al. 1998, Proceedings of the IEEE 86(11)), the first of the convolutional networks.

Convolutions of 5 x 5, averages of 2 x 2 with one weight and one bias per map, and the squashing 1.7159 tanh(2/3 a). A
third of its convolution C3 is left out by the paper's table of connections. It has 60,000 parameters up to F6, of
images with one channel.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

AMPLITUDE, SLOPE = 1.7159, 2 / 3
# The maps of S2 that each of the 16 maps of C3 sees (table I): three or four in a row, four in two pairs, all six.
CONNECTIONS = (
    *(tuple((first + step) % 6 for step in range(3)) for first in range(6)),
    *(tuple((first + step) % 6 for step in range(4)) for first in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    tuple(range(6)),
)


def spread_weights(weight: Tensor, inputs: float) -> None:
    """Fill a weight evenly with variance 1 / inputs, which keeps the spread of what passes through (LeCun 1998)."""
    nn.init.uniform_(weight, -math.sqrt(3 / inputs), math.sqrt(3 / inputs))


class Squash(nn.Module):
    """The activation 1.7159 tanh(2/3 a)."""

    def forward(self, values: Tensor) -> Tensor:
        return AMPLITUDE * torch.tanh(SLOPE * values)


class Subsample(nn.Module):
    """The average of 2 x 2 values, with a weight and a bias per map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        halved = functional.avg_pool2d(maps, 2, ceil_mode=True)
        return halved * self.weight[:, None, None] + self.bias[:, None, None]


class PartialConvolution(nn.Module):
    """A convolution each of whose outputs sees only some of the inputs. seen: these, for each output."""

    def __init__(self, seen: tuple[tuple[int, ...], ...], side: int, padding: int) -> None:
        super().__init__()
        self.seen, self.side, self.padding = seen, side, padding
        inputs = max(map(max, seen)) + 1
        outputs = [place for place, maps in enumerate(seen) for _ in maps]
        self.register_buffer("places", torch.tensor([outputs, [one for maps in seen for one in maps]]), False)
        self.shape = (len(seen), inputs, side, side)
        self.weight = nn.Parameter(torch.empty(len(outputs), side, side))
        self.bias = nn.Parameter(torch.zeros(len(seen)))
        spread_weights(self.weight, len(outputs) * side * side / len(seen))

    def forward(self, maps: Tensor) -> Tensor:
        weight = self.weight.new_zeros(self.shape).index_put(tuple(self.places), self.weight)
        return functional.conv2d(maps, weight.to(maps.dtype), self.bias.to(maps.dtype), padding=self.padding)


def lenet_layers(channels: int = 3, padding: int = 0) -> OrderedDict[str, nn.Module]:
    """Build the layers C1 to C5 by name. padding: 0 as published, 2 so that maps cover the image up to its border."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        c1=nn.Conv2d(channels, 6, 5, padding=padding),
        squash1=Squash(),
        s2=Subsample(6),
        squash2=Squash(),
        c3=PartialConvolution(CONNECTIONS, 5, padding),
        squash3=Squash(),
        s4=Subsample(16),
        squash4=Squash(),
        c5=nn.Conv2d(16, 120, 5, padding=padding),
        squash5=Squash(),
    )
    for name, inputs in (("c1", channels * 25), ("c5", 16 * 25)):
        spread_weights(layers[name].weight, inputs)
    return layers


class LeNet(nn.Module):
    """The classifier. Images are (B, channels, 32, 32)."""

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(lenet_layers(channels))
        self.f6 = nn.Linear(120, 84)
        # A linear layer in place of the paper's distances to drawn digits, which other classes do not have.
        self.cls_logits = nn.Linear(84, classes)
        spread_weights(self.f6.weight, 120)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, classes) logits."""
        return self.cls_logits(Squash()(self.f6(self.layers(images).flatten(1))))
