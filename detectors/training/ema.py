"""The moving average of a network's weights, which is what is validated and saved."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Reached after about 50,000 steps; before that the average covers about the last tenth of the steps.
DECAY = 0.9998


class MovingAverage:
    """Average of floating-point weights and statistics (Tarvainen and Valpola 2017); integers are copied."""

    def __init__(self, model: nn.Module) -> None:
        self.steps = 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float | None = None) -> None:
        """Add the weights after a step. decay: by default it grows with the steps, for short trainings."""
        if decay is None:
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
        """Restore an earlier average."""
        self.steps = steps
        for name, value in weights.items():
            self.weights[name].copy_(value)
