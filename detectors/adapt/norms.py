"""Statistics of batch norms re-estimated on photos: adaptive batch normalisation (Li et al. 2016, arXiv 1603.04779)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from assets.errors import SynthError
from assets.plurals import count_of


class _Moments:
    """Sums of a batch norm's inputs: (C,) of values and of their squares, and the number of values per channel."""

    def __init__(self, channels: int) -> None:
        self.sums, self.squares = (torch.zeros(channels, dtype=torch.float64) for _ in range(2))
        self.count = 0

    def add(self, mean: Tensor, square: Tensor, count: int) -> None:
        self.sums += mean.cpu() * count
        self.squares += square.cpu() * count
        self.count += count

    @property
    def mean(self) -> Tensor:
        return self.sums / self.count

    @property
    def variance(self) -> Tensor:
        return (self.squares / self.count - self.mean.square()).clamp(min=0)


def adaptable_norms(model: nn.Module, detector: str) -> dict[str, nn.BatchNorm2d]:
    """Return the batch norms whose statistics can be re-estimated, by name. Raises SynthError if there are none."""
    norms = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None
    }
    if norms:
        return norms
    kinds = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d, FrozenBatchNorm2d)
    others = [type(part).__name__ for part in model.modules() if isinstance(part, kinds)]
    found = ", ".join(f"{others.count(kind)} {kind}" for kind in sorted(set(others))) or "no norms at all"
    raise SynthError(
        f"{detector} has no batch norms whose statistics could be re-estimated",
        code="method-unsupported",
        found=found,
        expected="layers of BatchNorm2d",
        hint="use another --method, or train with a --backbone that has batch norms",
    )


@torch.no_grad()
def estimate_norms(
    model: nn.Module, norms: dict[str, nn.BatchNorm2d], batches: Iterable[Tensor], photo_share: float = 1.0
) -> Iterator[int]:
    """Set the statistics of batch norms to those of all images, yielding the number of images after each batch.

    Each batch is normalised by its own statistics, so that a layer sees what it will see once those before it are
    changed. batches: (B, 3, H, W) images on the model's device. photo_share: weight of the new statistics beside the
    old ones (Schneider et al. 2020, arXiv 2006.16971).
    """
    model.eval()
    moments = {name: _Moments(part.num_features) for name, part in norms.items()}
    before = {name: _statistics(part) for name, part in norms.items()}
    done = 0
    with _collecting(norms, moments):
        for images in batches:
            model.detect(images)
            done += len(images)
            yield done
    for name, part in norms.items():
        mean, variance = before[name]
        one = moments[name]
        if one.count:  # a head may not run where nothing is detected
            mean, variance = (
                mean.lerp(one.mean.to(mean), photo_share),
                variance.lerp(one.variance.to(mean), photo_share),
            )
        _set(part, mean, variance)


@contextmanager
def _collecting(norms: dict[str, nn.BatchNorm2d], moments: dict[str, _Moments]) -> Iterator[None]:
    """Add every input of the norms to the moments, and normalise it by its own statistics."""

    def collect(name: str) -> Any:
        def hook(part: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].detach().double()
            count = values.numel() // values.shape[1]
            if count:
                mean, square = values.mean((0, 2, 3)), values.square().mean((0, 2, 3))
                moments[name].add(mean, square, count)
                _set(part, mean, (square - mean.square()).clamp(min=0))

        return hook

    hooks = [part.register_forward_pre_hook(collect(name)) for name, part in norms.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _statistics(part: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert part.running_mean is not None and part.running_var is not None
    return part.running_mean.clone(), part.running_var.clone()


def _set(part: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    assert part.running_mean is not None and part.running_var is not None
    part.running_mean.copy_(mean)
    part.running_var.copy_(variance)


def describe_norms(norms: dict[str, nn.BatchNorm2d], frozen: Iterable[str]) -> str:
    """Return how many norms there are, and how many of them training kept frozen, as text."""
    kept = len(set(frozen) & norms.keys())
    return count_of(len(norms), "batch norm") + (f", {kept} of them frozen while training" if kept else "")
