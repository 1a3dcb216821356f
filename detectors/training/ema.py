"""The moving average of a network's weights: steadier than the weights themselves, and what is evaluated and kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Reached after some 50,000 steps; before, the average reaches back over a tenth of the steps made.
DECAY = 0.9998


class MovingAverage:
    """Average of the floating-point weights and statistics; whole numbers are copied (Tarvainen and Valpola 2017)."""

    def __init__(self, model: nn.Module) -> None:
        self.steps = 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes one step's weights in. The decay grows with the steps, so that a short training is averaged as well."""
        decay = min(DECAY, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averages.append(self.weights[name])
                values.append(value.detach())
            else:
                self.weights[name].copy_(value)
        torch._foreach_lerp_(averages, values, 1 - decay)

    def load(self, weights: dict[str, Tensor], steps: int) -> None:
        """Goes on from an earlier average."""
        self.steps = steps
        for name, value in weights.items():
            self.weights[name].copy_(value)
