"""Metric learning losses that scale to any number of SKUs.

All take embeddings (B, D), which they normalise themselves, and labels (B,) int64. Class centers are rows of an
embedding table with sparse gradients, so that a step only needs memory for the rows it uses. 170,000 classes of 512
values take 1.0 GB with the two moments of Adam, times the number of centers per class.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import unknown_name

# Sub-center ArcFace: angle in radians added to the true class, the authors' value for many classes.
MARGIN = 0.3
# Factor on the cosines before the softmax (64 in the paper of ArcFace).
SCALE = 30.0
# Front and back of a pack have little in common, so each side may have its own center.
SUBCENTERS = 3
# Parameters of Proxy-Anchor as published.
ALPHA, DELTA = 32.0, 0.1


class Loss(Protocol):
    """The interface of losses: a module called with embeddings, labels and a random number generator."""

    def __call__(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor: ...

    def centers(self) -> Tensor:
        """Return (C, D) one unit vector for each class, without gradient."""
        ...


class ClassCenters(nn.Module):
    """A table of class centers, a part of which is used in each step (Partial FC, An et al. 2021).

    share: fraction of all classes used in a step beside those of its batch. per_class: centers of each class.
    """

    def __init__(self, classes: int, dim: int, *, share: float, per_class: int = 1) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"a share of {share} of the classes")
        self.classes, self.per_class, self.share = classes, per_class, share
        self.table = nn.Parameter(torch.randn(classes * per_class, dim) / math.sqrt(dim))

    @torch.no_grad()
    def set_centers(self, label: int, centers: np.ndarray) -> None:
        """Set the centers of a class to (per_class, D) unit vectors."""
        rows = slice(label * self.per_class, (label + 1) * self.per_class)
        # Random centers have about unit length, too, so that a step of Adam rotates both equally.
        self.table[rows] = torch.from_numpy(np.asarray(centers, np.float32)).to(self.table.device)

    def sampled(self, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return (S,) the sampled classes, ascending, and (B,) the index of each label among them."""
        taken = torch.from_numpy(sample_classes(labels.cpu().numpy(), self.classes, self.share, rng=rng))
        taken = taken.to(labels.device)
        return taken, torch.searchsorted(taken, labels)

    def cosines(self, points: Tensor, taken: Tensor) -> Tensor:
        """Return (B, S) the cosine of each embedding to the nearest center of each sampled class."""
        rows = (taken[:, None] * self.per_class + torch.arange(self.per_class, device=taken.device)).flatten()
        centers = functional.normalize(functional.embedding(rows, self.table, sparse=True).float(), dim=1)
        near = functional.normalize(points.float(), dim=1) @ centers.T
        return near.view(len(points), len(taken), self.per_class).amax(dim=2)

    @torch.no_grad()
    def centers(self) -> Tensor:
        """Return (C, D) the mean direction of each class's centers, as unit vectors."""
        rows = functional.normalize(self.table.detach().float(), dim=1)
        return functional.normalize(rows.view(self.classes, self.per_class, -1).mean(dim=1), dim=1)


def sample_classes(labels: np.ndarray, classes: int, share: float, *, rng: np.random.Generator) -> np.ndarray:
    """Return (S,) int64 ascending: the classes of a batch and a uniform sample of a fraction `share` of all classes."""
    if share >= 1:
        return np.arange(classes)
    others = rng.choice(classes, math.ceil(share * classes), replace=False, shuffle=False)
    return np.union1d(labels, others).astype(np.int64)


class SubcenterArcFace(ClassCenters):
    """Cross-entropy over cosines with an angular margin (Deng et al. 2019) and several centers per class, of which the
    nearest counts (Deng et al. 2020).
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        share: float = 1.0,
        per_class: int = SUBCENTERS,
        margin: float = MARGIN,
        scale: float = SCALE,
    ) -> None:
        super().__init__(classes, dim, share=share, per_class=per_class)
        self.margin, self.scale = margin, scale

    def forward(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor:
        """Return the mean loss of a batch, a scalar."""
        taken, place = self.sampled(labels, rng)
        cosines = self.cosines(points, taken)
        right = cosines.gather(1, place[:, None])
        logits = cosines.scatter(1, place[:, None], self._moved(right))
        return functional.cross_entropy(self.scale * logits, place)

    def _moved(self, cosine: Tensor) -> Tensor:
        """Return cos(angle + margin); where angle + margin exceeds pi, a line that continues to fall instead."""
        # The root has an infinite slope at 0: clamping avoids nan for embeddings that coincide with their center.
        sine = (1 - cosine.square()).clamp(min=1e-7).sqrt()
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        return torch.where(cosine > -math.cos(self.margin), turned, cosine - self.margin * math.sin(self.margin))


class ProxyAnchor(ClassCenters):
    """Proxy-Anchor loss (Kim et al. 2020): centers attract their own embeddings and repel others, the hardest most."""

    def __init__(
        self, classes: int, dim: int, *, share: float = 1.0, alpha: float = ALPHA, delta: float = DELTA
    ) -> None:
        super().__init__(classes, dim, share=share)
        self.alpha, self.delta = alpha, delta

    def forward(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor:
        """Return the loss of a batch, a scalar: mean over classes in the batch plus mean over all sampled classes."""
        taken, place = self.sampled(labels, rng)
        cosines = self.cosines(points, taken)
        own = functional.one_hot(place, len(taken)).bool()
        pull = (-self.alpha * (cosines - self.delta)).masked_fill(~own, -math.inf)
        push = (self.alpha * (cosines + self.delta)).masked_fill(own, -math.inf)
        pulled, pushed = (_log_one_plus_sum(terms) for terms in (pull, push))
        return pulled[own.any(dim=0)].mean() + pushed.mean()


def _log_one_plus_sum(exponents: Tensor) -> Tensor:
    """Return (S,) log(1 + sum over rows of exp), without overflow; 0 where all are -inf."""
    return torch.cat([exponents.new_zeros(1, exponents.shape[1]), exponents]).logsumexp(dim=0)


LOSSES = ("arcface", "proxy", "softmax")


def make_loss(name: str, classes: int, dim: int, *, share: float) -> nn.Module:
    """Build a loss by name, with random centers. Raises SynthError for an unknown name."""
    from detectors.recognition.embedder.softmax import Softmax

    if name == "arcface":
        return SubcenterArcFace(classes, dim, share=share)
    if name == "proxy":
        return ProxyAnchor(classes, dim, share=share)
    if name == "softmax":
        return Softmax(classes, dim)
    raise unknown_name("loss", name, LOSSES)


def state_bytes(classes: int, dim: int, per_class: int) -> int:
    """Return the bytes that centers take in training: float32 table and two moments of Adam (gradients are sparse)."""
    return 3 * 4 * classes * per_class * dim
