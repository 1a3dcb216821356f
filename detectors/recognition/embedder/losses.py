"""Losses that pull crops of one SKU together and push look-alikes apart, for as many SKUs as there are.

All take points (B, D), which they bring to length 1 themselves, and labels (B,) int64. Centres are the rows of one
table that is looked up, so that its gradient is sparse: a step costs memory for the rows it used, however many there
are. 170,000 classes of 512 numbers take 1.0 GB with the two moments of Adam, times the centres of a class.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import unknown_name

# Sub-centre ArcFace. Angle added to the right class, radians; what its authors use for many classes.
MARGIN = 0.3
# Of the cosines before the softmax: as in the paper for few classes and for many.
SCALE = 30.0
# A pack seen from the front and from the back shares little: each side may have its own centre.
SUBCENTRES = 3
# Proxy-Anchor: both as published.
ALPHA, DELTA = 32.0, 0.1


class Loss(Protocol):
    """What a training needs of a loss: a module called with points, labels and chance."""

    def __call__(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor: ...

    def centres(self) -> Tensor:
        """(C, D) one point of length 1 for each class, without gradient."""
        ...


class Centres(nn.Module):
    """A table of class centres of which a share takes part in a step (Partial FC, An et al. 2021).

    share: of the classes that every step sees beside those of its batch. per_class: rows of each class.
    """

    def __init__(self, classes: int, dim: int, *, share: float, per_class: int = 1) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"a share of {share} of the classes")
        self.classes, self.per_class, self.share = classes, per_class, share
        self.table = nn.Parameter(torch.randn(classes * per_class, dim) / math.sqrt(dim))

    @torch.no_grad()
    def imprint(self, label: int, centres: np.ndarray) -> None:
        """Puts the (per_class, D) centres of a class where they are given, of length 1."""
        rows = slice(label * self.per_class, (label + 1) * self.per_class)
        # As long as random ones: a step of Adam turns both alike.
        self.table[rows] = torch.from_numpy(np.asarray(centres, np.float32)).to(self.table.device)

    def sampled(self, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(S,) classes that take part, rising, and (B,) where each label is among them."""
        taken = torch.from_numpy(sample_classes(labels.cpu().numpy(), self.classes, self.share, rng=rng))
        taken = taken.to(labels.device)
        return taken, torch.searchsorted(taken, labels)

    def cosines(self, points: Tensor, taken: Tensor) -> Tensor:
        """(B, S) cosine of each point to the nearest centre of each class that takes part."""
        rows = (taken[:, None] * self.per_class + torch.arange(self.per_class, device=taken.device)).flatten()
        centres = functional.normalize(functional.embedding(rows, self.table, sparse=True).float(), dim=1)
        near = functional.normalize(points.float(), dim=1) @ centres.T
        return near.view(len(points), len(taken), self.per_class).amax(dim=2)

    @torch.no_grad()
    def centres(self) -> Tensor:
        """(C, D) the mean direction of each class's centres, of length 1."""
        rows = functional.normalize(self.table.detach().float(), dim=1)
        return functional.normalize(rows.view(self.classes, self.per_class, -1).mean(dim=1), dim=1)


def sample_classes(labels: np.ndarray, classes: int, share: float, *, rng: np.random.Generator) -> np.ndarray:
    """(S,) int64 rising: the classes of a batch and, beside them, `share` of all, each as likely as any other."""
    if share >= 1:
        return np.arange(classes)
    others = rng.choice(classes, math.ceil(share * classes), replace=False, shuffle=False)
    return np.union1d(labels, others).astype(np.int64)


class SubcentreArcFace(Centres):
    """Cross-entropy over cosines with an angle added to the right class (Deng et al. 2019), to the nearest of several
    centres of each class (Deng et al. 2020).
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        share: float = 1.0,
        per_class: int = SUBCENTRES,
        margin: float = MARGIN,
        scale: float = SCALE,
    ) -> None:
        super().__init__(classes, dim, share=share, per_class=per_class)
        self.margin, self.scale = margin, scale

    def forward(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor:
        """The mean loss of the batch, a scalar."""
        taken, place = self.sampled(labels, rng)
        cosines = self.cosines(points, taken)
        right = cosines.gather(1, place[:, None])
        logits = cosines.scatter(1, place[:, None], self._moved(right))
        return functional.cross_entropy(self.scale * logits, place)

    def _moved(self, cosine: Tensor) -> Tensor:
        """cos(angle + margin); past a half turn, where that would rise again, a line that falls on."""
        # The root has no slope at 1: points on their centre must not give nan.
        sine = (1 - cosine.square()).clamp(min=1e-7).sqrt()
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        return torch.where(cosine > -math.cos(self.margin), turned, cosine - self.margin * math.sin(self.margin))


class ProxyAnchor(Centres):
    """Every class's centre pulls its own points and pushes all others, the hardest most (Kim et al. 2020)."""

    def __init__(
        self, classes: int, dim: int, *, share: float = 1.0, alpha: float = ALPHA, delta: float = DELTA
    ) -> None:
        super().__init__(classes, dim, share=share)
        self.alpha, self.delta = alpha, delta

    def forward(self, points: Tensor, labels: Tensor, *, rng: np.random.Generator) -> Tensor:
        """The loss of the batch, a scalar: mean over classes in the batch, plus mean over classes that take part."""
        taken, place = self.sampled(labels, rng)
        cosines = self.cosines(points, taken)
        own = functional.one_hot(place, len(taken)).bool()
        pull = (-self.alpha * (cosines - self.delta)).masked_fill(~own, -math.inf)
        push = (self.alpha * (cosines + self.delta)).masked_fill(own, -math.inf)
        pulled, pushed = (_log_one_plus_sum(terms) for terms in (pull, push))
        return pulled[own.any(dim=0)].mean() + pushed.mean()


def _log_one_plus_sum(exponents: Tensor) -> Tensor:
    """(S,) log(1 + sum over rows of exp), without overflow; 0 where all are -inf."""
    return torch.cat([exponents.new_zeros(1, exponents.shape[1]), exponents]).logsumexp(dim=0)


LOSSES = ("arcface", "proxy", "softmax")


def make_loss(name: str, classes: int, dim: int, *, share: float) -> nn.Module:
    """The loss of that name, its centres drawn at random. Raises SynthError for an unknown name."""
    from detectors.recognition.embedder.softmax import Softmax

    if name == "arcface":
        return SubcentreArcFace(classes, dim, share=share)
    if name == "proxy":
        return ProxyAnchor(classes, dim, share=share)
    if name == "softmax":
        return Softmax(classes, dim)
    raise unknown_name("loss", name, LOSSES)


def state_bytes(classes: int, dim: int, per_class: int) -> int:
    """Bytes that centres take in training: the table and two moments of Adam, float32 (gradients are sparse)."""
    return 3 * 4 * classes * per_class * dim
