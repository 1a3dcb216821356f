"""Embedders for inference, identified by a fingerprint of everything that affects their vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from detectors.checkpoints.pretrained import packaged_weights, timm_weights
from detectors.checkpoints.weights import IMAGENET, NONE, PACKAGED, fit_weights, read_weights
from detectors.device import pick_device
from detectors.recognition.embedder.checkpoint import load_embedder_checkpoint
from detectors.recognition.embedder.crops import ImageArray, fit_square, prepare_crop
from detectors.recognition.embedder.network import MARGIN, EmbedderSpec, EmbeddingNet, check_maps, make_spec

__all__ = ["Embedder", "load_embedder", "new_embedder", "prepare_crop"]

# Version of how crops are cut, fitted and normalised, apart from the spec. Increase it when that code changes its
# results: galleries built before are then rejected.
PREPROCESSING = 1
# Seed of untrained heads, so that the same backbone gives the same embedder everywhere.
HEAD_SEED = 0


class Embedder:
    """An embedding network on its device. side: of its square input, in pixels. dim: length of its vectors.

    margin: for `prepare_crop`. fingerprint: SHA-256 over weights, architecture and preprocessing; only vectors of
    embedders with the same fingerprint can be compared.
    """

    def __init__(self, spec: EmbedderSpec, net: EmbeddingNet, device: torch.device) -> None:
        self.spec = spec
        self.side, self.dim, self.margin = spec.side, spec.dim, spec.margin
        self.fingerprint = fingerprint(spec, net.state_dict())
        self.device = device
        self.net = net.eval().to(device, memory_format=torch.channels_last)
        self._mean, self._std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (spec.mean, spec.std)
        )

    def embed(self, crops: Iterable[ImageArray], *, batch: int = 64) -> NDArray[np.float32]:
        """Embed crops as (N, dim) unit vectors. crops: (H, W, 3) uint8 RGB of any size, read `batch` at a time."""
        vectors = [self.embed_squares(squares).cpu().numpy() for squares in self.squares(crops, batch=batch)]
        return np.concatenate([np.zeros((0, self.dim), np.float32), *vectors])

    def squares(self, crops: Iterable[ImageArray], *, batch: int = 64) -> Iterator[Tensor]:
        """Yield crops fitted to the network's input, (B, side, side, 3) uint8, `batch` at a time."""
        remaining = iter(crops)
        while some := list(islice(remaining, batch)):
            yield torch.from_numpy(np.stack([fit_square(crop, self.side) for crop in some]))

    def embed_squares(self, squares: Tensor) -> Tensor:
        """Embed fitted crops as (B, dim) float32 unit vectors on the embedder's device."""
        return functional.normalize(self.points(squares), dim=1)

    @torch.inference_mode()
    def points(self, squares: Tensor) -> Tensor:
        """Return (B, dim) float32 vectors before normalisation to length 1, the input of a classifier."""
        images = normalise(squares.to(self.device), self._mean, self._std)
        return self.net.points(images.contiguous(memory_format=torch.channels_last)).float()


def normalise(squares: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Convert (B, S, S, 3) uint8 to normalised (B, 3, S, S) float32. mean, std: (1, 3, 1, 1), of values in 0..1."""
    return (squares.permute(0, 3, 1, 2).to(torch.float32) / 255 - mean) / std


def load_embedder(path: Path, *, device: str = "auto") -> Embedder:
    """Load the embedder of a run's folder (its best checkpoint) or of a checkpoint file.

    Raises SynthError for anything else, such as a detector.
    """
    checkpoint = load_embedder_checkpoint(path)
    net = EmbeddingNet(checkpoint.spec)
    net.load_state_dict(checkpoint.weights)
    return Embedder(checkpoint.spec, net, pick_device(device))


def new_embedder(
    backbone: str, *, dim: int, side: int, weights: str | Path, device: str = "auto", margin: float = MARGIN
) -> Embedder:
    """Build an untrained embedder: pretrained features and an orthonormal projection, a usable baseline.

    weights: of the backbone, "none", "imagenet", "packaged" or a file. Raises SynthError if they are unavailable or do
    not fit.
    """
    spec = make_spec(backbone, dim=dim, side=side, margin=margin)
    net, _ = build_net(spec, str(weights))
    return Embedder(spec, net, pick_device(device))


def build_net(spec: EmbedderSpec, weights: str) -> tuple[EmbeddingNet, list[str]]:
    """Build an untrained network with pretrained weights in its backbone; also return messages on what was loaded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(HEAD_SEED)
        net = EmbeddingNet(spec)
    check_maps(net, spec)
    if weights == NONE:
        return net, [f"weights: randomly initialised (--weights {NONE})"]
    if weights == IMAGENET:
        state, source = timm_weights(spec.backbone)
    elif weights == PACKAGED:
        state, source = packaged_weights(spec.backbone), "ImageNet, packaged"
    else:
        state, source = read_weights(Path(weights))[0], Path(weights).name
    return net, fit_weights(net, state, source).lines()


def fingerprint(spec: EmbedderSpec, weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 over architecture, preprocessing and all weights; it is the same on every device."""
    digest = hashlib.sha256(json.dumps([PREPROCESSING, asdict(spec)], sort_keys=True).encode())
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
