"""Training on images of changing size (Redmon and Farhadi 2017): another one every ten batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.darknet.grid import Target

STRIDE = 32
BATCHES = 10
# Sides of images, of networks made for sides of 416.
USUAL, LEAST, MOST = 416, 320, 608


class RandomShapes(nn.Module):
    """Scales images and boxes by the same factor for ten batches, then by another: 320/416 to 608/416 by steps of 32.

    The factor is chosen by torch's random numbers in the first of ten batches. It and the number of batches are
    buffers, so that a resumed training goes on with them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("side", torch.full((), USUAL, dtype=torch.long))

    def forward(self, images: Tensor, targets: list[Target]) -> tuple[Tensor, list[Target]]:
        """Return (B, 3, H', W') images, H' and W' multiples of 32, and targets without masks in their pixels."""
        batches, side = self.get_buffer("batches"), self.get_buffer("side")
        if int(batches) % BATCHES == 0:
            # On the CPU, so that devices agree.
            steps = torch.randint(LEAST // STRIDE, MOST // STRIDE + 1, (), device="cpu")
            side.fill_(int(steps) * STRIDE)
        batches.add_(1)
        height, width = (max(STRIDE, STRIDE * round(one * int(side) / USUAL / STRIDE)) for one in images.shape[-2:])
        return resize_inputs(images, targets, width, height)


def resize_inputs(images: Tensor, targets: list[Target], width: int, height: int) -> tuple[Tensor, list[Target]]:
    """Return images scaled to `width` x `height` pixels, and targets, without masks, whose boxes are scaled alike."""
    before_height, before_width = images.shape[-2:]
    if (before_width, before_height) == (width, height):
        return images, targets
    factor = images.new_tensor([width / before_width, height / before_height] * 2)
    scaled = [
        {name: value if name == "labels" else value * factor for name, value in target.items() if name != "masks"}
        for target in targets
    ]
    return functional.interpolate(images, (height, width), mode="bilinear", antialias=True), scaled
