"""Where a training begins: what pretrained features say of each SKU, and not chance.

Among thousands of classes, most of which a batch does not show, random centres pull all crops onto one point before
they have learned anything: pretrained features are lost, and never come back. Class centres that begin at the crops of
their class (imprinted, Qi, Brown and Lowe 2018) leave the network only the differences to learn.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from assets.progress import StepProgress
from detectors.recognition.embedder.crop_store import CropSource, prepared_crops
from detectors.recognition.embedder.load import Embedder
from detectors.recognition.embedder.losses import Centres
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet
from detectors.recognition.embedder.sampling import EmbedderStream, stream
from detectors.recognition.embedder.training_crops import TrainingCrops

# Crops that the centres of a class begin at, and of all classes together: an hour on one core.
OF_EACH, MOST = 6, 500_000
# Crops that tell the mean and the spread of features.
MEASURED = 4096
# Classes whose crops are embedded together.
BLOCK = 256
# Length of what sets the centres of a class apart that begin at one crop: equal ones would stay equal.
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
    """Sets the statistics of a fresh net's last norm and the centres of a loss that has any, from crops as they are."""
    source, pools = crops.source, crops.pools
    classes = np.flatnonzero(pools.counts() > 0)
    rng, embedder = stream(seed, EmbedderStream.IMPRINT), Embedder(spec, net, device)
    if int(net.norm.num_batches_tracked or 0) == 0:
        _set_norm(embedder, source, rng.permutation(pools.order)[:MEASURED])
    if not isinstance(loss, Centres):
        return
    most = int(np.clip(MOST // max(len(classes), 1), 1, OF_EACH))
    with StepProgress(console, "centres", total=len(classes), unit="SKUs") as progress:
        for start in range(0, len(classes), BLOCK):
            block = classes[start : start + BLOCK]
            chosen = [rng.permutation(pools.crops(int(label)))[:most] for label in block]
            vectors = embedder.embed(prepared_crops(source, np.concatenate(chosen), spec.margin))
            parts = np.split(vectors, np.cumsum([len(some) for some in chosen])[:-1])
            for label, part in zip(block, parts, strict=True):
                loss.imprint(int(label), spread_out(part, loss.per_class, rng=rng))
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
    """(count, D) of length 1: the mean directions of groups of (N, D) points of length 1, around points far apart.

    Where there are fewer points than `count`, groups are taken again; noise of that length keeps equal ones apart.
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
