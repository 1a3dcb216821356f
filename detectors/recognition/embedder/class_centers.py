"""Initialise class centers from pretrained features (weight imprinting, Qi, Brown and Lowe 2018).

With thousands of classes, most of which are not in a batch, random centers first pull all crops onto one point, which
destroys the pretrained features for good. With centers that start at the crops of their class, the network only has to
learn the remaining differences.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from assets.progress import StepProgress
from detectors.data.mix import stream
from detectors.recognition.embedder.crop_store import CropSource, prepared_crops
from detectors.recognition.embedder.load import Embedder
from detectors.recognition.embedder.losses import ClassCenters
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet
from detectors.recognition.embedder.sampling import EmbedderStream
from detectors.recognition.embedder.training_crops import TrainingCrops

# Maximum number of crops used per class, and for all classes together: an hour on one core.
OF_EACH, MOST = 6, 500_000
# Crops from which mean and variance of the features are estimated.
MEASURED = 4096
# Number of classes whose crops are embedded together.
BLOCK = 256
# Length of the noise added to centers of a class that start at the same crop: equal ones would stay equal.
NOISE = 0.05


def init_class_centers(
    net: EmbeddingNet,
    loss: nn.Module,
    spec: EmbedderSpec,
    crops: TrainingCrops,
    *,
    device: torch.device,
    seed: int,
    console: Console,
) -> None:
    """Set the statistics of a new network's last norm, and the loss's class centers if any, from unaugmented crops."""
    source, pools = crops.source, crops.pools
    classes = np.flatnonzero(pools.counts() > 0)
    rng, embedder = stream(seed, EmbedderStream.IMPRINT), Embedder(spec, net, device)
    if int(net.norm.num_batches_tracked or 0) == 0:
        _set_norm(embedder, source, rng.permutation(pools.order)[:MEASURED])
    if not isinstance(loss, ClassCenters):
        return
    most = int(np.clip(MOST // max(len(classes), 1), 1, OF_EACH))
    with StepProgress(console, "centers", total=len(classes), unit="SKUs") as progress:
        for start in range(0, len(classes), BLOCK):
            block = classes[start : start + BLOCK]
            chosen = [rng.permutation(pools.crops(int(label)))[:most] for label in block]
            vectors = embedder.embed(prepared_crops(source, np.concatenate(chosen), spec.margin))
            parts = np.split(vectors, np.cumsum([len(some) for some in chosen])[:-1])
            for label, part in zip(block, parts, strict=True):
                loss.set_centers(int(label), spread_out(part, loss.per_class, rng=rng))
            progress.count(len(block))


def _set_norm(embedder: Embedder, source: CropSource, places: NDArray[np.int64]) -> None:
    squares = embedder.squares(prepared_crops(source, places, embedder.margin))
    points = torch.cat([embedder.points(some) for some in squares])
    mean, variance = embedder.net.norm.running_mean, embedder.net.norm.running_var
    assert mean is not None and variance is not None
    mean.copy_(points.mean(dim=0))
    variance.copy_(points.var(dim=0, correction=0))


def spread_out(
    points: NDArray[np.float32], count: int, *, rng: np.random.Generator, noise: float = NOISE
) -> NDArray[np.float32]:
    """Cluster (N, D) unit vectors around seeds that are far apart, and return (count, D) unit mean directions.

    With fewer points than `count`, clusters are repeated; noise of length `noise` makes equal ones differ.
    """
    far = [0]
    while len(far) < min(count, len(points)):
        far.append(int((points @ points[far].T).max(axis=1).argmin()))
    nearest = (points @ points[far].T).argmax(axis=1)
    means = _directions(np.stack([points[nearest == group].mean(axis=0) for group in range(len(far))]))
    chosen = means[np.arange(count) % len(far)]
    return _directions(chosen + noise / np.sqrt(chosen.shape[1]) * rng.standard_normal(chosen.shape, np.float32))


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
