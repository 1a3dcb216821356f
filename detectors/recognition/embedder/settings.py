"""Settings of the training and evaluation of embedders."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, unknown_name
from assets.options import Device, Option, Seed
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.settings import DataSettings
from detectors.training.settings import Augmentation, Readers, RunFolder

if TYPE_CHECKING:
    from detectors.data.image_set import ImageSet


@dataclass(frozen=True)
class CropChoice:
    """Which boxes to cut: large and visible enough, and a random sample of at most `most` per SKU.

    A box of unknown visibility counts as visible.
    """

    least_side: Annotated[
        float,
        Option("Minimum shorter side of a box, in pixels.", "Crops", "--min-side", minimum=1, old=("--least-side",)),
    ] = 16.0
    least_visible: Annotated[
        float,
        Option(
            "Minimum visible fraction of a product.",
            "Crops",
            "--min-visibility",
            minimum=0,
            maximum=1,
            old=("--least-visible",),
        ),
    ] = 0.3
    most: Annotated[
        int | None,
        Option("Maximum number of crops per SKU and data set.", "Crops", "--max-per-sku", minimum=1, old=("--most",)),
    ] = None

    def rows(self, images: ImageSet, *, seed: int) -> NDArray[np.int64]:
        """Return the indices of the chosen annotations, ascending."""
        from detectors.data.image_set import IGNORED
        from detectors.data.mix import stream
        from detectors.recognition.embedder.sampling import EmbedderStream

        sides = (images.boxes[:, 2:] - images.boxes[:, :2]).min(axis=1, initial=math.inf)
        hidden = images.visibility < self.least_visible
        rows = np.flatnonzero((images.labels != IGNORED) & (sides >= self.least_side) & ~hidden)
        if self.most is None:
            return rows
        order = stream(seed, EmbedderStream.LIMIT).permutation(rows)
        labels = images.labels[order]
        by_label = np.argsort(labels, kind="stable")
        first = np.searchsorted(labels[by_label], labels[by_label])
        return np.sort(order[by_label[np.arange(len(order)) - first < self.most]])


@dataclass(frozen=True)
class EmbedSettings:
    """Settings of an embedder's training.

    data: sources, photos and validation set as for detectors. weights: none, imagenet, packaged or a file, of the
    backbone or of an earlier embedder. share: fraction of class centers used in a step beside those of its batch. skus,
    crops: P and K of a batch. epochs: 0 keeps the pretrained features. epoch_crops: crops per epoch, by default all of
    them once. learning_rate: of AdamW for the network at a batch of 128, scaled with the square root of the batch.
    centre_rate: learning rate of the class centers relative to it. patience: epochs without better top-1.
    """

    data: DataSettings
    out: RunFolder
    choice: CropChoice = field(default_factory=CropChoice)
    backbone: Annotated[str, Option("Any convolutional timm model.", "Model")] = "tf_efficientnet_lite0"
    weights: Annotated[
        str, Option("Initial weights, of the backbone or of an embedder.", "Model", parse="embedder_weights")
    ] = "imagenet"
    dim: Annotated[int, Option("Embedding dimension.", "Model", minimum=2, maximum=4096)] = 512
    side: Annotated[
        int,
        Option(
            "Side of the square input, in pixels.", "Model", "--crop-size", minimum=32, maximum=1024, old=("--side",)
        ),
    ] = 128
    loss: Annotated[str, Option("Loss: sub-center ArcFace or Proxy-Anchor.", "Training", parse="loss")] = "arcface"
    # Below about 10,000 SKUs all centers cost almost nothing; with 170,000 a tenth is as good (An et al. 2021).
    share: Annotated[
        float,
        Option(
            "Fraction of negative class centers per step (Partial FC).",
            "Training",
            "--negative-fraction",
            above=0,
            maximum=1,
            old=("--share",),
        ),
    ] = 1.0
    augment: Augmentation = "strong"
    epochs: Annotated[int, Option("Passes over the crops; 0 keeps the pretrained features.", "Training", minimum=0)] = (
        20
    )
    epoch_crops: Annotated[int | None, Option("Crops per epoch.", "Training", minimum=1, shown="all crops once")] = None
    skus: int = 32
    crops: Annotated[
        int,
        Option("Crops of each SKU in a step.", "Training", "--crops-per-sku", minimum=1, maximum=64, old=("--crops",)),
    ] = 4
    # Fraction of real crops of a SKU that has labelled photos.
    real_share: float = 0.25
    learning_rate: Annotated[float, Option("Peak learning rate of AdamW, for a batch of 128.", "Training", above=0)] = (
        5e-4
    )
    # Centers start at their crops. With ten times the network's rate, Adam scattered the centers of thousands of SKUs
    # between two steps that used them.
    centre_rate: float = 1.0
    weight_decay: float = 0.01
    clip_norm: float = 10.0
    patience: Annotated[int, Option("Epochs without better top-1 before it stops.", "Training", minimum=1)] = 8
    seed: Seed = 0
    workers: Readers = None
    device: Device = "auto"
    # Settings that may differ when a training is resumed, as they do not change the result.
    FREE: ClassVar[tuple[str, ...]] = ("out", "workers", "patience")

    def __post_init__(self) -> None:
        from detectors.recognition.embedder.augment import crop_preset
        from detectors.recognition.embedder.losses import LOSSES

        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        crop_preset(self.augment)
        if self.skus < 2 or self.crops < 1 or self.epochs < 0 or not 0 < self.share <= 1:
            raise SynthError(
                "invalid training settings of an embedder",
                code="setting-invalid",
                found=f"{self.skus} SKUs x {self.crops} crops, {self.epochs} epochs, {self.share:g} of the centers",
                expected="at least 2 SKUs, 1 crop, 0 epochs, a share above 0 and up to 1",
            )

    @property
    def batch(self) -> int:
        """Number of crops in a step."""
        return self.skus * self.crops

    @property
    def devices(self) -> int:
        """Always one device, because class centers are not synchronised between processes."""
        return 1

    def recorded(self) -> RecordedSettings:
        """Return what the run's folder and checkpoints record."""
        return RecordedSettings.of(self)


@dataclass(frozen=True)
class EmbedderEvaluateSettings:
    """Settings of an evaluation. gallery: rendered or real crops of known SKUs. queries: crops to name.

    views: maximum number of sampled gallery crops per SKU. threshold_data: queries on which to choose the threshold for
    unknown products; by default that of the training's validation is used, never one chosen on `queries`.
    """

    run: Annotated[Path, Option("Run of the embedder.", exists="any", argument=True)]
    gallery: Annotated[Path, Option("Crops of known SKUs: folder or JSON.", "Data", "--gallery-data", exists="any")]
    queries: Annotated[Path, Option("Crops to name; other SKUs are unknown.", "Data", "--query-data", exists="any")]
    threshold_data: Annotated[
        Path | None, Option("Other crops to choose the threshold for unknown products on.", "Data", exists="any")
    ] = None
    out: Annotated[Path | None, Option("Folder of report.json.", "Output", shown="evaluation in RUN")] = None
    views: Annotated[
        int | None, Option("Maximum number of gallery crops per SKU.", "Crops", minimum=1, shown="all")
    ] = None
    choice: CropChoice = field(default_factory=CropChoice)
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their JSON.", "Data", exists="folder")
    ] = None
    skip_bad: Annotated[bool, Option("Skip unusable records and count them.", "Data")] = False
    workers: Readers = None
    device: Device = "auto"
    seed: Annotated[int, Option("Random seed.", "Evaluation", minimum=0)] = 0
