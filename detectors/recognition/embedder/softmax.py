"""A plain softmax classifier over SKUs, as a baseline for embeddings, for up to some thousand SKUs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Softmax(nn.Module):
    """A linear layer and cross-entropy over all classes: no margin, no sampling, embeddings not normalised."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.classify = nn.Linear(dim, classes)

    def forward(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor:
        """Return the mean cross-entropy, a scalar. rng: unused, for the interface of losses."""
        return functional.cross_entropy(self.classify(points).float(), labels)

    @torch.no_grad()
    def centers(self) -> Tensor:
        """Return (C, D) the direction of each class's weights, as unit vectors."""
        return functional.normalize(self.classify.weight.detach().float(), dim=1)


@torch.inference_mode()
def classify(points: Tensor, head: dict[str, Tensor], *, most: int = 5) -> tuple[Tensor, Tensor]:
    """Return the (Q, most) best classes by falling logit, and the logits. points: (Q, D). head: of a Softmax."""
    logits = functional.linear(points.float(), head["classify.weight"].float(), head["classify.bias"].float())
    best = logits.topk(min(most, logits.shape[1]), dim=1)
    return best.indices, best.values
