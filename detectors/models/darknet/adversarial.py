"""Self-adversarial training (Bochkovskiy et al. 2020): a network first changes its images so as to see no object."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def deceive(network: nn.Module, images: Tensor, loss: Callable[[Tensor], Tensor], strength: float) -> Tensor:
    """Return (B, 3, H, W) images in 0..1 moved by `strength` along the sign of the gradient that lowers a loss.

    loss: of the network on images, against what it is to be deceived into. The network's weights get no gradients, and
    its buffers, such as the statistics of batch norms, are as before. The step by the sign is that of Goodfellow et al.
    2015 (arXiv 1412.6572).
    """
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    altered = images.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(loss(altered), altered)
    with torch.no_grad():
        for buffer, value in before:
            buffer.copy_(value)
        return (altered - strength * slope.sign()).clamp(0, 1)
