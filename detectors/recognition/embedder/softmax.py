"""The classifier that embeddings replace: one row of weights for each SKU. For comparison, up to some thousand SKUs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Softmax(nn.Module):
    """A linear layer over all classes and cross-entropy: no margin, no sampling, points not brought to length 1."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.classify = nn.Linear(dim, classes)

    def forward(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor:
        """The mean cross-entropy, a scalar. rng: as the other losses take it, not used."""
        return functional.cross_entropy(self.classify(points).float(), labels)

    @torch.no_grad()
    def centres(self) -> Tensor:
        """(C, D) the direction that scores most for each class."""
        return functional.normalize(self.classify.weight.detach().float(), dim=1)


@torch.inference_mode()
def classify(points: Tensor, head: dict[str, Tensor], *, most: int = 5) -> tuple[Tensor, Tensor]:
    """(Q, most) classes by falling score, and their logits. points: (Q, D). head: weights of a Softmax."""
    logits = functional.linear(points.float(), head["classify.weight"].float(), head["classify.bias"].float())
    best = logits.topk(min(most, logits.shape[1]), dim=1)
    return best.indices, best.values
