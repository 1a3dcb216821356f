"""The stacked hourglass network (Newell et al. 2016, arXiv 1603.06937): down to a sixteenth and up again, repeated.

Residual blocks are bottlenecks with the norm before each convolution (He et al. 2016), maps are enlarged by repetition
and added to what was there at the same size. Each hourglass predicts, and its features and predictions are led back
into the next one: x + conv(features) + conv(predictions) (section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# How often an hourglass halves its maps.
ORDER = 4


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, norm and ReLU before each, beside a skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, half, 1)),
            *(nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, half, 3, padding=1)),
            *(nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, outputs, 1)),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.skip(maps) + self.layers(maps)


class Hourglass(nn.Module):
    """Maps of one size to maps of the same size, by way of maps whose sides are halved `order` times."""

    def __init__(self, width: int, order: int = ORDER) -> None:
        super().__init__()
        self.beside, self.down, self.up = (Bottleneck(width, width) for _ in range(3))
        self.inner = Hourglass(width, order - 1) if order > 1 else Bottleneck(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        beside = self.beside(maps)
        # Odd sides are rounded up, and what is too much is cut off when they are doubled.
        low = self.up(self.inner(self.down(functional.max_pool2d(maps, 2, ceil_mode=True))))
        doubled = low.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return beside + doubled[:, :, : maps.shape[2], : maps.shape[3]]


class Stem(nn.Sequential):
    """The layers from the image to maps of stride 4: a convolution of 7 x 7, three bottlenecks, one pooling."""

    def __init__(self, width: int) -> None:
        quarter, half = max(width // 4, 8), max(width // 2, 8)
        super().__init__(
            nn.Conv2d(3, quarter, 7, stride=2, padding=3),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            Bottleneck(quarter, half),
            nn.MaxPool2d(2, ceil_mode=True),
            Bottleneck(half, half),
            Bottleneck(half, width),
        )


class Stack(nn.Module):
    """Hourglasses behind each other, each with 1 x 1 heads of as many channels as given."""

    def __init__(self, width: int, count: int, heads: Sequence[tuple[str, int]]) -> None:
        super().__init__()
        self.hourglasses = nn.ModuleList(
            nn.Sequential(Hourglass(width), Bottleneck(width, width)) for _ in range(count)
        )
        self.lines = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            for _ in range(count)
        )
        self.heads = nn.ModuleList(
            nn.ModuleDict({name: nn.Conv2d(width, channels, 1) for name, channels in heads}) for _ in range(count)
        )
        self.features_back = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(count - 1))
        self.predictions_back = nn.ModuleList(
            nn.ModuleDict({name: nn.Conv2d(channels, width, 1) for name, channels in heads}) for _ in range(count - 1)
        )

    def forward(self, maps: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Return the features of the last hourglass and the predictions of each by the names of the heads."""
        predictions: list[dict[str, Tensor]] = []
        for place, (hourglass, line) in enumerate(zip(self.hourglasses, self.lines, strict=True)):
            found = line(hourglass(maps))
            predictions.append({name: head(found) for name, head in self.heads[place].items()})
            if place < len(self.features_back):
                back = self.predictions_back[place]
                led = [back[name](value) for name, value in predictions[-1].items()]
                maps = maps + self.features_back[place](found) + torch.stack(led).sum(0)
        return found, predictions
